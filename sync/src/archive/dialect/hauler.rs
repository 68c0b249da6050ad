//! What hauler writes into the `index.json` of a haul: a `kind`, and names whose host is cut off.
//!
//! An image also has its full name, as containerd writes it. Charts and files only have hauler's own name: a chart states
//! its name in its config, a file keeps hauler's. A signature has the name of what it signs.

use std::collections::HashMap;

use airdock_registry::oci::{Digest, Tag};

use crate::archive::names::{Annotations, IMAGE_NAME, Names, REF_NAME, as_it_stands};

const KIND: &str = "kind";
/// Versions before 2 used cosign's prefix.
const PREFIXES: [&str; 2] = ["dev.hauler/", "dev.cosignproject.cosign/"];
/// Kinds that belong to an image: what cosign tags with its digest, and artifacts with a subject. Others are content.
const BELONGING: [&str; 4] = ["sigs", "atts", "sboms", "referrers"];
/// On a signature: what it signs, if not the image of the same name.
const SUBJECT: &str = "hauler.dev/subject-digest";
/// In a haul made for containerd: the whole `index.json`, which in its own place lists images only.
pub(crate) const INDEX: &str = "hauler-index.json";

/// The images of a haul by the names they share with their signatures.
pub(crate) type Subjects = HashMap<String, Digest>;

/// Collects them.
pub(crate) fn subjects<'e>(entries: impl Iterator<Item = (&'e Annotations, Digest)>) -> Subjects {
    let content = entries.filter(|(annotations, _)| kind(annotations).is_some_and(|kind| !BELONGING.contains(&kind)));
    content.filter_map(|(annotations, digest)| Some((annotations.get(REF_NAME)?.clone(), digest))).collect()
}

/// Reads the names of an entry. `false`: hauler did not write it.
pub(crate) fn read(names: &mut Names, annotations: &Annotations, subjects: &Subjects) -> bool {
    let Some(kind) = kind(annotations) else { return false };
    // The names in hauler's `manifest.json` have lost their hosts.
    names.complete = true;
    match kind {
        "sigs" => names.beside = beside("sig", annotations, subjects),
        "atts" => names.beside = beside("att", annotations, subjects),
        "sboms" => names.beside = beside("sbom", annotations, subjects),
        "referrers" => names.beside = None,
        _ if annotations.contains_key(IMAGE_NAME) => names.read(annotations, false),
        _ => names.cut.extend(annotations.get(REF_NAME).and_then(|name| as_it_stands(name))),
    }
    true
}

/// What hauler says an entry is.
fn kind(annotations: &Annotations) -> Option<&str> {
    let kind = annotations.get(KIND)?;
    let kind = PREFIXES.iter().find_map(|prefix| kind.strip_prefix(prefix))?;
    // Several of one kind have a digest at the end.
    kind.split('/').next()
}

/// Where an entry goes that belongs to another.
fn beside(ending: &str, annotations: &Annotations, subjects: &Subjects) -> Option<(Digest, Option<Tag>)> {
    let stated = annotations.get(SUBJECT).and_then(|digest| digest.parse().ok());
    let subject: Digest = stated.or_else(|| subjects.get(annotations.get(REF_NAME)?).copied())?;
    let tag = format!("{}-{}.{ending}", subject.algorithm(), subject.encoded()).parse().ok()?;
    Some((subject, Some(tag)))
}
