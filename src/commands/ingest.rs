//! `airdock ingest`: bundles into the registry, here or by the server that has the folder.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use airdock_config::Config;
use airdock_sync::ingest::{IngestError, Input, Kept, Naming, Notice, Report};
use anyhow::{Context as _, bail};

use super::{Worker, runtime};
use crate::cli::IngestArguments;
use crate::control::{IngestRequest, RequestedInput};
use crate::exit::Exit;
use crate::ingester::{Ingester, Wish};
use crate::output::{self, printable};
use crate::progress::Progress;
use crate::report;
use crate::user;

pub(crate) fn run(config: Config, arguments: &IngestArguments) -> anyhow::Result<Exit> {
    let inputs = inputs(&arguments.paths)?;
    let naming = Naming::new(arguments.name.as_deref(), arguments.base_name.as_deref())?;
    let progress = Arc::new(Progress::new(arguments.progress, arguments.json));
    let runtime = runtime()?;
    let inventory = arguments.inventory.as_deref().map(whole).transpose()?;
    let keys = config.ingest.trust.keys.iter().map(std::path::absolute).collect::<Result<_, _>>()?;
    let wish = Wish { strict: false, naming, on_conflict: arguments.on_conflict(), keys, inventory, by: user::own() };
    let outcome = runtime.block_on(ingest(config, inputs, wish, progress.clone()));
    progress.end();
    // A thread may still be waiting for standard input; nothing of the registry is open any more.
    runtime.shutdown_background();
    match outcome? {
        Ok(report) => {
            if !arguments.json {
                output::text(report::render(&report));
            }
            Ok(if report.failures.is_empty() { Exit::Done } else { Exit::Refused })
        }
        Err(error) => {
            if arguments.json {
                let kept: &[Kept] = if let IngestError::Conflicts { kept } = &error { kept } else { &[] };
                let line = serde_json::json!({ "event": "error", "message": error.to_string(), "kept": kept });
                output::line(line);
            }
            refused(error)
        }
    }
}

/// What to take in, with every path made whole: the server has a working directory of its own.
fn inputs(paths: &[PathBuf]) -> anyhow::Result<Vec<RequestedInput>> {
    check_streams(paths)?;
    let input = |path: &PathBuf| {
        if path == Path::new("-") {
            return Ok(RequestedInput::Stream);
        }
        whole(path).map(RequestedInput::Path)
    };
    paths.iter().map(input).collect()
}

/// Whether standard input is given once at most.
pub(super) fn check_streams(paths: &[PathBuf]) -> anyhow::Result<()> {
    if paths.iter().filter(|path| *path == Path::new("-")).count() > 1 {
        bail!("`-` is given twice, and there is one standard input");
    }
    Ok(())
}

fn whole(path: &Path) -> anyhow::Result<PathBuf> {
    // Said here, where the person is: the server would say it about a path nobody typed.
    path.metadata().with_context(|| format!("cannot read `{}`", path.display()))?;
    std::path::absolute(path).with_context(|| format!("cannot find `{}`", path.display()))
}

async fn ingest(
    config: Config,
    inputs: Vec<RequestedInput>,
    wish: Wish,
    progress: Arc<Progress>,
) -> anyhow::Result<Result<Report, IngestError>> {
    let strict = config.ingest.strict;
    match Worker::find(config.registry.clone()).await? {
        Worker::Here(registry) => {
            let ingester = Ingester::new(registry.clone(), &config);
            let inputs = inputs
                .into_iter()
                .map(|input| match input {
                    RequestedInput::Path(path) => Input::Path(path),
                    RequestedInput::Stream => Input::Stream(Box::new(io::stdin()), "standard input".to_owned()),
                })
                .collect();
            let outcome = ingester.run(inputs, wish, move |event| progress.show(&event)).await;
            registry.close().await.context("cannot close the registry")?;
            Ok(outcome)
        }
        Worker::There(server) => {
            let stream = inputs.contains(&RequestedInput::Stream).then(|| Box::new(io::stdin()) as _);
            let Wish { naming, on_conflict, keys, inventory, .. } = wish;
            let request = IngestRequest { inputs, strict, naming, on_conflict, keys, inventory };
            server.ingest(request, stream, |event| progress.show(&event)).await
        }
    }
}

/// Why nothing went in, item by item where that is known.
pub(crate) fn refused(error: IngestError) -> anyhow::Result<Exit> {
    match &error {
        IngestError::Strict { failures }
        | IngestError::Nothing { failures }
        | IngestError::Untrusted { problems: failures } => {
            for Notice { file, message } in failures {
                eprintln!("refused: {}: {}", printable(file), printable(message));
            }
            eprintln!("airdock: {error}");
            Ok(Exit::Refused)
        }
        IngestError::Unnamed { .. } => {
            eprintln!("airdock: {}", printable(&error.to_string()));
            Ok(Exit::Refused)
        }
        IngestError::Conflicts { kept } => {
            for tag in kept {
                eprintln!("conflict: {}", printable(&tag.to_string()));
            }
            eprintln!("airdock: {error}");
            Ok(Exit::Refused)
        }
        _ => Err(error.into()),
    }
}
