//! `airdock config check`: the settings in effect. Wrong ones never get here; loading them reports them all.

use airdock_config::Config;

use crate::exit::Exit;
use crate::output;

pub(crate) fn run(config: &Config) -> anyhow::Result<Exit> {
    match &config.file {
        Some(file) => output::line(format_args!("# in effect, with `{}`", file.display())),
        None => output::line("# in effect, with no file"),
    }
    output::text(config);
    Ok(Exit::Done)
}
