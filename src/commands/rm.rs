//! `airdock rm`: removes tags, or manifests with all their tags.

use airdock_config::Config;

use super::{Worker, runtime, unexpected};
use crate::cli::RmArguments;
use crate::exit::Exit;
use crate::output::{self, printable};
use crate::request::{Removal, Reply, Request};

pub(crate) fn run(config: Config, arguments: RmArguments) -> anyhow::Result<Exit> {
    let RmArguments { json, references, .. } = arguments;
    let mut removed = false;
    let reply = runtime()?.block_on(async {
        let worker = Worker::find_existing(config.registry).await?;
        let print = |part| {
            let Reply::Removal(removal) = part else { return Err(unexpected()) };
            removed |= removal.problem.is_none();
            if json {
                return output::json(&removal);
            }
            say(&removal);
            Ok(())
        };
        worker.ask(Request::Remove { references }, print).await
    })?;
    let Reply::Removed { failed } = reply else { return Err(unexpected()) };
    if removed && !json {
        output::line("the disk space is not free yet: a later garbage collection frees what nothing names any more");
    }
    Ok(if failed == 0 { Exit::Done } else { Exit::Failed })
}

fn say(removal: &Removal) {
    if let Some(problem) = &removal.problem {
        eprintln!("airdock: {}", printable(problem));
    }
    for tag in &removal.tags {
        output::line(format_args!("removed tag {}", printable(tag)));
    }
    if let Some(manifest) = &removal.manifest {
        output::line(format_args!("removed manifest {}", printable(manifest)));
    }
}
