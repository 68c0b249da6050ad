//! Media served in place: mounting what `serve --mount` names, and verifying all of it once in the background.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use airdock_config::Config;
use airdock_registry::Registry;
use airdock_sync::ingest::{self, Event, IngestError, Notice, Report};
use indicatif::HumanBytes;

use crate::exit::Failure;
use crate::view::progress::Progress;
use crate::view::text::{counted, printable};

/// The media of a server.
#[derive(Default)]
pub(crate) struct Mounted {
    /// One line for each that is served.
    pub(crate) lines: Vec<String>,
    /// Those that are compressed: they can only be ingested.
    pub(crate) compressed: Vec<PathBuf>,
}

/// Mounts everything the settings name, in order: later ones take precedence. One that cannot be mounted is an error: a server
/// without it would answer 404 for content the operator expects.
pub(crate) async fn mount(registry: &Registry, config: &Config) -> anyhow::Result<Mounted> {
    let mut mounted = Mounted::default();
    for path in &config.mount.paths {
        match one(registry, config, path.clone()).await {
            Ok(report) => mounted.lines.push(line(path, &report)),
            Err(error @ IngestError::Compressed) => {
                tracing::warn!("cannot mount `{}`: {error}; it is ingested instead", path.display());
                mounted.compressed.push(path.clone());
            }
            Err(error) => {
                let error = anyhow::anyhow!("{}", sentences(error));
                return Err(error.context(format!("cannot mount `{}`", path.display())));
            }
        }
    }
    Ok(mounted)
}

async fn one(registry: &Registry, config: &Config, path: PathBuf) -> Result<Report, IngestError> {
    let (registry, publish, settings) = (registry.clone(), config.publish.clone(), config.ingest.clone());
    let progress = Progress::log();
    let mounting = tokio::task::spawn_blocking(move || {
        // Items found are not logged: they are listed once everything is mounted.
        let notices = RefCell::new(Vec::new());
        let tell = |event: Event| {
            if matches!(event, Event::Warning(_) | Event::Failed(_)) {
                notices.borrow_mut().push(event);
            }
        };
        let outcome = ingest::mount(&registry, &publish, &path, &settings, &tell);
        if !matches!(outcome, Err(IngestError::Compressed)) {
            notices.take().iter().for_each(|event| progress.show(event));
        }
        outcome
    });
    mounting.await.unwrap_or_else(|panic| {
        Err(IngestError::Registry { message: format!("the mount failed on a defect: {panic}") })
    })
}

/// Why nothing was mounted, with what was wrong with each file.
fn sentences(error: IngestError) -> String {
    let is_empty = matches!(error, IngestError::Nothing { .. });
    let Failure { message, failures, .. } = error.into();
    let shown = |notice: &Notice| format!("\n  {}: {}", printable(&notice.file), printable(&notice.message));
    let lines: String = failures.iter().map(shown).collect();
    // The message of an ingest that found nothing is about tags.
    match (is_empty, failures.is_empty()) {
        (true, true) => "there is no image and no chart in it".to_owned(),
        (true, false) => format!("nothing in it can be served{lines}"),
        (false, _) => format!("{message}{lines}"),
    }
}

fn line(path: &Path, report: &Report) -> String {
    let mut digests: Vec<_> = report.images.iter().map(|row| (&row.digest, row.size)).collect();
    digests.sort_unstable();
    digests.dedup();
    let size = digests.iter().map(|(_, size)| *size).fold(0, u64::saturating_add);
    let count = counted(digests.len() as u64, "image or chart", "images and charts");
    let signed = report.signatures.iter().map(|signature| format!(", signed by {}", printable(&signature.key)));
    let signed: String = signed.collect();
    format!("mounted {}: {count}, {}, served in place{signed}", path.display(), HumanBytes(size))
}

/// The most problems logged one by one.
const LOGGED: usize = 20;

/// The lowest scheduling priority, as a `nice` value.
const LEAST: i32 = 19;

/// Verifies every blob of the mounted media once, on a thread of its own, and logs the result.
pub(crate) fn verify(registry: Registry) -> Stop {
    let stop = Stop(Arc::default());
    let flag = stop.0.clone();
    let work = move || {
        // This thread only: hashing must not take CPU time from clients.
        if let Err(error) = rustix::process::setpriority_process(None, LEAST) {
            tracing::debug!(%error, "the mounted media are read with no lower priority");
        }
        for (name, found) in registry.check_media(&flag) {
            // A medium that was unplugged makes every one of its blobs a problem.
            for problem in found.problems.iter().take(LOGGED) {
                tracing::error!("{problem}");
            }
            if let Some(more) = found.problems.len().checked_sub(LOGGED).filter(|more| *more > 0) {
                tracing::error!("and {more} more of the mounted `{name}`; `airdock verify` names them");
            }
            for problem in found.elsewhere.iter().take(LOGGED) {
                tracing::warn!("{problem}; until then it is served from another place of the medium that has it whole");
            }
            if !found.stopped {
                let blobs = counted(found.verified as u64, "blob", "blobs");
                let whole = if found.verified == 1 { "is whole" } else { "are whole" };
                let bad = counted(found.bad as u64, "is not", "are not");
                tracing::info!(
                    "read all of the mounted `{name}`: {blobs}, {}, {whole}; {bad}",
                    HumanBytes(found.bytes)
                );
            }
        }
    };
    if let Err(error) = std::thread::Builder::new().name("medium check".into()).spawn(work) {
        // Every blob is also verified when it is served.
        tracing::warn!(%error, "no thread can be started to read the mounted media ahead");
    }
    stop
}

/// Stops the verification when dropped, within one read. Does not wait for a medium that does not respond.
pub(crate) struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
