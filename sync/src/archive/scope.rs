//! What one archive or folder amounts to: its images, its texts, and whether it was worth anything.

use bytes::Bytes;

use super::directory;
use super::docker;
use super::intake::Intake;
use super::nested::Outcome;
use super::oci::{self, Layout};
use super::parts::{Parts, join};
use super::problem::{Problem, printable};
use super::role::Role;
use super::storage;

/// Provenance files and `manifest.txt`, each.
pub(crate) const MAX_TEXT: u64 = 1024 * 1024;

/// What has been seen of one archive.
#[derive(Default)]
pub(crate) struct Tally {
    /// An image, a chart or another archive was there, whole or not.
    something: bool,
    /// Image layouts and registries' storages.
    layouts: Vec<String>,
    /// Folders that hold one image and nothing else, but maybe other folders.
    directories: Vec<String>,
    unpacked_charts: Vec<String>,
}

impl Tally {
    /// Whether `path` lies in an image layout or the like.
    pub(crate) fn is_within_image(&self, path: &str) -> bool {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        self.directories.iter().any(|known| known == folder)
            || self.layouts.iter().any(|folder| {
                folder.is_empty() || path.strip_prefix(folder.as_str()).is_some_and(|rest| rest.starts_with('/'))
            })
    }

    pub(crate) fn nested(&mut self, outcome: Outcome) {
        self.something |= outcome == Outcome::Archive;
    }

    /// A `Chart.yaml` that lies open: Helm pushes packages only. Its subcharts are not worth a second word.
    pub(crate) fn unpacked_chart(&mut self, intake: &mut Intake<'_>, path: &str, inner: &str) {
        let folder = path.strip_suffix("Chart.yaml").unwrap_or(path);
        if !self.unpacked_charts.iter().any(|known| folder.starts_with(known.as_str())) {
            self.unpacked_charts.push(folder.to_owned());
            intake.warn(inner, "a chart that is not packed is left out; pack it with `helm package`");
        }
    }

    /// # Errors
    /// When nothing in the archive could have gone in.
    pub(crate) fn check(&self) -> Result<(), Problem> {
        if self.something {
            return Ok(());
        }
        Err(Problem::Unusable(
            "it holds neither an image (no `manifest.json`, no `index.json` with `oci-layout`) nor a chart (no `Chart.yaml`)".into(),
        ))
    }
}

/// Reads every image that lies open in `parts`.
pub(crate) fn images(
    parts: &mut dyn Parts,
    intake: &mut Intake<'_>,
    file: &str,
    separator: &str,
    tally: &mut Tally,
) -> Result<(), Problem> {
    tally.layouts = parts.folders_with("oci-layout");
    let mut folders = parts.folders_with("index.json");
    folders.extend(parts.folders_with("manifest.json"));
    folders.sort();
    folders.dedup();
    for folder in folders {
        let shown = if folder.is_empty() { file.to_owned() } else { format!("{file}{separator}{folder}") };
        let mut layout = Layout::default();
        if tally.layouts.contains(&folder) {
            tally.something = true;
            match oci::read(parts, intake, &folder, &shown) {
                Ok(read) => layout = read,
                Err(problem) => {
                    intake.fail(&shown, problem)?;
                    continue;
                }
            }
        } else if parts.size(&join(&folder, "manifest.json")).is_ok_and(|size| size.is_none()) {
            // Somebody else's index.json.
            continue;
        }
        // A folder that was given has a name of its own; a tar has any.
        let lies = match (folder.as_str(), separator) {
            ("", "/") => file.rsplit('/').next().unwrap_or_default(),
            _ => folder.as_str(),
        };
        let before = layout.images.len();
        if layout.complete {
            for image in layout.images {
                intake.add(image.found)?;
            }
            continue;
        }
        match described(parts, intake, &folder, &shown, lies, &mut layout, tally) {
            Ok(seen) => tally.something |= seen || before > 0,
            Err(problem) => {
                tally.something = true;
                intake.fail(&shown, problem)?;
            }
        }
        for image in layout.images {
            intake.add(image.found)?;
        }
    }
    let storages = storage::read(parts, intake, file, separator)?;
    tally.something |= !storages.is_empty();
    tally.layouts.extend(storages);
    Ok(())
}

/// Reads what `manifest.json` describes: a list of images, or one image in registry's words. Says whether it did.
fn described(
    parts: &mut dyn Parts,
    intake: &mut Intake<'_>,
    folder: &str,
    shown: &str,
    lies: &str,
    layout: &mut Layout,
    tally: &mut Tally,
) -> Result<bool, Problem> {
    let path = join(folder, "manifest.json");
    let Some(bytes) = parts.document(intake, &path, intake.limits.document)? else { return Ok(false) };
    if docker::is_list(&bytes) {
        return docker::read(parts, intake, folder, shown, &bytes, layout).map(|()| true);
    }
    if !tally.layouts.iter().any(|known| known == folder) {
        match directory::read(parts, intake, folder, shown, &bytes, lies) {
            Ok(None) => {}
            read => {
                tally.directories.push(folder.to_owned());
                layout.images.extend(read?);
                return Ok(true);
            }
        }
    }
    let message =
        format!("`{}` describes no image that `docker save` or skopeo wrote; it is left out", printable(&path));
    intake.warn(shown, message);
    Ok(false)
}

/// Keeps a text for the end of the ingest. What is wrong with one is only said.
pub(crate) fn text(
    intake: &mut Intake<'_>,
    path: &str,
    inner: &str,
    text: Result<Option<Bytes>, Problem>,
) -> Result<(), Problem> {
    match text {
        Ok(Some(text)) => {
            let provenance = Role::of(path) == Role::Provenance;
            let about = inner.strip_suffix(".prov").filter(|_| provenance).unwrap_or(inner);
            intake.keep_text(about, text, provenance);
        }
        Ok(None) => {}
        Err(problem) if problem.is_fatal() => return Err(problem),
        Err(problem) => intake.warn(inner, format!("`{}` was not read: {}", printable(path), problem.sentence())),
    }
    Ok(())
}
