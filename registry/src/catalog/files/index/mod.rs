//! The index: derived from the link files, so that lists and memberships need no walk over the disk.
//!
//! Invariant: it is a pure function of the links. Its folder may be deleted, truncated or overwritten at any moment; the
//! next start rebuilds it. No change is acknowledged because of it, so nothing here is synced while the process runs.
//! Only this room knows which database is used. Its memory is bounded, whatever it holds (`database`).

mod change;
mod database;
mod keys;
mod seal;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use redb::{Database, Durability, ReadOnlyTable, ReadableDatabase as _, ReadableTable};

use crate::catalog::homes::{Homes, add_home};
use crate::catalog::page::Page;
use crate::catalog::referrer::Referrer;
use crate::disk::{DiskError, Layout};
use crate::oci::{Digest, RepositoryName, Tag};
pub(crate) use change::{Change, Row};
use database::{ROWS, failed};
use keys::Table;

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
    #[error("the index is damaged and is rebuilt from the data folder")]
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

    /// Whether the process had no file descriptor left: nothing is wrong with the files.
    pub(crate) fn is_out_of_descriptors(&self) -> bool {
        let Self::Database { source, .. } = self else { return false };
        let code = match source.downcast_ref() {
            Some(redb::Error::Io(error)) => rustix::io::Errno::from_io_error(error),
            _ => None,
        };
        code.is_some_and(|code| [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE].contains(&code))
    }
}

/// The index of one data folder.
#[derive(Debug)]
pub(crate) struct Index {
    database: Database,
    /// Whether it is in memory and ends with the process.
    aside: bool,
    /// Changes since the last one that was written out.
    unwritten: AtomicU32,
    /// Counts changes of tags below [`CHARTS`]; starts at another number in every index that is opened.
    chart_changes: AtomicU64,
}

/// The repositories whose tag changes are counted: the chart index is rebuilt only after one.
pub(crate) const CHARTS: &str = "charts/";

/// How often an index was opened in this process.
static OPENED: AtomicU64 = AtomicU64::new(0);

/// Every so many changes are written out together.
const WRITE_OUT: u32 = 32;

/// The rows as they are at one moment.
type Rows = ReadOnlyTable<&'static [u8], &'static [u8]>;

impl Index {
    fn of(database: Database, aside: bool) -> Self {
        let chart_changes = AtomicU64::new(OPENED.fetch_add(1, Ordering::Relaxed) << 32);
        Self { database, aside, unwritten: AtomicU32::new(0), chart_changes }
    }

    /// Opens what the last clean stop left; `None` where the seal does not match. Breaks the seal: until the next clean
    /// stop the folder is not trusted.
    pub(crate) fn open_sealed(layout: &Layout) -> Result<Option<Self>, IndexError> {
        let (folder, seal) = (layout.metadata(), layout.metadata_seal());
        if !seal::holds(&folder, &seal) {
            return Ok(None);
        }
        seal::remove(&seal)?;
        // The database fails or panics on damaged files. The seal has ruled those out, but not bugs.
        let opened = std::panic::catch_unwind(|| database::open(layout));
        Ok(opened.ok().and_then(Result::ok).map(|database| Self::of(database, false)))
    }

    /// Creates an empty index, removing what was there.
    pub(crate) fn create(layout: &Layout) -> Result<Self, IndexError> {
        let folder = layout.metadata();
        seal::remove(&layout.metadata_seal())?;
        seal::remove_folder(&folder)?;
        let opened = std::panic::catch_unwind(|| database::open(layout)).map_err(|_| IndexError::Panicked)?;
        Ok(Self::of(opened?, false))
    }

    /// Creates an empty index in memory, so that content stays readable while the disk is full or read-only. It ends with
    /// the process.
    pub(crate) fn create_aside() -> Result<Self, IndexError> {
        Ok(Self::of(database::in_memory()?, true))
    }

    /// Writes everything out and seals it, so that the next start can trust it.
    pub(crate) fn close(self, layout: &Layout) -> Result<(), IndexError> {
        if self.aside {
            return Ok(());
        }
        self.database.begin_write().map_err(failed)?.commit().map_err(failed)?;
        self.database.close().map_err(failed)?;
        Ok(seal::write(&layout.metadata(), &layout.metadata_seal())?)
    }

