//! Conflict rules: which source wins when a tag already points elsewhere.

use serde::{Deserialize, Serialize};

use super::binding::{Provenance, Rank, TagLink};
use crate::oci::{Digest, RepositoryName};

/// What an ingest or a mount does with tags that already point elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Precedence {
    /// What happens to pushed tags.
    pub on_conflict: OnConflict,
    /// Prefixes below which no existing tag is moved. One that ends in `/` covers the repositories below it; one that does
    /// not, also the repository of that name.
    pub protect: Vec<String>,
}

/// What happens to a pushed tag when a bundle has other content for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnConflict {
    /// It stays and is reported; the rest is ingested.
    #[default]
    Keep,
    /// It is moved to the bundle's content; a rollback restores it.
    Replace,
    /// The ingest fails; nothing of the bundle becomes visible.
    Fail,
}

/// What happened to one tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The tag was not there.
    New,
    /// It pointed there already.
    AlreadyThere,
    /// It pointed elsewhere and was moved.
    Moved {
        /// Where it pointed.
        from: Digest,
    },
    /// It points elsewhere and stays.
    Kept {
        /// Where it points.
        current: Digest,
        /// Where that came from.
        by: Provenance,
        /// Why.
        why: WhyKept,
    },
}

/// Why a tag stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhyKept {
    /// Its source goes before a bundle.
    Precedence,
    /// It is below a prefix that no bundle may change.
    Protected,
    /// A client pushed or deleted it since.
    ChangedSince,
    /// What it would point at is gone.
    TargetGone,
}

impl Precedence {
    /// What happens to a tag that points `there` when a source of `rank` brings it with `digest`.
    pub(crate) fn outcome(
        &self,
        repository: &RepositoryName,
        there: Option<&TagLink>,
        digest: &Digest,
        rank: Rank,
    ) -> Outcome {
        match there {
            None => Outcome::New,
            Some(there) if there.digest == *digest => Outcome::AlreadyThere,
            Some(there) => match self.keeps(repository, there, rank) {
                Some(why) => Outcome::Kept { current: there.digest, by: there.provenance.clone(), why },
                None => Outcome::Moved { from: there.digest },
            },
        }
    }

    /// Why the tag stays as it is, if it does.
    fn keeps(&self, repository: &RepositoryName, there: &TagLink, rank: Rank) -> Option<WhyKept> {
        if self.protects(repository) {
            return Some(WhyKept::Protected);
        }
        let outranks = there.provenance.rank() > rank;
        (outranks && self.on_conflict != OnConflict::Replace).then_some(WhyKept::Precedence)
    }

    /// Whether no tag of the repository that exists is ever moved.
    pub(crate) fn protects(&self, repository: &RepositoryName) -> bool {
        self.protect.iter().any(|prefix| is_below(repository, prefix))
    }
}

fn is_below(repository: &RepositoryName, prefix: &str) -> bool {
    let Some(rest) = repository.as_str().strip_prefix(prefix) else { return false };
    // Whole components: `team` does not cover `teamwork`.
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
