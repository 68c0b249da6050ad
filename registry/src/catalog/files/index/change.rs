//! Changing the index. A row is written only where it differs: what is said again costs a look.

use std::ops::ControlFlow;

use redb::{ReadableTable as _, Table as RedbTable};

use super::database::failed;
use super::keys::{self, Table};
use super::{CHARTS, Index, IndexError, Rows, has, scan};
use crate::catalog::referrer::Referrer;
use crate::oci::{Digest, Manifest, RepositoryName, Tag};

/// How many rows are looked at before those of them that are to go are removed.
const PIECE: usize = 4096;

/// Rows that are being changed, seen together or not at all.
pub(crate) struct Change<'a> {
    rows: RedbTable<'a, &'static [u8], &'static [u8]>,
    touched: Touched,
}

/// What a change has touched.
#[derive(Clone, Copy, Default)]
pub(super) struct Touched {
    pub(super) any: bool,
    /// Tags below [`CHARTS`].
    pub(super) charts: bool,
}

impl<'a> Change<'a> {
    pub(super) fn of(rows: RedbTable<'a, &'static [u8], &'static [u8]>) -> Self {
        Self { rows, touched: Touched::default() }
    }

    pub(super) fn end(self) -> Touched {
        self.touched
    }

    /// Says whether a blob was pushed to, or mounted in, a repository.
    pub(crate) fn blob(&mut self, name: &RepositoryName, digest: &Digest, is_linked: bool) -> Result<(), IndexError> {
        self.set(&keys::with_digest(Table::Blob, name, digest), is_linked.then_some(&[]))
    }

    /// Says where a tag points.
    pub(crate) fn tag(&mut self, name: &RepositoryName, tag: &Tag, target: Option<&Digest>) -> Result<(), IndexError> {
        let (key, target) = (keys::with_tag(name, tag), target.map(keys::digest_bytes));
        let there = self.rows.get(&key[..]).map_err(failed)?.map(|there| there.value().to_vec());
        if there == target {
            return Ok(());
        }
        for (digest, is_there) in [(&there, false), (&target, true)] {
            if let Some(digest) = digest {
                self.set(&keys::with_target(name, digest, tag), is_there.then_some(&[]))?;
            }
        }
        self.touched.charts |= name.as_str().starts_with(CHARTS);
        self.set(&key, target.as_deref())
    }

    /// Says whether a manifest is in a repository, and with it what it names.
    pub(crate) fn manifest(
        &mut self,
        name: &RepositoryName,
        digest: &Digest,
        manifest: &Manifest,
        is_linked: bool,
    ) -> Result<(), IndexError> {
        self.set(&keys::with_digest(Table::Manifest, name, digest), is_linked.then_some(&[]))?;
        for blob in manifest.blobs() {
            let size = blob.size.to_be_bytes();
            self.set(&keys::with_pair(Table::Use, name, &blob.digest, digest), is_linked.then_some(&size))?;
        }
        for (child, _) in manifest.children() {
            self.set(&keys::with_pair(Table::Child, name, &child.digest, digest), is_linked.then_some(&[]))?;
        }
        if let Some(subject) = manifest.subject() {
            let referrer = if is_linked { Referrer::of(*digest, manifest).to_store() } else { Vec::new() };
            let key = keys::with_pair(Table::Referrer, name, &subject.digest, digest);
            self.set(&key, is_linked.then_some(&referrer))?;
        }
        Ok(())
    }

    /// Says that a manifest is not in a repository, by its digest alone. [`Index::sweep`] removes what it named.
    pub(crate) fn no_manifest(&mut self, name: &RepositoryName, digest: &Digest) -> Result<(), IndexError> {
        self.set(&keys::with_digest(Table::Manifest, name, digest), None)
    }

    fn set(&mut self, key: &[u8], wanted: Option<&[u8]>) -> Result<(), IndexError> {
        let is_so = self.rows.get(key).map_err(failed)?.map(|there| wanted == Some(there.value()));
        match wanted {
            _ if is_so.unwrap_or(wanted.is_none()) => return Ok(()),
            Some(value) => drop(self.rows.insert(key, value).map_err(failed)?),
            None => drop(self.rows.remove(key).map_err(failed)?),
        }
        self.touched.any = true;
        Ok(())
    }
}

impl Index {
    /// Removes from a repository, which nobody may change meanwhile, the blobs, manifests and tags that are not there, and
    /// what only such manifests named. Others make their changes between the pieces.
    pub(crate) fn sweep<E: From<IndexError>>(
        &self,
        name: &RepositoryName,
        is_there: impl Fn(&Row) -> Result<bool, E>,
    ) -> Result<(), E> {
        let is_there = |row: Option<Row>| row.as_ref().map_or(Ok(false), &is_there);
        self.retain(Table::Blob, name, |_, rest| is_there(keys::digest_at(rest).map(Row::Blob)))?;
        self.retain(Table::Manifest, name, |_, rest| is_there(keys::digest_at(rest).map(Row::Manifest)))?;
        self.retain(Table::Tag, name, |_, rest| is_there(keys::tag_at(rest).map(Row::Tag)))?;
        for table in [Table::Use, Table::Child, Table::Referrer] {
            self.retain(table, name, |rows, rest| {
                let manifest = keys::second_digest_at(rest);
                let is_there = |manifest| has(rows, &keys::with_digest(Table::Manifest, name, &manifest));
                manifest.map_or(Ok(false), is_there)
            })?;
        }
        Ok(())
    }

    /// Keeps the rows of a table in a repository for which `keep` says so; it gets the key behind the repository.
    fn retain<E: From<IndexError>>(
        &self,
        table: Table,
        name: &RepositoryName,
        keep: impl Fn(&Rows, &[u8]) -> Result<bool, E>,
    ) -> Result<(), E> {
        let prefix = keys::in_repository(table, name);
        let mut after = Vec::new();
        loop {
            let (rows, mut piece) = (self.rows()?, Vec::new());
            scan(&rows, &prefix, &after, |rest, _| {
                piece.push(rest.to_vec());
                if piece.len() == PIECE { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
            let Some(last) = piece.last() else { return Ok(()) };
            after = [&last[..], &[0]].concat();
            let mut gone = Vec::new();
            for rest in piece {
                if !keep(&rows, &rest)? {
                    gone.push(rest);
                }
            }
            self.change(|change| {
                gone.iter().try_for_each(|rest| match keys::tag_at(rest).filter(|_| table == Table::Tag) {
                    Some(tag) => change.tag(name, &tag, None),
                    None => change.set(&[&prefix[..], rest].concat(), None),
                })
            })?;
        }
    }
}

/// What a row says is in a repository.
pub(crate) enum Row {
    Blob(Digest),
    Manifest(Digest),
    Tag(Tag),
}
