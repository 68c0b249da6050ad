//! `airdock rm`: removes tags, or manifests with all their tags.

use airdock_config::Config;

use super::worker;
use crate::admin::endpoint::Endpoint;
use crate::admin::wire::{Removal, Removals, Remove};
use crate::cli::RmArguments;
use crate::exit::Exit;
use crate::view::text::{self, printable};

pub(crate) fn run(config: &Config, arguments: RmArguments) -> anyhow::Result<Exit> {
    let RmArguments { json, references, .. } = arguments;
    let mut removed = false;
    let print = |removal: Removal| {
        removed |= removal.problem.is_none();
        if json {
            return text::json(&removal);
        }
        show(&removal);
        Ok(())
    };
    let Removals { failed } = worker::run(config, Endpoint::Remove(Remove { references }), print)?;
    if removed && !json {
        text::line("the disk space is not free yet: a later garbage collection frees what nothing names any more");
    }
    Ok(if failed == 0 { Exit::Done } else { Exit::Failed })
}

fn show(removal: &Removal) {
    if let Some(problem) = &removal.problem {
        eprintln!("airdock: {}", printable(problem));
    }
    for tag in &removal.tags {
        text::line(format_args!("removed tag {}", printable(tag)));
    }
    if let Some(manifest) = &removal.manifest {
        text::line(format_args!("removed manifest {}", printable(manifest)));
    }
}
