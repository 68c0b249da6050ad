//! The inventories of what is read, and their signatures, kept byte for byte until everything is read.
//!
//! An inventory lies in the root of what was given, or one folder down, where a tar of a folder has its root. Inside an
//! archive of a bundle it is about that archive, and does not count: whoever made the bundle says what it brings.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::intake::Intake;
use super::problem::{Problem, printable};
use super::role::INVENTORY_SIGNATURE;
use crate::inventory::MAX_SIGNATURE;

/// Inventories that count, in one ingest: one for each bundle.
const MAX_SHEETS: usize = 64;
/// Their bytes together: a line has about a hundred and fifty.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// What was found of them.
#[derive(Debug, Default)]
pub(crate) struct Inventories {
    /// By the file the text is in, or should be.
    pub(crate) sheets: BTreeMap<String, Sheet>,
    /// Whether the root of something was left unread, so that there may be more.
    pub(crate) incomplete: bool,
    /// One that does not count.
    pub(crate) nested: Option<String>,
    bytes: usize,
}

/// An inventory and its signature, as far as they are there.
#[derive(Debug, Default)]
pub(crate) struct Sheet {
    pub(crate) text: Option<Bytes>,
    pub(crate) signature: Option<Bytes>,
    /// Why one of them could not be read.
    pub(crate) problem: Option<String>,
}

/// Takes what lies at `path` of an archive, `inner` for a person.
pub(crate) fn take<'a>(
    intake: &mut Intake<'a>,
    path: &str,
    inner: &str,
    read: impl FnOnce(&mut Intake<'a>, u64) -> Result<Option<Bytes>, Problem>,
) -> Result<(), Problem> {
    if path.split('/').count() > 2 {
        return Ok(());
    }
    let is_signature = path.ends_with(INVENTORY_SIGNATURE);
    if intake.depth > 1 {
        if !is_signature {
            intake.inventories.nested.get_or_insert_with(|| printable(inner));
        }
        return Ok(());
    }
    let limit = if is_signature { MAX_SIGNATURE } else { intake.limits.document };
    let read = match read(intake, limit) {
        Err(problem) if problem.is_fatal() => return Err(problem),
        read => read,
    };
    let of = if is_signature { inner.strip_suffix(".sig").unwrap_or(inner) } else { inner };
    let Inventories { sheets, bytes, .. } = &mut intake.inventories;
    // One more than may be, so that it is seen.
    if sheets.len() > MAX_SHEETS && !sheets.contains_key(of) {
        return Ok(());
    }
    let crowded = sheets.len() >= MAX_SHEETS;
    let sheet = sheets.entry(of.to_owned()).or_default();
    match read {
        _ if crowded && sheet.text.is_none() && sheet.signature.is_none() => {
            sheet.problem = Some(format!("there are more than {MAX_SHEETS} inventories; ingest in parts"));
        }
        Ok(Some(text)) if *bytes + text.len() <= MAX_BYTES => {
            *bytes += text.len();
            *if is_signature { &mut sheet.signature } else { &mut sheet.text } = Some(text);
        }
        Ok(Some(_)) => {
            sheet.problem = Some(format!("all inventories together are over {MAX_BYTES} bytes; ingest in parts"));
        }
        Ok(None) => {}
        Err(problem) => sheet.problem = Some(problem.sentence()),
    }
    Ok(())
}
