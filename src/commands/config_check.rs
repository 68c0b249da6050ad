//! `airdock config check`: prints the settings in effect. Invalid ones are reported when they are loaded.

use airdock_config::Config;

use crate::exit::Exit;
use crate::view::text;

pub(crate) fn run(config: &Config) -> anyhow::Result<Exit> {
    match &config.file {
        Some(file) => text::line(format_args!("# in effect, with `{}`", file.display())),
        None => text::line("# in effect, with no file"),
    }
    text::text(config);
    Ok(Exit::Done)
}
