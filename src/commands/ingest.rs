//! `airdock ingest`: bundles into the registry, by this process or by the server that owns the data folder.

use std::path::{Path, PathBuf};

use airdock_config::Config;
use airdock_sync::ingest::{Event, Report};
use anyhow::{Context as _, bail};

use super::worker;
use crate::admin::endpoint::Endpoint;
use crate::admin::wire::Ingest;
use crate::cli::IngestArguments;
use crate::exit::{Exit, Failure};
use crate::view::progress::Progress;
use crate::view::report;
use crate::view::text::{self, noticed, printable};

pub(crate) fn run(mut config: Config, arguments: IngestArguments) -> anyhow::Result<Exit> {
    let IngestArguments { mut options, paths, json, progress, .. } = arguments;
    let inputs = inputs(&paths)?;
    options.naming()?;
    options.join(&mut config.ingest).context("cannot find the keys")?;
    options.inventory = options.inventory.as_deref().map(absolute).transpose()?;
    let progress = Progress::new(progress, json);
    let outcome = report(&config, Ingest { inputs, options }, &progress);
    let unshown = progress.end();
    match outcome {
        Ok(report) => {
            if !json {
                text::text(report::render(&report));
            }
            Ok(if report.failures.is_empty() { Exit::Done } else { Exit::Refused })
        }
        Err(error) => {
            // There is no report that has them.
            unshown.iter().for_each(|notice| eprintln!("{}", noticed("warning", notice)));
            if let Some(failure) = error.downcast_ref() {
                explain(failure, json);
            }
            Err(error)
        }
    }
}

fn report(config: &Config, asked: Ingest, progress: &Progress) -> anyhow::Result<Report> {
    let show = |event| {
        progress.show(&event);
        Ok(())
    };
    let report = worker::run(config, Endpoint::Ingest(asked), show)?;
    let finished = Event::Finished(report);
    progress.show(&finished);
    let Event::Finished(report) = finished else { unreachable!("it was made above") };
    Ok(report)
}

/// What to ingest, with absolute paths: a server has another working directory.
fn inputs(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    check_streams(paths)?;
    paths.iter().map(|path| if path == Path::new("-") { Ok(path.clone()) } else { absolute(path) }).collect()
}

/// Whether standard input is given at most once.
pub(super) fn check_streams(paths: &[PathBuf]) -> anyhow::Result<()> {
    if paths.iter().filter(|path| *path == Path::new("-")).count() > 1 {
        bail!("`-` is given twice, and there is one standard input");
    }
    Ok(())
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    // Checked here, where the path is as it was typed: the server would name another one.
    path.metadata().with_context(|| format!("cannot read `{}`", path.display()))?;
    std::path::absolute(path).with_context(|| format!("cannot find `{}`", path.display()))
}

/// Why nothing was ingested, item by item where that is known.
fn explain(failure: &Failure, json: bool) {
    if json {
        let line = serde_json::json!({ "event": "error", "message": failure.message, "kept": failure.kept });
        text::line(line);
    }
    failure.failures.iter().for_each(|notice| eprintln!("{}", noticed("refused", notice)));
    failure.kept.iter().for_each(|tag| eprintln!("conflict: {}", printable(&tag.to_string())));
}
