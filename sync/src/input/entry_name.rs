//! Names of tar entries: relative, within the archive, and the same to every reader.

/// The longest name.
pub(super) const MAX_PATH: usize = 4096;

/// Why an entry's name cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// Nobody writes it by accident: the archive is refused.
    Hostile(&'static str),
    /// A file that happens to have such a name, as in a folder: it is left out, its neighbours are not.
    Harmless(&'static str),
}

/// A name or the target of a link as text.
pub(super) fn text(raw: &[u8]) -> Result<&str, Unfit> {
    if raw.len() > MAX_PATH {
        return Err(Unfit::Hostile("its name is too long"));
    }
    if raw.contains(&0) {
        return Err(Unfit::Hostile("its name has a zero byte"));
    }
    std::str::from_utf8(raw).map_err(|_| Unfit::Harmless(super::leftovers::NOT_UTF8))
}

/// The path without `.` and empty components.
pub(crate) fn normalised(raw: &[u8]) -> Result<String, Unfit> {
    if raw.starts_with(b"/") {
        return Err(Unfit::Hostile("its name is an absolute path"));
    }
    if raw.split(|byte| *byte == b'/').any(|part| part == b"..") {
        return Err(Unfit::Hostile("its name leaves the archive (`..`)"));
    }
    Ok(components(text(raw)?).collect::<Vec<_>>().join("/"))
}

/// The components of a path, without `.` and empty ones.
pub(crate) fn components(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    path.split('/').filter(|part| !matches!(*part, "" | "."))
}
