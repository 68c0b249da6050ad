//! The `airdock` program: reads the command line, loads the settings, installs what is global, runs one command,
//! and turns its outcome into an exit code.
#![allow(clippy::print_stderr, reason = "the binary is the only crate that writes to the terminal")]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects"))]

mod admin;
mod app;
mod cli;
mod commands;
mod exit;
mod telemetry;
mod view;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;

use cli::{Cli, Command, ConfigCommand};
use exit::Exit;

fn main() -> ExitCode {
    let exit = run(Cli::parse().command).unwrap_or_else(|error| {
        eprintln!("airdock: {}", view::hints::sentence(&error));
        Exit::of(&error)
    });
    ExitCode::from(exit as u8)
}

fn run(command: Command) -> anyhow::Result<Exit> {
    let config = airdock_config::load(command.overrides(), std::env::vars_os())?;
    let _log = telemetry::init(config.log, matches!(command, Command::Serve(_))).context("cannot start to log")?;
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        unreachable!("nothing before this line installs a provider");
    }
    match command {
        Command::Serve(_) => commands::serve::run(config),
        Command::Ingest(arguments) => commands::ingest::run(config, arguments),
        Command::Inventory(arguments) => commands::inventory::run(config, &arguments),
        Command::Ls(arguments) => commands::ls::run(&config, arguments),
        Command::Inspect(arguments) => commands::inspect::run(&config, arguments),
        Command::Verify(arguments) => commands::verify::run(&config, arguments),
        Command::Rm(arguments) => commands::rm::run(&config, arguments),
        Command::Uploads(arguments) => commands::uploads::run(&config, arguments),
        Command::Releases(arguments) => commands::releases::list(&config, arguments.json),
        Command::Release(command) => commands::releases::one(&config, &command),
        Command::Rebuild(_) => commands::rebuild::run(&config),
        Command::Config(ConfigCommand::Check(_)) => commands::config_check::run(&config),
    }
}
