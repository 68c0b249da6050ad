//! What an archive holds that no image, no chart and no text of it asked for. Nothing is left behind without a word: blobs
//! that nothing explains are a copy that was not finished, which is a failure; blobs beside images that do not name them are
//! a warning.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::intake::Intake;
use super::parts::{Parts, join};
use super::role::Role;
use crate::problem::{Problem, Result};
use crate::text::{list, printable};

/// Blobs of one folder that are named.
const NAMED: usize = 3;
/// Docker's old description of a layer has some hundred bytes.
const MAX_LEGACY: u64 = 64 * 1024;

/// The folders that were read, and whether each was read without a failure.
#[derive(Default)]
pub(super) struct Explained(BTreeMap<String, bool>);

impl Explained {
    /// `folder` holds images. `whole`: none of them failed.
    pub(super) fn add(&mut self, folder: &str, whole: bool) {
        self.0.entry(folder.to_owned()).and_modify(|before| *before &= whole).or_insert(whole);
    }
}

/// How blobs are arranged, by which it is known what should have explained them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Layout,
    Storage,
    /// A `dir:` folder, or one of `docker save`.
    Described,
}

/// Tells of everything that nothing asked for. Returns whether there were blobs that nothing explains.
pub(super) fn tell(
    parts: &dyn Parts,
    intake: &mut Intake<'_>,
    file: &str,
    separator: &str,
    explained: &Explained,
) -> Result<bool> {
    let mut folders: BTreeMap<(String, Kind), BTreeSet<String>> = BTreeMap::new();
    for path in parts.unasked() {
        if let Some((folder, kind)) = home(&path) {
            folders.entry((folder.to_owned(), kind)).or_default().insert(path);
        }
    }
    let mut unexplained = false;
    for ((folder, kind), mut paths) in folders {
        let shown = if folder.is_empty() { file.to_owned() } else { format!("{file}{separator}{folder}") };
        let whole = explained.0.get(&folder);
        if whole == Some(&true) {
            paths.retain(|path| !is_legacy(parts, path));
        }
        let named: Vec<String> = {
            let within = |path: &String| printable(path.strip_prefix(&folder).unwrap_or(path).trim_start_matches('/'));
            paths.iter().take(NAMED).map(|path| format!("`{}`", within(path))).collect()
        };
        let more = match paths.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        match whole {
            _ if paths.is_empty() => {}
            // What failed names them, or would have.
            Some(false) => {}
            Some(true) => {
                intake.warn(&shown, format!("left out, because no image names it: {}{more}", list(&named)));
            }
            None => {
                unexplained = true;
                let lacks = lacks(parts, &folder, kind)?;
                let what = format!(
                    "{}{more} are there, and nothing says what they are: {lacks}; the copy was not finished, or left files out",
                    list(&named)
                );
                intake.fail(&shown, Problem::Incomplete(what))?;
            }
        }
    }
    Ok(unexplained)
}

/// The folder of the image, layout or storage that a blob or its like belongs to.
fn home(path: &str) -> Option<(&str, Kind)> {
    let (levels, kind): (usize, _) = match Role::of(path) {
        Role::Blob(_) if path.ends_with("/data") => (5, Kind::Storage),
        Role::Blob(_) if path.rsplit('/').nth(2) == Some("blobs") => (3, Kind::Layout),
        Role::Layer if path.ends_with("/layer.tar") => (2, Kind::Described),
        Role::Blob(_) | Role::Config(_) | Role::Layer => (1, Kind::Described),
        _ => return None,
    };
    // A path has at least as many components as its role tells of.
    let end = path.rmatch_indices('/').nth(levels - 1).map_or(0, |(at, _)| at);
    Some((&path[..end], kind))
}

/// What is missing in a folder.
fn lacks(parts: &dyn Parts, folder: &str, kind: Kind) -> Result<&'static str> {
    Ok(match kind {
        Kind::Storage => "there is no `repositories` beside them with a tag or a manifest",
        Kind::Described => "there is no `manifest.json` beside them",
        Kind::Layout if parts.size(&join(folder, "index.json"))?.is_some() => {
            "there is no `oci-layout` beside `index.json`"
        }
        Kind::Layout => "there is no `index.json` beside them",
    })
}

/// Whether it is a description of one layer for Docker before 1.10, which Docker still writes beside every image.
fn is_legacy(parts: &dyn Parts, path: &str) -> bool {
    #[derive(Deserialize)]
    struct Layer {
        #[serde(rename = "container_config")]
        _container: IgnoredAny,
        rootfs: Option<IgnoredAny>,
    }
    let Ok(Some(bytes)) = parts.document(path, MAX_LEGACY) else { return false };
    serde_json::from_slice::<Layer>(&bytes).is_ok_and(|layer| layer.rootfs.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_belongs_to_the_folder_that_should_explain_it() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for (path, expected) in [
            (format!("blobs/sha256/{hex}"), Some(("", Kind::Layout))),
            (format!("b/images/blobs/sha256/{hex}"), Some(("b/images", Kind::Layout))),
            (format!("v2/blobs/sha256/e3/{hex}/data"), Some(("v2", Kind::Storage))),
            (format!("blobs/sha256/e3/{hex}/data"), Some(("", Kind::Storage))),
            (format!("registry.example/a:1/{hex}"), Some(("registry.example/a:1", Kind::Described))),
            (format!("{hex}.json"), Some(("", Kind::Described))),
            (format!("x/{hex}/layer.tar"), Some(("x", Kind::Described))),
            (format!("{hex}/layer.tar"), Some(("", Kind::Described))),
            (format!("x/{hex}.tar.gz"), Some(("x", Kind::Described))),
            ("x/index.json".into(), None),
            ("x/notes.txt".into(), None),
        ] {
            assert_eq!(home(&path), expected, "{path}");
        }
    }
}
