//! Blobs as files of the data folder, once for all repositories.
//!
//! A blob is absent or whole: it gets its name only after its digest was checked and it was synced.

use std::fs;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use parking_lot::{Condvar, Mutex};

use super::blob::Blob;
use super::lease::Leases;
use super::place::{Answer, Depot, Digests, Place};
use super::write_behind::WriteBehind;
use super::writer::{Adopted, Sealed, Writer};
use crate::disk::threads::blocking;
use crate::disk::{
    Batch, Context, DiskError, Layout, absent_is_none, create_folder, damaged_is_none, hash_file, look_at_file,
    open_file, sync_folder,
};
use crate::oci::{Algorithm, Digest};

/// What an operator can do about a damaged blob.
const MEND: &str =
    "set it aside by a verification that removes what is damaged, then ingest its bundle or push its image again";

/// How many digests are listed at a time.
const LISTED: usize = 1024;

/// From this size in bytes a blob that is read whole is a large one, and how many of these are read at once: nothing keeps
/// them in memory, so every client that asks has its own.
const LARGE: usize = 512 * 1024;
const LARGE_READS: usize = 8;

/// How many large blobs are being read, and who waits.
static READING: (Mutex<usize>, Condvar) = (Mutex::new(0), Condvar::new());

/// The right to read a large blob.
struct Turn;

impl Turn {
    fn take() -> Self {
        let mut reading = READING.0.lock();
        READING.1.wait_while(&mut reading, |reading| *reading >= LARGE_READS);
        *reading += 1;
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *READING.0.lock() -= 1;
        READING.1.notify_one();
    }
}

