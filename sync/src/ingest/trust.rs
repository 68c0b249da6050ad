//! Whether what was found is what a trusted key has signed.
//!
//! Everything is read first, every blob is checked against its digest, and nothing is visible yet. Then the manifests found,
//! with their names, must be those of the signed inventories: all of them and no others. Invariant: with a key, the only way
//! to a commit is through [`Trust::check`]; a text is parsed only after its signature was verified.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use airdock_registry::ReleaseSignature;
use jiff::Timestamp;

use super::error::IngestError;
use super::settings::Settings;
use crate::archive::found::{Found, Inventories, Sheet, UNTAGGED};
use crate::archive::intake::Intake;
use crate::archive::role::{INVENTORY, INVENTORY_SIGNATURE};
use crate::input::regular;
use crate::inventory::{Entry, Inventory, Key, MAX_SIGNATURE};
use crate::progress::{Event, Meter};
use crate::report::Notice;
use crate::text::printable;

/// Differences that are reported one by one.
const MAX_DIFFERENCES: usize = 50;

const CURE: &str = "make an inventory where the bundle is made, and sign it there";

/// The trusted keys, and the inventory that was given for all inputs.
pub(super) struct Trust {
    keys: Vec<Key>,
    given: Option<(String, Sheet)>,
}

/// Reads the keys, so that an unusable one is reported early. Returns a label for each.
///
/// # Errors
/// [`IngestError::Key`].
pub fn check_keys(settings: &Settings) -> Result<Vec<String>, IngestError> {
    Ok(read_keys(&settings.trust.keys)?.iter().map(label).collect())
}

fn read_keys(paths: &[PathBuf]) -> Result<Vec<Key>, IngestError> {
    let read = |path: &PathBuf| Key::read(path).map_err(|message| IngestError::Key { message });
    paths.iter().map(read).collect()
}

fn label(key: &Key) -> String {
    format!("{} ({})", key.file, key.fingerprint)
}

