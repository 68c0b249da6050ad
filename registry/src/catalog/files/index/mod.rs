//! The index: derived from the link files, so that lists and memberships need no walk over the disk.
//!
//! Invariant: it is a pure function of the links. Its folder may be deleted, truncated or overwritten at any moment; the
//! next start rebuilds it. No change is acknowledged because of it, so nothing here is synced while the process runs.
//! Only this room knows which database is used.

mod keys;
mod seal;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use sled::{Batch, Db};

use crate::catalog::homes::{Homes, add_home};
use crate::catalog::page::Page;
use crate::disk::{DiskError, Layout, create_folder};
use crate::oci::{Digest, Manifest, RepositoryName, Tag};
use keys::Table;

/// Cache of the database in bytes. More than the data it will hold: with less, its memory grows without bound
/// (measured: 1.2 GB for 41 MB of rows with 16 MiB).
const CACHE: u64 = 1024 * 1024 * 1024;

/// A failure of the index; content is not affected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The database refused.
    #[error("the index failed and is rebuilt from the data folder")]
    Database {
        /// What it said.
        source: Box<dyn std::error::Error + Send + Sync>,
        /// Whether the disk is full.
        no_space: bool,
    },
    /// Its folder or its seal could not be written.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The database panicked on a damaged file.
    #[error("the index is damaged")]
    Panicked,
}

impl IndexError {
    /// Whether the disk is full: a retry succeeds once there is room.
    pub(crate) fn is_no_space(&self) -> bool {
        match self {
            Self::Database { no_space, .. } => *no_space,
            Self::Disk(error) => error.is_no_space(),
            Self::Panicked => false,
        }
    }
}

impl From<sled::Error> for IndexError {
    fn from(error: sled::Error) -> Self {
        let no_space = matches!(&error, sled::Error::Io(error) if DiskError::is_no_space_error(error));
        Self::Database { source: error.into(), no_space }
    }
}

/// The index of one data folder.
#[derive(Debug)]
pub(crate) struct Index {
    db: Db,
    /// Whether it is in memory and ends with the process.
    aside: bool,
    /// Counts changes of tags below [`CHARTS`]; starts at another number in every index that is opened.
    chart_changes: AtomicU64,
}

/// The repositories whose tag changes are counted: the chart index is rebuilt only after one.
pub(crate) const CHARTS: &str = "charts/";

/// How often an index was opened in this process.
static OPENED: AtomicU64 = AtomicU64::new(0);

/// Changed rows, seen together or not at all: a value for each key, or its removal.
#[derive(Debug, Default)]
pub(crate) struct Rows(BTreeMap<Vec<u8>, Option<Vec<u8>>>);

impl Index {
    /// Opens what the last clean stop left; `None` where the seal does not match. Breaks the seal: until the next clean
    /// stop the folder is not trusted.
    pub(crate) fn open_sealed(layout: &Layout) -> Result<Option<Self>, IndexError> {
        let (folder, seal) = (layout.metadata(), layout.metadata_seal());
        if !seal::holds(&folder, &seal) {
            return Ok(None);
        }
        seal::remove(&seal)?;
        // The database fails or panics on damaged files. The seal has ruled those out, but not bugs.
        let opened = std::panic::catch_unwind(|| open(&folder));
        Ok(opened.ok().and_then(Result::ok))
    }

    /// Creates an empty index, removing what was there.
    pub(crate) fn create(layout: &Layout) -> Result<Self, IndexError> {
        let folder = layout.metadata();
        seal::remove(&layout.metadata_seal())?;
        seal::remove_folder(&folder)?;
        // The database would make it for everyone to read.
        create_folder(&folder)?;
        std::panic::catch_unwind(|| open(&folder)).map_err(|_| IndexError::Panicked)?
    }

    /// Creates an empty index in memory, so that content stays readable while the disk is full or read-only. It ends with
    /// the process.
    pub(crate) fn create_aside() -> Result<Self, IndexError> {
        // Without a path it is in shared memory.
        let db = sled::Config::default().temporary(true).cache_capacity(CACHE).flush_every_ms(None).open()?;
        Ok(Self { db, aside: true, chart_changes: first_change() })
    }

    /// Writes everything out and seals it, so that the next start can trust it.
    pub(crate) fn close(self, layout: &Layout) -> Result<(), IndexError> {
        if self.aside {
            return Ok(());
        }
        self.db.flush()?;
        drop(self.db);
        Ok(seal::write(&layout.metadata(), &layout.metadata_seal())?)
    }