    /// Whether it still answers: some errors end it, others only a question.
    pub(crate) fn answers(&self) -> bool {
        self.rows().is_ok()
    }

    /// Makes changes that are seen together or, when `make` fails, not at all. However many they are, they take no more
    /// memory than the database may.
    pub(crate) fn change<T, E: From<IndexError>>(
        &self,
        make: impl FnOnce(&mut Change<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut transaction = self.database.begin_write().map_err(failed)?;
        // A page that a change replaced is free once a later one was written out; until then changes are cheaper.
        if !self.unwritten.fetch_add(1, Ordering::Relaxed).is_multiple_of(WRITE_OUT) {
            transaction.set_durability(Durability::None).map_err(failed)?;
        }
        let mut change = Change::of(transaction.open_table(ROWS).map_err(failed)?);
        let made = make(&mut change)?;
        let touched = change.end();
        if touched.any {
            transaction.commit().map_err(failed)?;
        }
        if touched.charts {
            // After the change: a reader reads the number first, then the tags, and never caches old tags for a new number.
            self.chart_changes.fetch_add(1, Ordering::Release);
        }
        Ok(made)
    }

    /// A number that changes whenever a tag below [`CHARTS`] does.
    pub(crate) fn chart_changes(&self) -> u64 {
        self.chart_changes.load(Ordering::Acquire)
    }

    fn rows(&self) -> Result<Rows, IndexError> {
        self.database.begin_read().map_err(failed)?.open_table(ROWS).map_err(failed)
    }

    /// Whether a blob was pushed to or mounted in a repository; its link says its size.
    pub(crate) fn is_linked(&self, name: &RepositoryName, digest: &Digest) -> Result<bool, IndexError> {
        has(&self.rows()?, &keys::with_digest(Table::Blob, name, digest))
    }

    /// The size, in bytes, that a manifest of the repository gives a blob, if one names it.
    pub(crate) fn named_size(&self, name: &RepositoryName, blob: &Digest) -> Result<Option<u64>, IndexError> {
        let first = first(&self.rows()?, &keys::with_digest(Table::Use, name, blob), |_, value| value.try_into().ok())?;
        Ok(first.flatten().map(u64::from_be_bytes))
    }

    /// A manifest of the repository that names the blob.
    pub(crate) fn user(&self, name: &RepositoryName, blob: &Digest) -> Result<Option<Digest>, IndexError> {
        Ok(first(&self.rows()?, &keys::with_digest(Table::Use, name, blob), |rest, _| keys::digest_at(rest))?.flatten())
    }

    /// An index of the repository that lists the manifest: the next after `after` in the order of their digests.
    pub(crate) fn parent(
        &self,
        name: &RepositoryName,
        child: &Digest,
        after: Option<&Digest>,
    ) -> Result<Option<Digest>, IndexError> {
        let after = behind(after);
        let mut found = None;
        scan(&self.rows()?, &keys::with_digest(Table::Child, name, child), &after, |rest, _| {
            found = keys::digest_at(rest);
            ControlFlow::Break(())
        })?;
        Ok(found)
    }

    /// A repository in which the blob is visible. Asks every repository in turn: for mounts that name no source.
    pub(crate) fn find_blob(&self, digest: &Digest) -> Result<Option<RepositoryName>, IndexError> {
        let rows = self.rows()?;
        for table in [Table::Blob, Table::Use] {
            let mut start = vec![table as u8];
            while let Some(name) = next_repository(&rows, table, &mut start)? {
                let key = keys::with_digest(table, &name, digest);
                if first(&rows, &key, |_, _| ())?.is_some() {
                    return Ok(Some(name));
                }
            }
        }
        Ok(None)
    }

    /// Whether the repository has a manifest.
    pub(crate) fn has_manifests(&self, name: &RepositoryName) -> Result<bool, IndexError> {
        Ok(first(&self.rows()?, &keys::in_repository(Table::Manifest, name), |_, _| ())?.is_some())
    }

    /// Up to `limit` tags after `after`, in bytewise order.
    pub(crate) fn tags(
        &self,
        name: &RepositoryName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Tag>, IndexError> {
        // No tag holds a zero: this is just behind `after`, whether it exists or not.
        let after = after.map(|after| [after.as_bytes(), &[0]].concat()).unwrap_or_default();
        page(&self.rows()?, &keys::in_repository(Table::Tag, name), &after, limit, keys::tag_at)
    }

    /// Up to `limit` manifests of the repository after `after`, in the order of their digests.
    pub(crate) fn manifests(
        &self,
        name: &RepositoryName,
        after: Option<&Digest>,
        limit: usize,
    ) -> Result<Page<Digest>, IndexError> {
        let after = behind(after);
        page(&self.rows()?, &keys::in_repository(Table::Manifest, name), &after, limit, keys::digest_at)
    }

    /// The tags that point at a manifest.
    pub(crate) fn tags_of(&self, name: &RepositoryName, digest: &Digest) -> Result<Vec<Tag>, IndexError> {
        let mut tags = Vec::new();
        scan(&self.rows()?, &keys::with_digest(Table::Target, name, digest), &[], |rest, _| {
            tags.extend(keys::tag_at(rest));
            ControlFlow::Continue(())
        })?;
        Ok(tags)
    }

    /// Up to `limit` manifests about `subject` in the repository after `after`, in the order of their digests; fewer when
    /// they are long.
    pub(crate) fn referrers(
        &self,
        name: &RepositoryName,
        subject: &Digest,
        after: Option<&Digest>,
        limit: usize,
    ) -> Result<Page<Referrer>, IndexError> {
        let after = behind(after);
        let (mut page, mut size) = (Page { entries: Vec::new(), more: false }, 0);
        scan(&self.rows()?, &keys::with_digest(Table::Referrer, name, subject), &after, |rest, value| {
            page.more = page.entries.len() == limit || size + value.len() > Referrer::PAGE;
            if page.more {
                return ControlFlow::Break(());
            }
            size += value.len();
            page.entries.extend(keys::digest_at(rest).map(|digest| Referrer::stored(digest, value)));
            ControlFlow::Continue(())
        })?;
        Ok(page)
    }

    /// The repositories that have these manifests. One pass over all manifests, which is less than a look-up of each in
    /// every repository.
    pub(crate) fn repositories_of(&self, manifests: &BTreeSet<Digest>) -> Result<Homes, IndexError> {
        let mut found = Homes::new();
        scan(&self.rows()?, &[Table::Manifest as u8], &[], |rest, _| {
            let known = keys::manifest_of(rest).filter(|(_, digest)| manifests.contains(digest));
            if let Some((repository, digest)) = known
                && let Ok(repository) = repository.parse()
            {
                add_home(&mut found, digest, &repository);
            }
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    /// Up to `limit` repositories with a manifest after `after`, in bytewise order.
    pub(crate) fn repositories(&self, after: Option<&str>, limit: usize) -> Result<Page<RepositoryName>, IndexError> {
        let mut start = vec![Table::Manifest as u8];
        if let Some(after) = after {
            start.extend_from_slice(after.as_bytes());
            start.push(1);
        }
        let (rows, mut entries) = (self.rows()?, Vec::new());
        while let Some(name) = next_repository(&rows, Table::Manifest, &mut start)? {
            if entries.len() == limit {
                return Ok(Page { entries, more: true });
            }
            entries.push(name);
        }
        Ok(Page { entries, more: false })
    }
}

fn has(rows: &impl ReadableTable<&'static [u8], &'static [u8]>, key: &[u8]) -> Result<bool, IndexError> {
    Ok(rows.get(key).map_err(failed)?.is_some())
}

/// Goes through the rows whose keys begin with `prefix`, from `prefix` and `after` on, as long as `each` says so; it gets
/// the rest of the key and the value.
fn scan(
    rows: &impl ReadableTable<&'static [u8], &'static [u8]>,
    prefix: &[u8],
    after: &[u8],
    mut each: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
) -> Result<(), IndexError> {
    let start = [prefix, after].concat();
    for row in rows.range(&start[..]..).map_err(failed)? {
        let (key, value) = row.map_err(failed)?;
        let Some(rest) = key.value().strip_prefix(prefix) else { break };
        if each(rest, value.value()).is_break() {
            break;
        }
    }
    Ok(())
}

/// Where the rows of a digest that follow `after` begin: behind it, and before what follows it.
fn behind(after: Option<&Digest>) -> Vec<u8> {
    after.map(|after| [&keys::digest_bytes(after)[..], &[0]].concat()).unwrap_or_default()
}

/// Up to `limit` rows whose keys begin with `prefix`, from `after` on, by what `read` makes of the rest of the key.
fn page<T>(
    rows: &impl ReadableTable<&'static [u8], &'static [u8]>,
    prefix: &[u8],
    after: &[u8],
    limit: usize,
    read: impl Fn(&[u8]) -> Option<T>,
) -> Result<Page<T>, IndexError> {
    let mut page = Page { entries: Vec::new(), more: false };
    scan(rows, prefix, after, |rest, _| {
        page.more = page.entries.len() == limit;
        page.entries.extend(read(rest).filter(|_| !page.more));
        if page.more { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(page)
}

/// What the first row says whose key begins with `prefix`.
fn first<T>(
    rows: &impl ReadableTable<&'static [u8], &'static [u8]>,
    prefix: &[u8],
    read: impl Fn(&[u8], &[u8]) -> T,
) -> Result<Option<T>, IndexError> {
    let mut found = None;
    scan(rows, prefix, &[], |rest, value| {
        found = Some(read(rest, value));
        ControlFlow::Break(())
    })?;
    Ok(found)
}

/// The next repository in a table from the key `start` on, which is moved beyond it: as many steps as repositories.
fn next_repository(rows: &Rows, table: Table, start: &mut Vec<u8>) -> Result<Option<RepositoryName>, IndexError> {
    let row = rows.range(&start[..]..).map_err(failed)?.next().transpose().map_err(failed)?;
    let of_table = |key: &[u8]| if key[0] == table as u8 { keys::repository_of(key) } else { None };
    let Some(name) = row.and_then(|(key, _)| of_table(key.value())) else { return Ok(None) };
    *start = keys::in_repository(table, &name);
    // One past the separator: beyond every key of this repository.
    start.pop();
    start.push(1);
    Ok(Some(name))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::oci::{Algorithm, Manifest};

    fn name(text: &str) -> RepositoryName {
        text.parse().unwrap()
    }

    fn tags(index: &Index, repository: &str, after: Option<&str>, limit: usize) -> (Vec<String>, bool) {
        let page = index.tags(&name(repository), after, limit).unwrap();
        (page.entries.iter().map(ToString::to_string).collect(), page.more)
    }

    #[test]
    fn a_data_folder_that_has_gone_is_not_made_anew_for_its_index() {
        let folder = tempfile::tempdir().unwrap();
        let gone = folder.path().join("data");
        assert!(Index::create(&Layout::new(gone.clone())).is_err());
        assert!(!gone.exists());
    }

    fn with_tags(folder: &Path, wanted: &[&str]) -> Index {
        let index = Index::create(&Layout::new(folder.to_owned())).unwrap();
        let target = Algorithm::Sha256.digest(b"x");
        let all = wanted.iter().map(|tag| ("a", tag)).chain([("a/b", &"other")]);
        let changed = index.change(|change| {
            all.into_iter().try_for_each(|(to, tag)| change.tag(&name(to), &tag.parse().unwrap(), Some(&target)))
        });
        let () = changed.unwrap();
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
        let names = ["b", "a", "a/b", "a-b"].map(|repository| [(repository, b"1"), (repository, b"2")]);
        let changed: Result<(), IndexError> = index.change(|change| {
            names.as_flattened().iter().try_for_each(|(repository, content)| {
                change.manifest(&name(repository), &Algorithm::Sha256.digest(*content), &manifest, true)
            })
        });
        changed.unwrap();
        let page = |after, limit| {
            let page = index.repositories(after, limit).unwrap();
            (page.entries.iter().map(ToString::to_string).collect::<Vec<_>>(), page.more)
        };
        assert_eq!(page(None, 9), (["a", "a-b", "a/b", "b"].map(String::from).to_vec(), false));
        assert_eq!(page(Some("a"), 2), (["a-b", "a/b"].map(String::from).to_vec(), true));
        assert_eq!(page(Some("a/b"), 2), (vec!["b".into()], false));
    }
}
