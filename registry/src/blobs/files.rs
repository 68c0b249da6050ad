//! Blobs as files of the data folder, once for all repositories.
//!
//! A blob is absent or whole: it takes its name only after its size and digest matched and it is synced.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

use bytes::Bytes;
use futures_util::stream;

use super::blob::Blob;
use super::lease::Leases;
use super::place::{Answer, Depot, Digests, Place};
use super::write_behind::WriteBehind;
use super::writer::{Adopted, Sealed, Writer};
use crate::disk::threads::blocking;
use crate::disk::{Batch, Context, DiskError, Layout, absent_is_none, sync_folder};
use crate::oci::{Algorithm, Digest};

/// What an operator does about a blob the disk has damaged.
const MEND: &str =
    "set it aside by a verification that removes what is damaged, then ingest its bundle or push its image again";

/// Digests listed at a time.
const LISTED: usize = 1024;

/// The blobs of a data folder. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    layout: Layout,
    pub(crate) leases: Leases,
}

impl Files {
    pub(crate) fn new(layout: Layout) -> Self {
        Self { layout, leases: Leases::default() }
    }

    /// As [`Place::find`], on this thread.
    pub(crate) fn open(&self, digest: &Digest, size: Option<u64>) -> Result<Option<Blob>, DiskError> {
        let path = self.layout.blob(digest);
        let Some(file) = absent_is_none(File::open(&path)).on("open", &path)? else {
            return Ok(None);
        };
        let found = file.metadata().on("read the size of", &path)?.len();
        if let Some(size) = size.filter(|size| *size != found) {
            return Err(DiskError::damaged(&path, format!("it has {found} bytes where {size} belong; {MEND}")));
        }
        Ok(Some(Blob::of(file, *digest, found)))
    }

    /// The blob's size in bytes, or `None` where there is none.
    pub(crate) fn size(&self, digest: &Digest) -> Result<Option<u64>, DiskError> {
        let path = self.layout.blob(digest);
        Ok(absent_is_none(fs::metadata(&path)).on("look for", &path)?.map(|metadata| metadata.len()))
    }

    /// As [`Place::read`], on this thread.
    pub(crate) fn read_now(&self, digest: &Digest, limit: usize) -> Result<Option<Bytes>, DiskError> {
        let path = self.layout.blob(digest);
        let Some(blob) = self.open(digest, None)? else { return Ok(None) };
        if blob.size() > limit as u64 {
            let reason = format!("it has {} bytes where at most {limit} belong; {MEND}", blob.size());
            return Err(DiskError::damaged(&path, reason));
        }
        let mut bytes = vec![0; usize::try_from(blob.size()).unwrap_or(limit)];
        blob.file().read_exact_at(&mut bytes, 0).on("read", &path)?;
        if digest.algorithm().digest(&bytes) != *digest {
            return Err(DiskError::damaged(&path, format!("its content does not have its digest; {MEND}")));
        }
        Ok(Some(bytes.into()))
    }

    /// Begins a blob that, once it is large, is hashed and written by a thread of its own.
    pub(crate) fn writer(&self, algorithm: Algorithm, behind: WriteBehind) -> Result<Writer, DiskError> {
        Writer::create(&self.layout, self.leases.clone(), algorithm, behind)
    }

    /// Gives a sealed blob its name; an equal one that is there stays.
    ///
    /// # Durability
    /// The content is synced; the name is durable only after [`Files::sync`].
    pub(crate) fn adopt(&self, sealed: &mut Sealed) -> Result<Adopted, DiskError> {
        let there = self.size(&sealed.digest)?;
        // Two writers of one digest at once: both succeed, the bytes are the same.
        if there == Some(sealed.size) {
            return Ok(Adopted::There);
        }
        sealed.sync()?;
        let path = self.layout.blob(&sealed.digest);
        fs::rename(sealed.path(), &path).on("put in place", &path)?;
        sealed.renamed();
        // One cut short by a disk's fault is replaced by the verified copy.
        Ok(if there.is_some() { Adopted::Mended } else { Adopted::New })
    }

    /// Makes the names of the blobs of one algorithm durable: those this process gave, and those that another request,
    /// or a process that was killed, had not synced yet.
    pub(crate) fn sync(&self, algorithm: Algorithm) -> Result<(), DiskError> {
        sync_folder(&self.layout.blobs(algorithm))
    }

    /// Stores small blobs whose digests are their content's, those that are not there. Durable when it returns; each folder
    /// is synced once, however many blobs there are.
    pub(crate) fn put(&self, blobs: &[(Digest, Bytes)]) -> Result<(), DiskError> {
        self.put_in(Batch::new(&self.layout), blobs)
    }

    /// As [`Files::put`], and makes every name durable that any blob has.
    pub(crate) fn put_and_sync_all(&self, blobs: &[(Digest, Bytes)]) -> Result<(), DiskError> {
        let mut batch = Batch::new(&self.layout);
        Algorithm::ALL.iter().for_each(|algorithm| batch.also_sync(&self.layout.blobs(*algorithm)));
        self.put_in(batch, blobs)
    }

    fn put_in(&self, mut batch: Batch<'_>, blobs: &[(Digest, Bytes)]) -> Result<(), DiskError> {
        for (digest, content) in blobs {
            if self.size(digest)? == Some(content.len() as u64) {
                // Another request may have put it there and not have come to its own sync yet.
                batch.also_sync(&self.layout.blobs(digest.algorithm()));
            } else {
                batch.write(&self.layout.blob(digest), content)?;
            }
        }
        batch.commit()
    }

