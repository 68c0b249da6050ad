//! `airdock rm`: removes tags, or manifests with all their tags.

use airdock_config::Config;

use super::worker::{Worker, runtime};
use crate::admin::operations::remove::remove;
use crate::admin::wire::{Removal, Remove};
use crate::cli::RmArguments;
use crate::exit::Exit;
use crate::view::text::{self, printable};

pub(crate) fn run(config: &Config, arguments: RmArguments) -> anyhow::Result<Exit> {
    let RmArguments { json, references, .. } = arguments;
    let mut removed = false;
    let done = runtime()?.block_on(async {
        let worker = Worker::find_existing(config).await?;
        let print = |removal: Removal| {
            removed |= removal.problem.is_none();
            if json {
                return text::json(&removal);
            }
            show(&removal);
            Ok(())
        };
        worker.run(remove(Remove { references }), None, print).await
    })?;
    if removed && !json {
        text::line("the disk space is not free yet: a later garbage collection frees what nothing names any more");
    }
    Ok(if done.failed == 0 { Exit::Done } else { Exit::Failed })
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