    pub(crate) fn apply(&self, changes: Rows) -> Result<(), IndexError> {
        let mut batch = Batch::default();
        let charts = [&[Table::Tag as u8], CHARTS.as_bytes()].concat();
        let first = changes.0.range(charts.clone()..).next();
        let touches_charts = first.is_some_and(|(key, _)| key.starts_with(&charts));
        for (key, value) in changes.0 {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        self.db.apply_batch(batch)?;
        if touches_charts {
            // After the change: a reader reads the number first, then the tags, and never caches old tags for a new number.
            self.chart_changes.fetch_add(1, Ordering::Release);
        }
        Ok(())
    }

    /// A number that changes whenever a tag below [`CHARTS`] does.
    pub(crate) fn chart_changes(&self) -> u64 {
        self.chart_changes.load(Ordering::Acquire)
    }

    /// Makes `changes` all rows of a repository. Writes only what differs, which is usually nothing.
    pub(crate) fn replace(&self, name: &RepositoryName, mut changes: Rows) -> Result<(), IndexError> {
        for table in Table::ALL {
            for entry in self.db.scan_prefix(keys::in_repository(table, name)) {
                let (key, value) = entry?;
                match changes.0.get(key.as_ref()) {
                    Some(Some(wanted)) if *wanted == *value => changes.0.remove(key.as_ref()),
                    Some(_) => None,
                    None => changes.0.insert(key.to_vec(), None),
                };
            }
        }
        if changes.0.is_empty() { Ok(()) } else { self.apply(changes) }
    }

    /// Whether a blob was pushed to or mounted in a repository; its link says its size.
    pub(crate) fn is_linked(&self, name: &RepositoryName, digest: &Digest) -> Result<bool, IndexError> {
        Ok(self.db.contains_key(keys::with_digest(Table::Blob, name, digest))?)
    }

    /// The size, in bytes, that a manifest of the repository gives a blob, if one names it.
    pub(crate) fn named_size(&self, name: &RepositoryName, blob: &Digest) -> Result<Option<u64>, IndexError> {
        let value = self.db.scan_prefix(keys::with_digest(Table::Use, name, blob)).values().next().transpose()?;
        Ok(value.and_then(|value| value.as_ref().try_into().ok()).map(u64::from_be_bytes))
    }

    /// A manifest of the repository that names the blob.
    pub(crate) fn user(&self, name: &RepositoryName, blob: &Digest) -> Result<Option<Digest>, IndexError> {
        let prefix = keys::with_digest(Table::Use, name, blob);
        let key = self.db.scan_prefix(&prefix).keys().next().transpose()?;
        Ok(key.and_then(|key| keys::digest_at(&key[prefix.len()..])))
    }

    /// A repository in which the blob is visible. Asks every repository in turn: for mounts that name no source.
    pub(crate) fn find_blob(&self, digest: &Digest) -> Result<Option<RepositoryName>, IndexError> {
        for table in [Table::Blob, Table::Use] {
            let mut start = vec![table as u8];
            while let Some(name) = self.next_repository(table, &mut start)? {
                if self.is_linked(&name, digest)? || self.user(&name, digest)?.is_some() {
                    return Ok(Some(name));
                }
            }
        }
        Ok(None)
    }

    /// The next repository in a table from the key `start` on, which is moved beyond it: as many steps as repositories.
    fn next_repository(&self, table: Table, start: &mut Vec<u8>) -> Result<Option<RepositoryName>, IndexError> {
        let key = self.db.range(&start[..]..).keys().next().transpose()?;
        let Some(name) = key.filter(|key| key[0] == table as u8).and_then(|key| keys::repository_of(&key)) else {
            return Ok(None);
        };
        *start = keys::in_repository(table, &name);
        // One past the separator: beyond every key of this repository.
        start.pop();
        start.push(1);
        Ok(Some(name))
    }

    /// Whether the repository has a manifest.
    pub(crate) fn has_manifests(&self, name: &RepositoryName) -> Result<bool, IndexError> {
        Ok(self.db.scan_prefix(keys::in_repository(Table::Manifest, name)).next().transpose()?.is_some())
    }

    /// Up to `limit` tags after `after`, in bytewise order.
    pub(crate) fn tags(
        &self,
        name: &RepositoryName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Tag>, IndexError> {
        let prefix = keys::in_repository(Table::Tag, name);
        let mut start = prefix.clone();
        if let Some(after) = after {
            start.extend_from_slice(after.as_bytes());
            // No tag holds a zero: this is just behind `after`, whether it exists or not.
            start.push(0);
        }
        let mut entries = Vec::new();
        for key in self.db.range(start..).keys() {
            let key = key?;
            let Some(rest) = key.strip_prefix(prefix.as_slice()) else { break };
            if entries.len() == limit {
                return Ok(Page { entries, more: true });
            }
            entries.extend(keys::tag_at(rest));
        }
        Ok(Page { entries, more: false })
    }

    /// The tags that point at a manifest.
    pub(crate) fn tags_of(&self, name: &RepositoryName, digest: &Digest) -> Result<Vec<Tag>, IndexError> {
        let prefix = keys::in_repository(Table::Tag, name);
        let mut tags = Vec::new();
        for entry in self.db.scan_prefix(&prefix) {
            let (key, value) = entry?;
            if keys::digest_at(&value) == Some(*digest) {
                tags.extend(keys::tag_at(&key[prefix.len()..]));
            }
        }
        Ok(tags)
    }

    /// The manifests about `subject` in the repository, in the order of their digests.
    pub(crate) fn referrers(&self, name: &RepositoryName, subject: &Digest) -> Result<Vec<Digest>, IndexError> {
        let prefix = keys::with_digest(Table::Referrer, name, subject);
        let mut found = Vec::new();
        for key in self.db.scan_prefix(&prefix).keys() {
            found.extend(keys::digest_at(&key?[prefix.len()..]));
        }
        Ok(found)
    }

    /// The repositories that have these manifests. One pass over all manifests, which is less than a look-up of each in
    /// every repository.
    pub(crate) fn repositories_of(&self, manifests: &BTreeSet<Digest>) -> Result<Homes, IndexError> {
        let mut found = Homes::new();
        for key in self.db.scan_prefix([Table::Manifest as u8]).keys() {
            let key = key?;
            let Some((repository, digest)) = keys::manifest_of(&key).filter(|(_, digest)| manifests.contains(digest))
            else {
                continue;
            };
            if let Ok(repository) = repository.parse() {
                add_home(&mut found, digest, &repository);
            }
        }
        Ok(found)
    }

    /// Up to `limit` repositories with a manifest after `after`, in bytewise order.
    pub(crate) fn repositories(&self, after: Option<&str>, limit: usize) -> Result<Page<RepositoryName>, IndexError> {
        let mut start = vec![Table::Manifest as u8];
        if let Some(after) = after {
            start.extend_from_slice(after.as_bytes());
            start.push(1);
        }
        let mut entries = Vec::new();
        while let Some(name) = self.next_repository(Table::Manifest, &mut start)? {
            if entries.len() == limit {
                return Ok(Page { entries, more: true });
            }
            entries.push(name);
        }
        Ok(Page { entries, more: false })
    }
}

impl Rows {
    /// Says whether a blob was pushed to, or mounted in, a repository.
    pub(crate) fn blob(&mut self, name: &RepositoryName, digest: &Digest, is_linked: bool) {
        self.set(keys::with_digest(Table::Blob, name, digest), is_linked, Vec::new());
    }

    /// Says where a tag points.
    pub(crate) fn tag(&mut self, name: &RepositoryName, tag: &Tag, target: Option<&Digest>) {
        self.0.insert(keys::with_tag(name, tag), target.map(keys::digest_bytes));
    }

    /// Says whether a manifest is in a repository, and with it what it names.
    pub(crate) fn manifest(&mut self, name: &RepositoryName, digest: &Digest, manifest: &Manifest, is_linked: bool) {
        self.set(keys::with_digest(Table::Manifest, name, digest), is_linked, Vec::new());
        for blob in manifest.blobs() {
            let key = keys::with_pair(Table::Use, name, &blob.digest, digest);
            self.set(key, is_linked, blob.size.to_be_bytes().to_vec());
        }
        if let Some(subject) = manifest.subject() {
            self.set(keys::with_pair(Table::Referrer, name, &subject.digest, digest), is_linked, Vec::new());
        }
    }

    fn set(&mut self, key: Vec<u8>, is_there: bool, value: Vec<u8>) {
        self.0.insert(key, is_there.then_some(value));
    }
}

fn open(folder: &Path) -> Result<Index, IndexError> {
    let db = sled::Config::default()
        .path(folder)
        .cache_capacity(CACHE)
        .mode(sled::Mode::LowSpace)
        // Nothing depends on what is written between a start and a clean stop.
        .flush_every_ms(None)
        .open()?;
    Ok(Index { db, aside: false, chart_changes: first_change() })
}

fn first_change() -> AtomicU64 {
    AtomicU64::new(OPENED.fetch_add(1, Ordering::Relaxed) << 32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Algorithm;

    fn name(text: &str) -> RepositoryName {
        text.parse().unwrap()
    }

    fn tags(index: &Index, repository: &str, after: Option<&str>, limit: usize) -> (Vec<String>, bool) {
        let page = index.tags(&name(repository), after, limit).unwrap();
        (page.entries.iter().map(ToString::to_string).collect(), page.more)
    }

    fn with_tags(folder: &Path, wanted: &[&str]) -> Index {
        let index = Index::create(&Layout::new(folder.to_owned())).unwrap();
        let mut changes = Rows::default();
        for tag in wanted {
            changes.tag(&name("a"), &tag.parse().unwrap(), Some(&Algorithm::Sha256.digest(b"x")));
        }
        changes.tag(&name("a/b"), &"other".parse().unwrap(), Some(&Algorithm::Sha256.digest(b"x")));
        index.apply(changes).unwrap();
        index
    }

    #[test]
    fn h25_tags_that_are_prefixes_of_each_other_are_listed_once_in_bytewise_order() {
        let folder = tempfile::tempdir().unwrap();
        let index = with_tags(folder.path(), &["1.0.0", "1", "b", "A", "1.0", "a"]);
        let all = ["1", "1.0", "1.0.0", "A", "a", "b"];
        assert_eq!(tags(&index, "a", None, 100), (all.map(String::from).to_vec(), false));
        assert_eq!(tags(&index, "a", Some("1"), 2), (vec!["1.0".into(), "1.0.0".into()], true));
        assert_eq!(tags(&index, "a", Some("1.0.00"), 9), (vec!["A".into(), "a".into(), "b".into()], false));
        assert_eq!(tags(&index, "a", Some("zzz"), 9), (vec![], false));
        assert_eq!(tags(&index, "a", None, 0), (vec![], true));
    }

    #[test]
    fn a_sealed_folder_is_believed_once() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path().to_owned());
        with_tags(folder.path(), &["1"]).close(&layout).unwrap();
        let opened = Index::open_sealed(&layout).unwrap().expect("the seal holds");
        assert_eq!(tags(&opened, "a", None, 9).0, ["1"]);
        drop(opened);
        // As after a kill: never closed again.
        assert!(Index::open_sealed(&layout).unwrap().is_none());
    }

    #[test]
    fn s13_a_folder_that_was_touched_since_is_not_believed() {
        type Harm = fn(&Path);
        let harms: [Harm; 4] = [
            |db| std::fs::remove_dir_all(db).unwrap(),
            |db| {
                let file = std::fs::File::options().write(true).open(db.join("db")).unwrap();
                let size = file.metadata().unwrap().len();
                file.set_len(size / 2).unwrap();
            },
            |db| {
                let size = std::fs::metadata(db.join("db")).unwrap().len();
                std::fs::write(db.join("db"), vec![0xa5; usize::try_from(size).unwrap()]).unwrap();
            },
            |db| std::fs::write(db.join("stranger"), b"x").unwrap(),
        ];
        for harm in harms {
            let folder = tempfile::tempdir().unwrap();
            let layout = Layout::new(folder.path().to_owned());
            with_tags(folder.path(), &["1"]).close(&layout).unwrap();
            harm(&layout.metadata());
            assert!(Index::open_sealed(&layout).unwrap().is_none());
        }
    }

    #[test]
    fn repositories_are_listed_in_order_and_in_pages() {
        let folder = tempfile::tempdir().unwrap();
        let index = Index::create(&Layout::new(folder.path().to_owned())).unwrap();
        let manifest =
            Manifest::parse(bytes::Bytes::from_static(br#"{"schemaVersion":2,"manifests":[]}"#), None).unwrap();
        let mut changes = Rows::default();
        for repository in ["b", "a", "a/b", "a-b"] {
            for content in [b"1", b"2"] {
                changes.manifest(&name(repository), &Algorithm::Sha256.digest(content), &manifest, true);
            }
        }
        index.apply(changes).unwrap();
        let page = |after, limit| {
            let page = index.repositories(after, limit).unwrap();
            (page.entries.iter().map(ToString::to_string).collect::<Vec<_>>(), page.more)
        };
        assert_eq!(page(None, 9), (["a", "a-b", "a/b", "b"].map(String::from).to_vec(), false));
        assert_eq!(page(Some("a"), 2), (["a-b", "a/b"].map(String::from).to_vec(), true));
        assert_eq!(page(Some("a/b"), 2), (vec!["b".into()], false));
    }
}
