//! The problems found so far, and what cannot be pulled because of them. Bounded, however damaged a disk or a medium is.

use std::collections::BTreeMap;

use super::report::{Finding, MediumPosition};

/// How many findings are kept; more are counted.
const FINDINGS: usize = 10_000;

/// How many names are kept of what one finding breaks.
const BREAKS: usize = 50;

/// What has a problem: a blob, link or tag, and its position if it is on a medium.
pub(super) type Subject = (String, Option<MediumPosition>);

/// A blob of the data folder, or something else there.
pub(super) fn stored(what: &impl ToString) -> Subject {
    (what.to_string(), None)
}

#[derive(Default)]
pub(super) struct Findings {
    pub(super) found: BTreeMap<Subject, Finding>,
    more: u64,
}

impl Findings {
    /// The finding about a subject. Its first problem stays.
    pub(super) fn of(&mut self, subject: Subject, problem: String) -> Option<&mut Finding> {
        if !self.found.contains_key(&subject) && self.found.len() == FINDINGS {
            self.more += 1;
            return None;
        }
        let (what, position) = subject.clone();
        let new = || Finding { subject: what, position, problem, breaks: Vec::new(), more: 0, removed: false };
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

    /// All findings, and how many more there are.
    pub(super) fn end(self) -> (Vec<Finding>, u64) {
        (self.found.into_values().collect(), self.more)
    }
}
