//! Interpreting one archive or folder: its images, its texts, and whether it held anything of use.

use std::collections::HashSet;

use bytes::Bytes;

use super::dialect::layout::{self, Layout};
use super::dialect::{directory, docker, storage};
use super::found::Seen;
use super::intake::Intake;
use super::left_over::{self, Explained};
use super::parts::{Folder, Parts, join};
use super::role::Role;
use crate::problem::{Problem, Result};
use crate::text::printable;

/// The largest provenance file or `manifest.txt`.
pub(crate) const MAX_TEXT: u64 = 1024 * 1024;

/// What has been seen of one archive.
#[derive(Default)]
pub(crate) struct Tally {
    /// It held an image, a chart or another archive, valid or not.
    pub(crate) something: bool,
    /// Image layouts and storages of registries.
    layouts: Vec<String>,
    /// Folders that hold one image and nothing else, except perhaps other folders.
    directories: Vec<String>,
    /// Configs and layers that a `manifest.json` names: not archives of their own, whatever their names.
    pub(crate) claimed: HashSet<String>,
    unpacked_charts: Vec<String>,
}

impl Tally {
    /// Whether `path` is inside an image layout or the like.
    pub(crate) fn is_within_image(&self, path: &str) -> bool {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let holds = |layout: &String| {
            layout.is_empty() || path.strip_prefix(layout.as_str()).is_some_and(|rest| rest.starts_with('/'))
        };
        self.directories.iter().any(|known| known == folder) || self.layouts.iter().any(holds)
    }

    /// Takes what a file turned out to be. Inside an image other files mean nothing (image-layout.md), unless they are
    /// archives.
    pub(crate) fn looked_into(&mut self, intake: &mut Intake<'_>, path: &str, inner: &str, found: Seen) {
        match found {
            Seen::Archive => self.something = true,
            Seen::Other(_) if self.is_within_image(path) => {}
            Seen::Other(what) => intake.warn(inner, format!("left out: {what}")),
        }
    }

    /// Warns of a `Chart.yaml` that is not in a package: Helm pushes packages only. Its subcharts need no warning.
    pub(crate) fn unpacked_chart(&mut self, intake: &mut Intake<'_>, path: &str, inner: &str) {
        let folder = path.strip_suffix("Chart.yaml").unwrap_or(path);
        if !self.unpacked_charts.iter().any(|known| folder.starts_with(known.as_str())) {
            self.unpacked_charts.push(folder.to_owned());
            intake.warn(inner, "a chart that is not packed is left out; pack it with `helm package`");
        }
    }

    /// An error when nothing in the archive could have gone in.
    pub(crate) fn check(&self) -> Result<()> {
        if self.something {
            return Ok(());
        }
        Err(Problem::Nothing(
            "it holds neither an image (no `manifest.json`, no `index.json` with `oci-layout`) nor a chart (no `Chart.yaml`)",
        ))
    }
}

/// Reads every image in `parts` that is not in an archive of its own.
pub(crate) fn images(
    parts: &mut dyn Parts,
    intake: &mut Intake<'_>,
    file: &str,
    separator: &str,
    tally: &mut Tally,
) -> Result<()> {
    tally.layouts = parts.folders_with("oci-layout");
    let mut folders = tally.layouts.clone();
    folders.extend(parts.folders_with("index.json"));
    folders.extend(parts.folders_with("manifest.json"));
    folders.sort();
    folders.dedup();
    let mut explained = Explained::default();
    for path in folders {
        let shown = if path.is_empty() { file.to_owned() } else { format!("{file}{separator}{path}") };
        let failures = intake.failed;
        let folder = &mut Folder { parts: &mut *parts, intake: &mut *intake, path: &path, shown: &shown };
        let something = one(folder, file, separator, tally)?;
        if something {
            explained.add(&path, intake.failed == failures);
        }
        tally.something |= something;
    }
    let failures = intake.failed;
    let storages = storage::read(parts, intake, file, separator)?;
    storages.iter().for_each(|storage| explained.add(storage, intake.failed == failures));
    tally.something |= !storages.is_empty();
    tally.layouts.extend(storages);
    tally.something |= left_over::tell(parts, intake, file, separator, &explained)?;
    Ok(())
}

/// Reads the images of one folder that is not in an archive of its own. Returns whether there was something, valid or not.
fn one(folder: &mut Folder<'_, '_>, file: &str, separator: &str, tally: &mut Tally) -> Result<bool> {
    let mut found = Layout::default();
    let is_layout = tally.layouts.iter().any(|known| known == folder.path);
    if is_layout {
        match layout::read(folder) {
            Ok(read) => found = read,
            Err(problem) => return folder.intake.fail(folder.shown, problem).map(|()| true),
        }
    } else if folder.parts.size(&join(folder.path, "manifest.json")).is_ok_and(|size| size.is_none()) {
        let message = "`index.json` is left out: there is no `oci-layout` beside it, so it is no image layout";
        folder.intake.warn(folder.shown, message);
        return Ok(false);
    }
    let mut something = is_layout;
    if !found.complete {
        // A folder that is an input has a name of its own; the name of a tar says nothing.
        let name = match (folder.path, separator) {
            ("", "/") => file.rsplit('/').next().unwrap_or_default(),
            (path, _) => path,
        };
        match described(folder, name, &mut found, tally) {
            Ok(seen) => something |= seen,
            Err(problem) => {
                something = true;
                folder.intake.fail(folder.shown, problem)?;
            }
        }
    }
    for failed in found.failed {
        folder.fail(&failed.label, failed.problem)?;
    }
    for image in found.images {
        folder.intake.add(image.found)?;
    }
    Ok(something)
}

/// Reads what `manifest.json` describes: a list of images, or a registry's manifest of one image. Returns whether it does.
fn described(folder: &mut Folder<'_, '_>, name: &str, layout: &mut Layout, tally: &mut Tally) -> Result<bool> {
    let document = join(folder.path, "manifest.json");
    let Some(bytes) = folder.parts.document(&document, folder.intake.limits.document)? else { return Ok(false) };
    if let Some(items) = docker::items(&bytes, &document)? {
        tally.claimed.extend(items.iter().flat_map(|item| item.paths(folder.path)));
        return docker::read(folder, &items, layout).map(|()| true);
    }
    if !tally.layouts.iter().any(|known| known == folder.path) {
        match directory::read(folder, &bytes, name) {
            Ok(None) => {}
            read => {
                tally.directories.push(folder.path.to_owned());
                layout.images.extend(read?);
                return Ok(true);
            }
        }
    }
    let document = printable(&document);
    let message = format!("`{document}` describes no image that `docker save` or skopeo wrote; it is left out");
    folder.intake.warn(folder.shown, message);
    Ok(false)
}

/// Keeps a text for the end of the ingest. A problem with it is only a warning.
pub(crate) fn text(intake: &mut Intake<'_>, path: &str, inner: &str, text: Result<Option<Bytes>>) -> Result<()> {
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