impl Trust {
    /// Reads the keys, and the inventory if one was given.
    pub(super) fn new(settings: &Settings) -> Result<Self, IngestError> {
        let keys = read_keys(&settings.trust.keys)?;
        let Some(path) = &settings.trust.inventory else { return Ok(Self { keys, given: None }) };
        let shown = path.display().to_string();
        let signature_path = PathBuf::from(format!("{shown}.sig"));
        let unreadable = |path: &Path, error: io::Error| IngestError::Untrusted {
            problems: vec![Notice { file: path.display().to_string(), message: format!("it cannot be read: {error}") }],
        };
        let text = regular::named(path).and_then(|opened| regular::read(opened, settings.limits.document));
        let text = text.map_err(|error| unreadable(path, error))?;
        // A link is followed: nothing of it is published, and a mounted secret consists of links.
        let signature = match regular::named(&signature_path).and_then(|opened| regular::read(opened, MAX_SIGNATURE)) {
            Ok(signature) => Some(signature.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(unreadable(&signature_path, error)),
        };
        Ok(Self { keys, given: Some((shown, Sheet { text: Some(text.into()), signature, problem: None })) })
    }

    /// Whether only signed content goes in.
    pub(super) const fn is_required(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Compares what was found with its inventories. Returns who signed them. Without keys, problems are only warnings.
    pub(super) fn check(&self, intake: &mut Intake<'_>, inputs: &str) -> Result<Vec<ReleaseSignature>, IngestError> {
        let found = std::mem::take(&mut intake.inventories);
        let mut held = self.read_all(&found, inputs);
        let none = self.given.is_none() && found.sheets.is_empty();
        if held.problems.is_empty() && !none {
            held.compare(&intake.found);
        }
        if self.is_required() {
            let is_trusted = held.problems.is_empty();
            return if is_trusted { Ok(held.signatures) } else { Err(refuse(intake.meter, held.problems)) };
        }
        for Notice { file, message } in held.problems {
            intake.warn(&file, message);
        }
        if let Some(file) = self.given.as_ref().map(|(file, _)| file).or_else(|| found.sheets.keys().next()) {
            intake.warn(file, "no signature was checked: name a key in `ingest.trust.keys`");
        }
        Ok(Vec::new())
    }

    /// Checks the inventories alone against the keys and the clock, before anything is written. They are checked again at
    /// the end.
    pub(super) fn check_ahead(&self, meter: &Meter<'_>, found: &Inventories, inputs: &str) -> Result<(), IngestError> {
        let problems = self.read_all(found, inputs).problems;
        if problems.is_empty() { Ok(()) } else { Err(refuse(meter, problems)) }
    }

    /// Reads the inventories that count. It is a problem if there is none, one is required, and none can follow.
    fn read_all(&self, found: &Inventories, inputs: &str) -> Held {
        let mut held = Held::default();
        match &self.given {
            Some((file, sheet)) => self.read(file, sheet, &mut held),
            None => found.sheets.iter().for_each(|(file, sheet)| self.read(file, sheet, &mut held)),
        }
        let none = self.given.is_none() && found.sheets.is_empty();
        if none && self.is_required() && !found.incomplete {
            let nested = found.nested.as_ref().map(|nested| {
                format!(" (`{nested}` is about that archive alone: give the archive itself, or make one for all of it)")
            });
            let message = format!(
                "it has no inventory, and only what is signed by {} goes in; {CURE}, and put `{INVENTORY}` and \
                 `{INVENTORY_SIGNATURE}` into the bundle's root, or give them separately{}",
                self.keys(),
                nested.unwrap_or_default()
            );
            held.problem(inputs, message);
        }
        held
    }

    /// Verifies one inventory and adds what it names.
    fn read(&self, file: &str, sheet: &Sheet, held: &mut Held) {
        if let Some(problem) = &sheet.problem {
            return held.problem(file, problem.clone());
        }
        let Some(text) = &sheet.text else {
            return held.problem(file, format!("its signature is there and it is not; {CURE}"));
        };
        if self.is_required() {
            let Some(signature) = &sheet.signature else {
                let keys = self.keys();
                let message = format!("it has no signature: there is no `{file}.sig`; sign it, with the key of {keys}");
                return held.problem(file, message);
            };
            let Some(key) = self.keys.iter().find(|key| key.has_signed(text, signature)) else {
                let message = format!(
                    "its signature is not by {} over what it says; was it changed on the way, or signed with another key?",
                    self.keys()
                );
                return held.problem(file, message);
            };
            let (inventory, key, fingerprint) = (file.to_owned(), key.file.clone(), key.fingerprint);
            held.signatures.push(ReleaseSignature { inventory, key, fingerprint });
        }
        match Inventory::parse(text) {
            Ok(inventory) => held.add(file, inventory),
            Err(error) => held.problem(file, format!("{error}; {CURE}")),
        }
    }

    /// All keys, for a sentence.
    fn keys(&self) -> String {
        self.keys.iter().map(label).collect::<Vec<_>>().join(" or ")
    }
}

/// Reports the problems as events, and as the error that ends the ingest.
pub(super) fn refuse(meter: &Meter<'_>, problems: Vec<Notice>) -> IngestError {
    problems.iter().for_each(|problem| meter.tell(Event::Failed(problem.clone())));
    IngestError::Untrusted { problems }
}

/// What the inventories list, and the problems.
#[derive(Default)]
struct Held {
    /// Each entry with the inventory that lists it.
    wanted: BTreeMap<Entry, String>,
    tagged: BTreeMap<String, Entry>,
    signatures: Vec<ReleaseSignature>,
    problems: Vec<Notice>,
}

impl Held {
    fn problem(&mut self, file: &str, message: String) {
        self.problems.push(Notice { file: printable(file), message });
    }

    fn add(&mut self, file: &str, inventory: Inventory) {
        if let Some(expires) = inventory.expires.filter(|_| inventory.is_expired(Timestamp::now())) {
            let message = format!("it expired at {expires} by this machine's clock; bring a newer bundle");
            return self.problem(file, message);
        }
        for entry in inventory.entries {
            if entry.is_tagged() {
                let before = self.tagged.insert(entry.name().to_owned(), entry.clone());
                if let Some(before) = before.filter(|before| *before != entry) {
                    let (name, digest) = (entry.name(), before.digest());
                    let message = format!("`{name}` is {} here and {digest} in another inventory", entry.digest());
                    self.problem(file, format!("{message}; ingest each bundle by itself"));
                }
            }
            self.wanted.insert(entry, file.to_owned());
        }
    }

    /// Every manifest that would be linked must be listed under each of its names, and every listed one must be there.
    fn compare(&mut self, found: &[Found]) {
        let mut extra: BTreeMap<Entry, &str> = BTreeMap::new();
        let mut there = BTreeSet::new();
        for item in found {
            for entry in entries(item) {
                if !self.wanted.contains_key(&entry) {
                    extra.insert(entry.clone(), &item.file);
                }
                there.insert(entry);
            }
        }
        let mut differences: Vec<(String, String)> = Vec::new();
        let mut replaced = BTreeSet::new();
        for (entry, file) in extra {
            let (name, digest) = (entry.name(), entry.digest());
            let said = self.tagged.get(name).filter(|_| entry.is_tagged());
            let message = match said {
                Some(said) => {
                    replaced.insert(said.clone());
                    let said = said.digest();
                    format!("`{name}` is {digest}, where the inventory says {said}: it was changed, or swapped")
                }
                None => format!("the inventory does not name {digest} as `{name}`"),
            };
            differences.push((file.to_owned(), message));
        }
        let missing = self.wanted.iter().filter(|(entry, _)| !there.contains(entry) && !replaced.contains(entry));
        for (entry, file) in missing {
            let message = format!("it names {} as `{}`, which is not in what was given", entry.digest(), entry.name());
            differences.push((file.clone(), message));
        }
        let more = differences.len().saturating_sub(MAX_DIFFERENCES);
        for (file, message) in differences.into_iter().take(MAX_DIFFERENCES) {
            self.problem(&file, message);
        }
        if more > 0 {
            self.problem(INVENTORY, format!("and {more} more differences"));
        }
    }
}

/// The entries that an inventory of `found` has.
pub(super) fn entries(found: &Found) -> Vec<Entry> {
    if let Some((about, tag)) = &found.beside {
        return vec![Entry::beside(found.root, about, tag.as_ref())];
    }
    let named = found.names.iter().map(|name| match &name.tag {
        None if name.repository.as_str() == UNTAGGED => Entry::nameless(found.root),
        tag => Entry::named(found.root, &name.repository, tag.as_ref()),
    });
    named.collect()
}
