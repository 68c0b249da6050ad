//! Whose tag goes before whose when a bundle comes upon one that points elsewhere.

use serde::{Deserialize, Serialize};

use crate::oci::{Digest, RepositoryName};
use crate::store::{Provenance, TagLink, WhyKept};

use super::Outcome;

/// What an ingest does with tags that point elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Precedence {
    /// What becomes of tags that somebody pushed.
    pub on_conflict: OnConflict,
    /// Prefixes below which no tag that exists is ever moved. One that ends in `/` is about the repositories below it;
    /// one that does not, also about the repository of that name.
    pub protect: Vec<String>,
}

/// What becomes of a tag that somebody pushed when a bundle brings another content for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnConflict {
    /// It stays, and is reported; the rest goes in.
    #[default]
    Keep,
    /// The bundle's content takes its place; a rollback brings it back.
    Replace,
    /// Nothing of the bundle becomes visible.
    Fail,
}

impl Precedence {
    /// What becomes of a tag that points `there` and that a bundle brings with `digest`.
    pub(crate) fn outcome(
        &self,
        repository: &RepositoryName,
        there: Option<&TagLink>,
        digest: &Digest,
        origin: &Provenance,
    ) -> Outcome {
        match there {
            None => Outcome::New,
            Some(there) if there.digest == *digest => Outcome::AlreadyThere,
            Some(there) => match self.keeps(repository, there, origin) {
                Some(why) => Outcome::Kept { current: there.digest, by: there.provenance.clone(), why },
                None => Outcome::Moved { from: there.digest },
            },
        }
    }

    /// Why the tag stays as it is, if it does.
    fn keeps(&self, repository: &RepositoryName, there: &TagLink, origin: &Provenance) -> Option<WhyKept> {
        if self.protect.iter().any(|prefix| is_below(repository, prefix)) {
            return Some(WhyKept::Protected);
        }
        let outranks = there.provenance.rank() > origin.rank();
        (outranks && self.on_conflict != OnConflict::Replace).then_some(WhyKept::Precedence)
    }
}

fn is_below(repository: &RepositoryName, prefix: &str) -> bool {
    let Some(rest) = repository.as_str().strip_prefix(prefix) else { return false };
    // Whole components: `team` is not about `teamwork`.
    if prefix.ends_with('/') { !rest.is_empty() } else { rest.is_empty() || rest.starts_with('/') }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_of_whole_components() {
        let below = |repository: &str, prefix| is_below(&repository.parse().unwrap(), prefix);
        assert!(below("zenml/a", "zenml/") && below("zenml/a/b", "zenml") && below("zenml", "zenml"));
        assert!(!below("zenml", "zenml/") && !below("zenmldocker/a", "zenml") && !below("a/zenml/b", "zenml/"));
    }
}
