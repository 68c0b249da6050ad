//! `airdock inventory`: the content of bundles as a text to be signed. Needs no data folder and no server.

use std::io;
use std::path::{Path, PathBuf};

use airdock_config::Config;
use airdock_sync::ingest::{self, Cancel, IngestError, Input, Naming, Notice};
use airdock_sync::inventory;
use anyhow::Context as _;
use jiff::Timestamp;

use crate::cli::InventoryArguments;
use crate::exit::Exit;
use crate::view::progress::Progress;
use crate::view::text::{self, noticed};

pub(crate) fn run(config: Config, arguments: &InventoryArguments) -> anyhow::Result<Exit> {
    let expires = arguments.expires.as_deref().map(|text| inventory::expiry(text, Timestamp::now())).transpose()?;
    let naming = Naming::new(None, arguments.base_name.as_deref())?;
    let settings = ingest::Settings { naming, ..config.ingest };
    let inputs = inputs(&arguments.paths)?;
    let progress = Progress::new(arguments.progress, false);
    let made = ingest::inventory(inputs, &settings, &Cancel::default(), &|event| progress.show(&event));
    // An inventory is no report: it has no warnings.
    progress.end().iter().for_each(|notice| eprintln!("{}", noticed("warning", notice)));
    match made {
        Ok(made) => {
            text::text(inventory::Inventory { expires, ..made });
            Ok(Exit::Done)
        }
        Err(IngestError::Strict { failures }) => {
            Ok(refused(&failures, "not all of it could go in, so there is no inventory of it"))
        }
        Err(IngestError::Nothing { .. }) => Ok(refused(&[], "there is no image and no chart in what was given")),
        Err(IngestError::Contested { names }) => {
            Ok(refused(&names, "a name has to be one image, so there is no inventory of it"))
        }
        Err(error) => Err(error.into()),
    }
}

fn inputs(paths: &[PathBuf]) -> anyhow::Result<Vec<Input>> {
    super::ingest::check_streams(paths)?;
    let input = |path: &PathBuf| {
        if path == Path::new("-") {
            return Ok(Input::Stream(Box::new(io::stdin()), "standard input".to_owned()));
        }
        path.metadata().with_context(|| format!("cannot read `{}`", path.display()))?;
        Ok(Input::Path(path.clone()))
    };
    paths.iter().map(input).collect()
}

fn refused(notices: &[Notice], sentence: &str) -> Exit {
    notices.iter().for_each(|notice| eprintln!("{}", noticed("refused", notice)));
    eprintln!("airdock: {sentence}");
    Exit::Refused
}
