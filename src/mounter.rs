//! Media served in place: mounting what `serve --mount` names, and reading all of it once in the background.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use airdock_config::Config;
use airdock_registry::Registry;
use airdock_sync::ingest::{self, Event, IngestError, Notice, Report};
use indicatif::HumanBytes;

use crate::output::printable;
use crate::progress::Progress;
use crate::words::counted;

/// What became of the media.
#[derive(Default)]
pub(crate) struct Mounted {
    /// A line on each that is served.
    pub(crate) lines: Vec<String>,
    /// Those that are compressed, and so have to be ingested to be served.
    pub(crate) compressed: Vec<PathBuf>,
}

/// Mounts everything the settings name, in order, so that later ones are asked first.
///
/// # Errors
/// When one of them cannot be used: whoever names a medium wants it served.
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
                let error = anyhow::anyhow!("{}", sentences(&error));
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
        // That something was found is for the list of what is served.
        let told = RefCell::new(Vec::new());
        let tell = |event: Event| {
            if matches!(event, Event::Warning(_) | Event::Failed(_)) {
                told.borrow_mut().push(event);
            }
        };
        let outcome = ingest::mount(&registry, &publish, &path, &settings, &tell);
        if !matches!(outcome, Err(IngestError::Compressed)) {
            told.take().iter().for_each(|event| progress.show(event));
        }
        outcome
    });
    mounting.await.unwrap_or_else(|panic| {
        Err(IngestError::Registry { message: format!("the mount came upon a defect of its own: {panic}") })
    })
}

/// Why nothing was mounted, with what was wrong with each file.
fn sentences(error: &IngestError) -> String {
    let failures: &[Notice] = match error {
        IngestError::Strict { failures }
        | IngestError::Nothing { failures }
        | IngestError::Untrusted { problems: failures } => failures,
        _ => &[],
    };
    let shown = |notice: &Notice| format!("\n  {}: {}", printable(&notice.file), printable(&notice.message));
    match error {
        // The sentence for an ingest speaks of tags that were not changed.
        IngestError::Nothing { .. } if failures.is_empty() => "there is no image and no chart in it".to_owned(),
        IngestError::Nothing { .. } => {
            format!("nothing in it can be served{}", failures.iter().map(shown).collect::<String>())
        }
        _ => format!("{error}{}", failures.iter().map(shown).collect::<String>()),
    }
}

fn line(path: &Path, report: &Report) -> String {
    let mut digests: Vec<_> = report.images.iter().map(|row| (&row.digest, row.size)).collect();
    digests.sort_unstable();
    digests.dedup();
    let size = digests.iter().map(|(_, size)| size).sum();
    let count = counted(digests.len() as u64, "image or chart", "images and charts");
    let signed = report.signatures.iter().map(|signature| format!(", signed by {}", printable(&signature.key)));
    let signed: String = signed.collect();
    format!("mounted {}: {count}, {}, served from where they lie{signed}", path.display(), HumanBytes(size))
}

/// So many problems are said one by one.
const SAID: usize = 20;

/// The lowest priority, as `nice` counts.
const LEAST: i32 = 19;

/// Reads every blob of what is mounted once, on a thread of its own, and says in the log what it found.
pub(crate) fn verify(registry: Registry) -> Stop {
    let stop = Stop(Arc::default());
    let flag = stop.0.clone();
    let work = move || {
        // This thread only: hashing takes of the processors what nobody who is served wants.
        if let Err(error) = rustix::process::setpriority_process(None, LEAST) {
            tracing::debug!(%error, "the mounted media are read with no lower priority");
        }
        for (name, found) in registry.check_media(&flag) {
            // A medium that was pulled out is one thing to say, however many blobs it has.
            for problem in found.problems.iter().take(SAID) {
                tracing::error!("{problem}");
            }
            if let Some(more) = found.problems.len().checked_sub(SAID).filter(|more| *more > 0) {
                tracing::error!("and {more} more of the mounted `{name}`; `airdock verify` names them");
            }
            for problem in found.elsewhere.iter().take(SAID) {
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
        // Every blob is verified on its way out all the same.
        tracing::warn!(%error, "no thread can be started to read the mounted media ahead");
    }
    stop
}

/// Ends the reading when it is dropped, within one piece; nobody waits for a medium that does not answer.
pub(crate) struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
