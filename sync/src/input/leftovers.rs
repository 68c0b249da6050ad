//! What operating systems and desktops leave behind in folders, and what else is no content of a bundle by its name alone.
//! One list for folders and archives, because an archive is a folder that somebody packed.

/// The deepest folder.
pub(crate) const MAX_DEPTH: usize = 32;

pub(crate) const NOT_UTF8: &str = "its name is not UTF-8; rename it, or pack the bundle again without it";
const BACKSLASH: &str = "its name has a backslash, which readers disagree about; rename it";
const TOO_DEEP: &str = "a folder so deep is left out";
const HIDDEN: &str = "it is hidden, because its name begins with a dot; rename it if it belongs to the bundle";

/// Hidden files and folders that are known to be nobody's content: of macOS, of desktops, of network shares and of version
/// control.
const KNOWN_HIDDEN: [&str; 19] = [
    ".AppleDB",
    ".AppleDesktop",
    ".AppleDouble",
    ".DS_Store",
    ".DocumentRevisions-V100",
    ".Spotlight-V100",
    ".TemporaryItems",
    ".Trashes",
    ".VolumeIcon.icns",
    ".apdisk",
    ".directory",
    ".fseventsd",
    ".hg",
    ".hidden",
    ".localized",
    ".metadata_never_index",
    ".nomedia",
    ".snapshot",
    ".svn",
];

/// The same by how their names begin: AppleDouble, Git, trash of desktops, and files that a network share holds open.
const KNOWN_BEGINNINGS: [&str; 6] = ["._", ".git", ".Trash-", ".nfs", ".fuse_hidden", ".~lock."];

/// The same with names that are not hidden: of Windows, of NAS devices, and of archivers. Compared without case, as the file
/// systems do that hold them.
const KNOWN_OTHERS: [&str; 10] = [
    "$recycle.bin",
    "#recycle",
    "@eadir",
    "__macosx",
    "desktop.ini",
    "ehthumbs.db",
    "lost+found",
    "recycler",
    "system volume information",
    "thumbs.db",
];

/// Why a file or folder is left out by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeftOut {
    /// It needs no word: nobody put it there on purpose.
    Silently,
    /// It may be missed.
    Because(&'static str),
}

/// Whether a file or folder of this name, at this depth, is left out.
pub(crate) fn judge(name: &str, depth: usize, is_folder: bool) -> Option<LeftOut> {
    let known = KNOWN_HIDDEN.contains(&name)
        || KNOWN_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
        || KNOWN_OTHERS.iter().any(|other| name.eq_ignore_ascii_case(other));
    match name {
        _ if known => Some(LeftOut::Silently),
        _ if name.starts_with('.') => Some(LeftOut::Because(HIDDEN)),
        _ if name.contains('\\') => Some(LeftOut::Because(BACKSLASH)),
        _ if is_folder && depth >= MAX_DEPTH => Some(LeftOut::Because(TOO_DEEP)),
        _ => None,
    }
}

/// The same for a path in an archive: where the first of its components ends that is left out, and why.
pub(crate) fn judge_path(path: &str, is_folder: bool) -> Option<(usize, LeftOut)> {
    let mut end = 0;
    for (depth, name) in path.split('/').enumerate() {
        end += name.len() + usize::from(depth > 0);
        if let Some(why) = judge(name, depth, is_folder || end < path.len()) {
            return Some((end, why));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b10_junk_of_operating_systems_is_left_out_without_a_word_and_other_hidden_files_with_one() {
        for path in
            ["b/._app.tar", "._b/app.tar", "b/.DS_Store", "b/Thumbs.db", "b/THUMBS.DB", "lost+found/#12", ".git/a"]
        {
            assert!(matches!(judge_path(path, false), Some((_, LeftOut::Silently))), "{path}");
        }
        assert_eq!(judge_path("b/.cache/images/a.tar", false), Some((8, LeftOut::Because(HIDDEN))));
        assert_eq!(judge_path("b\\a", false), Some((3, LeftOut::Because(BACKSLASH))));
        let deep = "d/".repeat(MAX_DEPTH);
        assert_eq!(judge_path(&format!("{deep}f"), false), None);
        let deeper = format!("{deep}d");
        assert_eq!(judge_path(&deeper, true), Some((deeper.len(), LeftOut::Because(TOO_DEEP))));
        assert_eq!(judge_path(&format!("{deeper}/f"), false), Some((deeper.len(), LeftOut::Because(TOO_DEEP))));
        for path in ["b/app.tar", "blobs/sha256/ab", "a..b", "index.json"] {
            assert_eq!(judge_path(path, false), None, "{path}");
        }
    }
}
