//! Collecting the inventories of a bundle and their signatures, byte for byte, until everything is read.
//!
//! An inventory counts in the root of an input, or one folder down, which is the root of a tar of a folder. Inside an
//! archive of a bundle it describes that archive only and does not count.

use bytes::Bytes;

use super::found::Inventories;
use super::intake::Intake;
use super::role::INVENTORY_SIGNATURE;
use crate::inventory::MAX_SIGNATURE;
use crate::problem::Result;
use crate::text::printable;

/// Inventories in one ingest: one for each bundle.
const MAX_SHEETS: usize = 64;
/// The size of all of them together, in bytes. A line has about a hundred and fifty.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Takes the file `path` of an archive, whose full name is `inner`.
pub(crate) fn take(
    intake: &mut Intake<'_>,
    path: &str,
    inner: &str,
    read: impl FnOnce(u64) -> Result<Option<Bytes>>,
) -> Result<()> {
    if path.split('/').count() > 2 {
        return Ok(());
    }
    let is_signature = path.ends_with(INVENTORY_SIGNATURE);
    if intake.archives > 1 {
        if !is_signature {
            intake.inventories.nested.get_or_insert_with(|| printable(inner));
        }
        return Ok(());
    }
    let limit = if is_signature { MAX_SIGNATURE } else { intake.limits.document };
    let read = match read(limit) {
        Err(problem) if problem.is_fatal() => return Err(problem),
        read => read,
    };
    let of = if is_signature { inner.strip_suffix(".sig").unwrap_or(inner) } else { inner };
    let Inventories { sheets, bytes, .. } = &mut intake.inventories;
    // One more than allowed is kept, so that it is reported.
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
