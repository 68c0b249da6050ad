//! What hauler writes into the `index.json` of a haul: a `kind` beside names whose host is cut off.
//!
//! An image also has its full name, as containerd writes it. Charts and files have only a name of hauler's own; a chart
//! says its own in its config, a file keeps that one. Signatures bear the name of what they sign.

use std::collections::HashMap;

use airdock_registry::oci::{Digest, Tag};

use super::names::{Annotations, REF_NAME};

const KIND: &str = "kind";
/// Versions before 2 called it after cosign.
const PREFIXES: [&str; 2] = ["dev.hauler/", "dev.cosignproject.cosign/"];
/// Of a signature: what it signs, where that is not what bears the same name.
const SUBJECT: &str = "hauler.dev/subject-digest";
/// Of a haul that was made for containerd: the whole `index.json`, which in its own place lists images only.
pub(crate) const INDEX: &str = "hauler-index.json";

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An image, a chart or a file.
    Content,
    /// What cosign tags after the image's digest, with this ending.
    Tagged(&'static str),
    /// What says itself what it is about.
    Referrer,
}

impl Kind {
    pub(crate) fn of(annotations: &Annotations) -> Option<Self> {
        let kind = annotations.get(KIND)?;
        let kind = PREFIXES.iter().find_map(|prefix| kind.strip_prefix(prefix))?;
        // Several of one kind have a digest behind it.
        Some(match kind.split('/').next().unwrap_or_default() {
            "sigs" => Self::Tagged("sig"),
            "atts" => Self::Tagged("att"),
            "sboms" => Self::Tagged("sbom"),
            "referrers" => Self::Referrer,
            _ => Self::Content,
        })
    }

    /// Where an entry goes that belongs to another.
    pub(crate) fn beside(self, annotations: &Annotations, subjects: &Subjects) -> Option<(Digest, Option<Tag>)> {
        let Self::Tagged(ending) = self else { return None };
        let told = annotations.get(SUBJECT).and_then(|digest| digest.parse().ok());
        let subject: Digest = told.or_else(|| subjects.get(annotations.get(REF_NAME)?).copied())?;
        let tag = format!("{}-{}.{ending}", subject.algorithm(), subject.encoded()).parse().ok()?;
        Some((subject, Some(tag)))
    }
}

/// The images of a haul by the names they share with their signatures.
pub(crate) type Subjects = HashMap<String, Digest>;

/// Collects them.
pub(crate) fn subjects<'e>(entries: impl Iterator<Item = (&'e Annotations, Digest)>) -> Subjects {
    let content = entries.filter(|(annotations, _)| Kind::of(annotations) == Some(Kind::Content));
    content.filter_map(|(annotations, digest)| Some((annotations.get(REF_NAME)?.clone(), digest))).collect()
}
