//! What a client requires of the present content before it changes it (RFC 9110, 13): checked while the repository is
//! locked for the change, so that of two writers of one tag the second finds out.

use crate::catalog::Catalog;
use crate::error::Error;
use crate::oci::{Digest, RepositoryName, TagOrDigest};

/// What must be true of the content that a name has now. Without requirements everything fits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Precondition {
    /// `If-Match`: it must have one of these digests.
    pub matches: Option<Digests>,
    /// `If-None-Match`: it must have none of these.
    pub none_matches: Option<Digests>,
}

/// Some digests, or all there can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Digests {
    /// Whatever there is.
    Any,
    /// One of these.
    OneOf(Vec<Digest>),
}

impl Digests {
    fn has(&self, found: Option<&Digest>) -> bool {
        match (self, found) {
            (_, None) => false,
            (Self::Any, Some(_)) => true,
            (Self::OneOf(digests), Some(found)) => digests.contains(found),
        }
    }
}

impl Precondition {
    /// Whether nothing is required.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.matches.is_none() && self.none_matches.is_none()
    }

    /// Whether content with this digest fits, or that there is none.
    #[must_use]
    pub fn fits(&self, found: Option<&Digest>) -> bool {
        self.matches.as_ref().is_none_or(|digests| digests.has(found))
            && !self.none_matches.as_ref().is_some_and(|digests| digests.has(found))
    }

    /// Checks it against what a pull of exactly this repository gets; it must be locked.
    pub(super) async fn check(
        &self,
        catalog: &Catalog,
        repository: &RepositoryName,
        reference: &TagOrDigest,
    ) -> Result<(), Error> {
        if self.is_empty() {
            return Ok(());
        }
        let found = match reference {
            TagOrDigest::Tag(tag) => catalog.resolve(repository, tag).await?.map(|binding| binding.digest),
            TagOrDigest::Digest(digest) => catalog.names_manifest(repository, digest).await?.then_some(*digest),
        };
        self.check_found(repository, &reference.to_string(), found)
    }

    pub(super) fn check_found(
        &self,
        repository: &RepositoryName,
        reference: &str,
        found: Option<Digest>,
    ) -> Result<(), Error> {
        if self.fits(found.as_ref()) {
            return Ok(());
        }
        Err(Error::PreconditionFailed { repository: repository.clone(), reference: reference.to_owned(), found })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Algorithm;

    #[test]
    fn what_is_required_is_of_what_is_there() {
        let (here, other) = (Algorithm::Sha256.digest(b"here"), Algorithm::Sha256.digest(b"other"));
        let one = |digest| Some(Digests::OneOf(vec![digest]));
        let matches = |matches| Precondition { matches, none_matches: None };
        let none_matches = |none_matches| Precondition { matches: None, none_matches };
        for (required, with_it, with_nothing) in [
            (Precondition::default(), true, true),
            (matches(Some(Digests::Any)), true, false),
            (matches(one(here)), true, false),
            (matches(one(other)), false, false),
            (matches(Some(Digests::OneOf(Vec::new()))), false, false),
            (none_matches(Some(Digests::Any)), false, true),
            (none_matches(one(here)), false, true),
            (none_matches(one(other)), true, true),
            (Precondition { matches: one(here), none_matches: one(other) }, true, false),
            (Precondition { matches: one(here), none_matches: one(here) }, false, false),
        ] {
            assert_eq!((required.fits(Some(&here)), required.fits(None)), (with_it, with_nothing), "{required:?}");
        }
    }
}
