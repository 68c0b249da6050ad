//! The `airdock` program: reads the command line, loads the settings, installs what is global, runs one command,
//! and turns its outcome into an exit code. Everything else is composed in [`app`].
#![allow(clippy::print_stderr, reason = "the binary is the one room that speaks to a person")]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects"))]

mod app;
mod cli;
mod commands;
mod contents;
mod control;
mod exit;
mod help;
mod ingester;
mod mounter;
mod output;
mod progress;
mod releases;
mod report;
mod request;
mod table;
mod telemetry;
mod user;
mod words;

use std::process::ExitCode;

use clap::Parser as _;

use cli::{Cli, Command, ConfigCommand};
use exit::Exit;

fn main() -> ExitCode {
    let outcome = run(Cli::parse().command);
    ExitCode::from(outcome.unwrap_or_else(|error| {
        eprintln!("airdock: {error:#}");
        Exit::of(&error)
    }))
}

fn run(command: Command) -> anyhow::Result<Exit> {
    let config = airdock_config::load(command.overrides(), std::env::vars_os())?;
    telemetry::init(config.log, &command);
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        unreachable!("nothing before this line installs a provider");
    }
    match command {
        Command::Serve(_) => commands::serve::run(config),
        Command::Ingest(arguments) => commands::ingest::run(config, &arguments),
        Command::Inventory(arguments) => commands::inventory::run(config, &arguments),
        Command::Ls(arguments) => commands::ls::run(config, arguments),
        Command::Inspect(arguments) => commands::inspect::run(config, arguments),
        Command::Verify(arguments) => commands::verify::run(config, arguments),
        Command::Rm(arguments) => commands::rm::run(config, arguments),
        Command::Releases(arguments) => commands::releases::list(config, arguments.json),
        Command::Release(command) => commands::releases::one(config, &command),
        Command::Rebuild(_) => commands::rebuild::run(config),
        Command::Config(ConfigCommand::Check(_)) => commands::config_check::run(&config),
    }
}