    fn quarantine_now(&self, damaged: &Blob) -> Result<bool, DiskError> {
        let digest = damaged.digest();
        let there = self.open(&digest, None)?;
        let same = |there: &Blob| match (there.file().metadata(), damaged.file().metadata()) {
            (Ok(there), Ok(read)) => there.ino() == read.ino() && there.dev() == read.dev(),
            _ => false,
        };
        if !there.as_ref().is_some_and(same) {
            return Ok(false);
        }
        let (path, aside) = (self.layout.blob(&digest), self.layout.damaged_blob(&digest));
        let folder = self.layout.damaged();
        fs::create_dir_all(&folder).on("make", &folder)?;
        fs::rename(&path, &aside).on("move aside", &path)?;
        sync_folder(&folder)?;
        self.sync(digest.algorithm())?;
        Ok(true)
    }

    /// Whether `needed` more bytes fit on the data folder's disk and leave `keep_free` bytes of it free. What fits may
    /// still not fit when it is written: others write, too.
    pub(crate) fn require_room(&self, needed: u64, keep_free: u64) -> Result<(), DiskError> {
        let path = self.layout.root();
        let disk = rustix::fs::statvfs(path).on("ask for the free space of", path)?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if needed == 0 || needed.saturating_add(keep_free) <= free {
            return Ok(());
        }
        Err(DiskError::NoRoom { path: path.to_owned(), needed, keep_free, free })
    }

    fn listed(
        &self,
        algorithm: Algorithm,
        entries: Option<fs::ReadDir>,
    ) -> Result<Option<(Vec<Digest>, Listing)>, DiskError> {
        let folder = self.layout.blobs(algorithm);
        let mut entries = match entries {
            Some(entries) => entries,
            None => match absent_is_none(fs::read_dir(&folder)).on("list", &folder)? {
                Some(entries) => entries,
                None => return Ok(Some((Vec::new(), Listing::next(algorithm)))),
            },
        };
        let mut found = Vec::new();
        for entry in entries.by_ref().take(LISTED) {
            let name = entry.on("list", &folder)?.file_name();
            // Others are not ours.
            found.extend(name.to_str().and_then(|name| format!("{algorithm}:{name}").parse::<Digest>().ok()));
        }
        let ended = found.is_empty();
        Ok(Some((found, if ended { Listing::next(algorithm) } else { Listing::In(algorithm, Some(entries)) })))
    }
}

/// How far a listing is.
enum Listing {
    In(Algorithm, Option<fs::ReadDir>),
    Ended,
}

impl Listing {
    /// In the folder after that of `algorithm`.
    fn next(algorithm: Algorithm) -> Self {
        let next = Algorithm::ALL.iter().skip_while(|known| **known != algorithm).nth(1);
        next.map_or(Self::Ended, |next| Self::In(*next, None))
    }
}

impl Place for Files {
    fn find<'a>(&'a self, digest: &'a Digest, size: Option<u64>) -> Answer<'a, Option<Blob>> {
        let (files, digest) = (self.clone(), *digest);
        Box::pin(blocking(move || Ok(files.open(&digest, size)?)))
    }

    fn sizes<'a>(&'a self, digests: &'a [Digest]) -> Answer<'a, Vec<Option<u64>>> {
        let (files, digests) = (self.clone(), digests.to_vec());
        Box::pin(blocking(move || Ok(digests.iter().map(|digest| files.size(digest)).collect::<Result<_, _>>()?)))
    }

    fn read<'a>(&'a self, digest: &'a Digest, limit: usize) -> Answer<'a, Option<Bytes>> {
        let (files, digest) = (self.clone(), *digest);
        Box::pin(blocking(move || Ok(files.read_now(&digest, limit)?)))
    }

    fn list(&self) -> Digests<'_> {
        let first = Listing::In(Algorithm::ALL[0], None);
        Box::pin(stream::try_unfold(first, move |listing| {
            let files = self.clone();
            blocking(move || match listing {
                Listing::In(algorithm, entries) => Ok(files.listed(algorithm, entries)?),
                Listing::Ended => Ok(None),
            })
        }))
    }
}

impl Depot for Files {
    fn begin(&self, algorithm: Algorithm) -> Answer<'_, Writer> {
        let files = self.clone();
        Box::pin(blocking(move || {
            let behind = WriteBehind::start().map_err(|error| files.no_thread(error))?;
            Ok(files.writer(algorithm, behind)?)
        }))
    }

    fn store(&self, mut sealed: Sealed) -> Answer<'_, Adopted> {
        let files = self.clone();
        Box::pin(blocking(move || {
            let adopted = files.adopt(&mut sealed)?;
            // Also when the blob was there: the request that put it there may not have synced the folder yet.
            files.sync(sealed.digest.algorithm())?;
            Ok(adopted)
        }))
    }

    fn quarantine<'a>(&'a self, damaged: &'a Blob) -> Answer<'a, bool> {
        let (files, damaged) = (self.clone(), damaged.clone());
        Box::pin(blocking(move || Ok(files.quarantine_now(&damaged)?)))
    }
}

impl Files {
    /// The error of a blob that is there and cannot be read.
    pub(crate) fn unreadable(&self, digest: &Digest, source: io::Error) -> DiskError {
        DiskError::Io { operation: "read", path: self.layout.blob(digest), source }
    }

    /// The error of a thread for a blob that cannot be started.
    pub(crate) fn no_thread(&self, source: io::Error) -> DiskError {
        DiskError::Io { operation: "start a thread for a blob in", path: self.layout.root().to_owned(), source }
    }
}