/// A batch of digests, and where the listing goes on.
type Listed = (Vec<Digest>, Option<fs::ReadDir>);

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

    fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Self) -> Result<T, DiskError> + Send + 'static,
    ) -> Answer<'static, T> {
        let files = self.clone();
        Box::pin(blocking(move || Ok(question(&files)?)))
    }

    /// As [`Place::find`], on this thread.
    pub(crate) fn open(&self, digest: &Digest, size: Option<u64>) -> Result<Option<Blob>, DiskError> {
        let path = self.layout.blob(digest);
        let Some((file, metadata)) = open_file(&path)? else {
            return Ok(None);
        };
        let found = metadata.len();
        if let Some(size) = size.filter(|size| *size != found) {
            return Err(DiskError::damaged(&path, format!("it has {found} bytes where {size} belong; {MEND}")));
        }
        Ok(Some(Blob::of(file, *digest, found)))
    }

    /// The blob's size in bytes, or `None` where there is none.
    pub(crate) fn size(&self, digest: &Digest) -> Result<Option<u64>, DiskError> {
        // What is no file counts as absent, so that the next copy of the blob takes its place.
        let found = damaged_is_none(look_at_file(&self.layout.blob(digest)))?;
        Ok(found.map(|metadata| metadata.len()))
    }

    /// As [`Place::read`], on this thread.
    pub(crate) fn read_now(&self, digest: &Digest, limit: usize) -> Result<Option<Bytes>, DiskError> {
        let path = self.layout.blob(digest);
        let Some(blob) = self.open(digest, None)? else { return Ok(None) };
        if blob.size() > limit as u64 {
            let reason = format!("it has {} bytes where at most {limit} belong; {MEND}", blob.size());
            return Err(DiskError::damaged(&path, reason));
        }
        let size = usize::try_from(blob.size()).unwrap_or(limit);
        // A large one's memory is a mapping: the allocator would keep it for itself.
        let _turn = (size >= LARGE).then(Turn::take);
        let mut mapped = if size >= LARGE { memmap2::MmapMut::map_anon(size).ok() } else { None };
        let mut plain = vec![0; if mapped.is_some() { 0 } else { size }];
        let bytes = mapped.as_deref_mut().unwrap_or(&mut plain);
        blob.file().read_exact_at(bytes, 0).on("read", &path)?;
        if digest.algorithm().digest(bytes) != *digest {
            return Err(DiskError::damaged(&path, format!("its content does not have its digest; {MEND}")));
        }
        Ok(Some(mapped.map_or_else(|| plain.into(), Bytes::from_owner)))
    }

    /// Begins a blob that, once it is large, is hashed and written by a thread of its own.
    pub(crate) fn writer(&self, algorithm: Algorithm, behind: WriteBehind) -> Result<Writer, DiskError> {
        Writer::create(&self.layout, self.leases.clone(), algorithm, behind)
    }

    /// Whether the blob's file can be read and has its digest. Reads all of it.
    pub(crate) fn is_whole(&self, digest: &Digest) -> bool {
        let path = self.layout.blob(digest);
        let Ok(Some((file, _))) = open_file(&path) else { return false };
        hash_file(&file, digest.algorithm(), &path).is_ok_and(|hasher| hasher.finish() == *digest)
    }

    /// Gives a sealed blob its name; an equal one that is there stays. The content is synced, but the name is durable only
    /// after [`Files::sync`].
    pub(crate) fn adopt(&self, sealed: &mut Sealed) -> Result<Adopted, DiskError> {
        let there = self.size(&sealed.digest)?;
        // Two writers of one digest at once: both succeed, the bytes are the same.
        if there == Some(sealed.size) && self.is_whole(&sealed.digest) {
            return Ok(Adopted::There);
        }
        sealed.place(&self.layout.blob(&sealed.digest))?;
        // A damaged file is replaced by the verified copy.
        Ok(if there.is_some() { Adopted::Mended } else { Adopted::New })
    }

    /// Makes the names of all blobs of one algorithm durable, also those that another request or a killed process had not
    /// synced yet.
    pub(crate) fn sync(&self, algorithm: Algorithm) -> Result<(), DiskError> {
        sync_folder(&self.layout.blobs(algorithm))
    }

    /// Stores small blobs that are not there yet, durably, under the digests of their contents. Each folder is synced once.
    pub(crate) fn put(&self, blobs: &[(Digest, Bytes)]) -> Result<(), DiskError> {
        self.put_in(Batch::new(&self.layout), blobs)
    }

    /// As [`Files::put`], and makes the names of all blobs durable.
    pub(crate) fn put_and_sync_all(&self, blobs: &[(Digest, Bytes)]) -> Result<(), DiskError> {
        let mut batch = Batch::new(&self.layout);
        Algorithm::ALL.iter().for_each(|algorithm| batch.also_sync(&self.layout.blobs(*algorithm)));
        self.put_in(batch, blobs)
    }

    fn put_in(&self, mut batch: Batch<'_>, blobs: &[(Digest, Bytes)]) -> Result<(), DiskError> {
        for (digest, content) in blobs {
            if self.size(digest)? == Some(content.len() as u64) && self.is_whole(digest) {
                // The request that stored it may not have synced the folder yet.
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
        create_folder(&folder)?;
        fs::rename(&path, &aside).on("move aside", &path)?;
        sync_folder(&folder)?;
        self.sync(digest.algorithm())?;
        Ok(true)
    }

    /// Whether `needed` more bytes fit on the data folder's disk and leave `keep_free` bytes free. Other programs may use
    /// the space before it is written.
    pub(crate) fn require_room(&self, needed: u64, keep_free: u64) -> Result<(), DiskError> {
        let path = self.layout.root();
        let disk = rustix::fs::statvfs(path).on("ask for the free space of", path)?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if needed == 0 || needed.saturating_add(keep_free) <= free {
            return Ok(());
        }
        Err(DiskError::NoRoom { path: path.to_owned(), needed, keep_free, free })
    }

    /// The next digests of one algorithm; `None` at the end.
    fn listed(&self, algorithm: Algorithm, entries: Option<fs::ReadDir>) -> Result<Option<Listed>, DiskError> {
        let folder = self.layout.blobs(algorithm);
        let opened = entries.map_or_else(|| absent_is_none(fs::read_dir(&folder)), |entries| Ok(Some(entries)));
        let Some(mut entries) = opened.on("list", &folder)? else { return Ok(None) };
        let (mut found, mut ended) = (Vec::new(), true);
        for entry in entries.by_ref().take(LISTED) {
            ended = false;
            let name = entry.on("list", &folder)?.file_name();
            // Other files are not ours.
            found.extend(name.to_str().and_then(|name| format!("{algorithm}:{name}").parse::<Digest>().ok()));
        }
        Ok((!ended).then_some((found, Some(entries))))
    }

    /// The error of a blob that cannot be read.
    pub(crate) fn unreadable(&self, digest: &Digest, source: io::Error) -> DiskError {
        DiskError::Io { operation: "read", path: self.layout.blob(digest), source }
    }

    /// The error of a thread for a blob that cannot be started.
    pub(crate) fn no_thread(&self, source: io::Error) -> DiskError {
        DiskError::Io { operation: "start a thread for a blob in", path: self.layout.root().to_owned(), source }
    }
}

impl Place for Files {
    fn find(&self, digest: &Digest, size: Option<u64>) -> Answer<'_, Option<Blob>> {
        let digest = *digest;
        self.ask(move |files| files.open(&digest, size))
    }

    fn sizes(&self, digests: &[Digest]) -> Answer<'_, Vec<Option<u64>>> {
        let digests = digests.to_vec();
        self.ask(move |files| digests.iter().map(|digest| files.size(digest)).collect())
    }

    fn read(&self, digest: &Digest, limit: usize) -> Answer<'_, Option<Bytes>> {
        let digest = *digest;
        self.ask(move |files| files.read_now(&digest, limit))
    }

    fn list(&self) -> Digests<'_> {
        Box::pin(stream::iter(Algorithm::ALL).flat_map(move |algorithm| {
            stream::try_unfold(None, move |entries| self.ask(move |files| files.listed(algorithm, entries)))
        }))
    }
}

impl Depot for Files {
    fn begin(&self, algorithm: Algorithm) -> Answer<'_, Writer> {
        self.ask(move |files| {
            let behind = WriteBehind::start().map_err(|error| files.no_thread(error))?;
            files.writer(algorithm, behind)
        })
    }

    fn store(&self, mut sealed: Sealed) -> Answer<'_, Adopted> {
        self.ask(move |files| {
            let adopted = files.adopt(&mut sealed)?;
            // Also when the blob was there: the request that stored it may not have synced the folder yet.
            files.sync(sealed.digest.algorithm())?;
            Ok(adopted)
        })
    }

    fn quarantine(&self, damaged: &Blob) -> Answer<'_, bool> {
        let damaged = damaged.clone();
        self.ask(move |files| files.quarantine_now(&damaged))
    }
}
