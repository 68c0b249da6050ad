//! What is wrong so far, and what cannot be pulled because of it. Bounded, whatever a disk or a medium is like.

use std::collections::BTreeMap;

use super::report::{Finding, MediumPlace};
use crate::oci::Digest;

/// Findings kept; what is beyond is counted.
const FINDINGS: usize = 10_000;

/// Names of what a finding breaks that are kept.
const BREAKS: usize = 50;

/// What something is wrong with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Subject {
    what: String,
    place: Option<MediumPlace>,
}

impl Subject {
    /// A blob of the data folder, or something else there.
    pub(super) fn stored(what: &impl ToString) -> Self {
        Self { what: what.to_string(), place: None }
    }

    /// A blob at one place of a medium.
    pub(super) fn mounted(digest: &Digest, place: MediumPlace) -> Self {
        Self { what: digest.to_string(), place: Some(place) }
    }
}

/// What is wrong so far, by what it is wrong with.
#[derive(Default)]
pub(super) struct Findings {
    found: BTreeMap<Subject, Finding>,
    more: u64,
}

impl Findings {
    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub(super) fn has(&self, subject: &Subject) -> bool {
        self.found.contains_key(subject)
    }

    /// The finding about something; the first problem that was found with it stays.
    pub(super) fn of(&mut self, subject: Subject, problem: String) -> Option<&mut Finding> {
        if !self.found.contains_key(&subject) && self.found.len() == FINDINGS {
            self.more += 1;
            return None;
        }
        let Subject { what, place } = subject.clone();
        let new = || Finding { subject: what, place, problem, breaks: Vec::new(), more: 0, removed: false };
        Some(self.found.entry(subject).or_insert_with(new))
    }

    pub(super) fn breaks(&mut self, subject: &Subject, name: &str) {
        let Some(finding) = self.found.get_mut(subject) else { return };
        if finding.breaks.iter().any(|there| there == name) {
        } else if finding.breaks.len() == BREAKS {
            finding.more += 1;
        } else {
            finding.breaks.push(name.to_owned());
        }
    }

    /// All of them, and how many more there are.
    pub(super) fn end(self) -> (Vec<Finding>, u64) {
        (self.found.into_values().collect(), self.more)
    }
}
