//! Names of tar entries and targets of links: relative, within the archive, and the same to every reader.

/// The longest name.
pub(super) const MAX_PATH: usize = 4096;

fn text(raw: &[u8]) -> Result<&str, &'static str> {
    if raw.len() > MAX_PATH {
        return Err("its name is too long");
    }
    let text = std::str::from_utf8(raw).map_err(|_| "its name is not UTF-8")?;
    if text.contains(['\0', '\\']) { Err("its name has a backslash or a zero byte") } else { Ok(text) }
}

/// The path without `.` and empty components.
pub(crate) fn normalised(raw: &[u8]) -> Result<String, &'static str> {
    let text = text(raw)?;
    if text.starts_with('/') {
        return Err("its name is an absolute path");
    }
    if text.split('/').any(|part| part == "..") {
        return Err("its name leaves the archive (`..`)");
    }
    Ok(text.split('/').filter(|part| !matches!(*part, "" | ".")).collect::<Vec<_>>().join("/"))
}

/// The target of a link, which must be within the archive. A symbolic link is relative to its folder, a hard link to the
/// archive.
pub(crate) fn link_target(path: &str, raw: &[u8], symbolic: bool) -> Result<String, &'static str> {
    let target = text(raw)?;
    if target.is_empty() || target.starts_with('/') {
        return Err("it links to an absolute path, outside the archive");
    }
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    if !symbolic {
        parts.clear();
    }
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop().ok_or("it links to outside the archive (`..`)")?),
            _ => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}
