//! Uploads: files that grow at their end, resumable across a restart. The file's length says how much is there; hashes
//! are kept in memory and made again by reading the file when they are lost. An upload without a byte has no file.

mod table;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

use super::write_behind::WriteBack;
use super::writer::Sealed;
use crate::disk::{
    self, Context, DiskError, Layout, absent_is_none, create_or_open, damaged_is_none, hash_file, look_at_file,
    make_folder, open_file_with,
};
use crate::error::Error;
use crate::oci::{Algorithm, Digest, Hasher, RepositoryName, UploadId};
use table::{Cancelled, Cancelling, Hashed, Record, Table};

/// The uploads of a data folder. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Uploads {
    layout: Layout,
    table: Arc<Mutex<Table>>,
}

/// An upload as operators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadSummary {
    /// Its name.
    pub id: UploadId,
    /// The repository it is for; `None` when its record was lost in a crash.
    pub repository: Option<RepositoryName>,
    /// Its size in bytes.
    pub size: u64,
    /// When the last byte came, or when it was begun.
    pub changed: SystemTime,
    /// The address it was begun from, if it is known.
    pub client: Option<IpAddr>,
    /// Whether a request holds it now.
    pub is_held: bool,
}

/// An upload held by one request. Dropped, it stays at the size it has and can be taken again.
#[derive(Debug)]
pub(crate) struct OpenUpload {
    pub(crate) id: UploadId,
    pub(crate) size: u64,
    uploads: Uploads,
    record: Arc<Record>,
    /// `None` until the first byte.
    file: Option<File>,
    write_back: WriteBack,
    /// Each has hashed all of it. Two when it was to be closed with a digest of another algorithm: so its content is read
    /// again only once.
    hashers: Vec<Hasher>,
    cancelled: Cancelled,
    fate: Fate,
}

/// What becomes of an upload when the request that holds it lets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Stays,
    /// Its content has become a blob, or was lost.
    Goes,
    /// It is gone already, or given back.
    Settled,
}

impl Uploads {
    /// The uploads of a data folder, with those that an earlier process left.
    pub(crate) fn open(layout: Layout) -> Result<Self, DiskError> {
        let table = Table::of(left(&layout)?.into_iter());
        Ok(Self { layout, table: Arc::new(Mutex::new(table)) })
    }

    /// Begins an upload, unless there are `limit` already, or too many of this client. Nothing is written before its first
    /// byte: asking for an upload costs no disk.
    pub(crate) fn create(
        &self,
        repository: &RepositoryName,
        algorithm: Algorithm,
        client: Option<IpAddr>,
        limit: usize,
    ) -> Result<OpenUpload, Error> {
        let id = UploadId::random();
        let record = Record { repository: repository.clone(), algorithm: algorithm.to_string(), client };
        let cancelled = self.table.lock().begin(id, record.clone(), limit)?;
        let hashed = Hashed { size: 0, hashers: vec![algorithm.hasher()] };
        Ok(self.opened(id, Arc::new(record), None, hashed, cancelled))
    }

    /// Takes an upload of `repository` to continue it.
    pub(crate) fn take(&self, repository: &RepositoryName, id: UploadId) -> Result<OpenUpload, Error> {
        let record = self.record(repository, id)?;
        let taken = self.table.lock().take(id);
        let (cancelled, hashed, has_files) = taken.ok_or_else(|| Error::UploadUnknown(repository.clone()))??;
        if !has_files {
            return Ok(self.opened(id, record, None, hashed, cancelled));
        }
        let path = self.layout.upload_data(id);
        match open_file_with(OpenOptions::new().append(true).read(true), &path) {
            Ok(Some((file, metadata))) => {
                let size = metadata.len();
                // What was hashed counts only if it is what is there.
                let hashers = if hashed.size == size { hashed.hashers } else { Vec::new() };
                Ok(self.opened(id, record, Some(file), Hashed { size, hashers }, cancelled))
            }
            Ok(None) => {
                self.table.lock().forget(id);
                Err(Error::UploadUnknown(repository.clone()))
            }
            Err(error) => {
                self.table.lock().put_back(id, Hashed::default());
                Err(error.into())
            }
        }
    }

    fn opened(
        &self,
        id: UploadId,
        record: Arc<Record>,
        file: Option<File>,
        Hashed { size, hashers }: Hashed,
        cancelled: Cancelled,
    ) -> OpenUpload {
        let (uploads, write_back) = (self.clone(), WriteBack::after(size));
        OpenUpload { id, size, uploads, record, file, write_back, hashers, cancelled, fate: Fate::Stays }
    }

    /// The size of an upload of `repository`, without taking it.
    pub(crate) fn size(&self, repository: &RepositoryName, id: UploadId) -> Result<u64, Error> {
        self.record(repository, id)?;
        self.size_of(id)?.ok_or_else(|| Error::UploadUnknown(repository.clone()))
    }

    fn size_of(&self, id: UploadId) -> Result<Option<u64>, DiskError> {
        if let Some(metadata) = look_at_file(&self.layout.upload_data(id))? {
            return Ok(Some(metadata.len()));
        }
        Ok(self.table.lock().is_empty(id).then_some(0))
    }

    /// Removes an upload of `repository`. A request that holds it is told that it is unknown. Fails when its content is
    /// becoming a blob.
    pub(crate) fn cancel(&self, repository: &RepositoryName, id: UploadId) -> Result<(), Error> {
        self.record(repository, id)?;
        if self.remove(id)? { Ok(()) } else { Err(Error::UploadUnknown(repository.clone())) }
    }

    /// Removes an upload, whatever repository it is for; says whether there was one to remove.
    pub(crate) fn remove(&self, id: UploadId) -> Result<bool, DiskError> {
        let Some(cancelling) = self.table.lock().cancel(id) else { return Ok(false) };
        match cancelling {
            Cancelling::Removed => self.remove_claimed(id)?,
            // The request that holds it may be making its files; it removes them again when it lets go.
            Cancelling::Held => drop(self.remove_files(id)),
            Cancelling::Done => {}
        }
        Ok(true)
    }

    fn remove_files(&self, id: UploadId) -> Result<(), DiskError> {
        let folder = self.layout.upload(id);
        absent_is_none(fs::remove_dir_all(&folder)).on("remove", &folder).map(drop)
    }

    /// Removes an upload that no other request can take any more.
    fn remove_claimed(&self, id: UploadId) -> Result<(), DiskError> {
        let removed = self.remove_files(id);
        // What could not be removed has no entry and is swept.
        self.table.lock().forget(id);
        removed
    }

    /// Removes the uploads to which nothing was added for `expiry` before `now`, and those that have no byte after minutes;
    /// returns how many.
    pub(crate) fn sweep(&self, now: SystemTime, expiry: Duration) -> Result<usize, DiskError> {
        let before = now.checked_sub(expiry).unwrap_or(SystemTime::UNIX_EPOCH);
        let mut swept = self.table.lock().expire_empty(now);
        for id in left(&self.layout)? {
            // Learns whose uploads an earlier process left, so that they count for their clients.
            let _ = self.known(id)?;
            let Some(changed) = self.changed(id)? else { continue };
            if changed < before && self.table.lock().claim(id) {
                self.remove_claimed(id)?;
                swept += 1;
            }
        }
        Ok(swept)
    }

    fn changed(&self, id: UploadId) -> Result<Option<SystemTime>, DiskError> {
        let folder = self.layout.upload(id);
        let data = fs::symlink_metadata(self.layout.upload_data(id)).or_else(|_| fs::symlink_metadata(&folder));
        let metadata = absent_is_none(data).on("look at", &folder)?;
        metadata.map(|metadata| metadata.modified().on("read the time of", &folder)).transpose()
    }

    /// Every upload, the oldest first.
    pub(crate) fn list(&self) -> Result<Vec<UploadSummary>, DiskError> {
        let listed = {
            let mut table = self.table.lock();
            table.expire_empty(SystemTime::now());
            table.list()
        };
        let mut uploads = Vec::with_capacity(listed.len());
        for upload in listed {
            let id = upload.id;
            let record = match upload.record {
                Some(record) => Some(record),
                None => self.known(id)?,
            };
            let changed = match upload.begun {
                Some(begun) => Some(begun),
                None => self.changed(id)?,
            };
            // One that ended meanwhile is left out.
            let (Some(changed), Some(size)) = (changed, self.size_of(id)?.or(Some(0))) else { continue };
            let client = record.as_ref().and_then(|record| record.client);
            let repository = record.map(|record| record.repository.clone());
            uploads.push(UploadSummary { id, repository, size, changed, client, is_held: upload.is_held });
        }
        uploads.sort_by_key(|upload| (upload.changed, upload.id));
        Ok(uploads)
    }

    /// The record of an upload of `repository`.
    fn record(&self, repository: &RepositoryName, id: UploadId) -> Result<Arc<Record>, Error> {
        let record = self.known(id)?.filter(|record| record.repository == *repository);
        record.ok_or_else(|| Error::UploadUnknown(repository.clone()))
    }

    /// The record of an upload, read if an earlier process left it.
    fn known(&self, id: UploadId) -> Result<Option<Arc<Record>>, DiskError> {
        let known = self.table.lock().record(id);
        match known {
            None => Ok(None),
            Some(Some(record)) => Ok(Some(record)),
            Some(None) => {
                // Half of it after a power cut counts as none: nothing of it was acknowledged as durable.
                let read = damaged_is_none(disk::read::<Record>(&self.layout.upload_record(id)))?.map(Arc::new);
                if let Some(record) = &read {
                    self.table.lock().learn(id, record.clone());
                }
                Ok(read)
            }
        }
    }
}

/// The uploads that have a folder. A symbolic link to one is not ours.
fn left(layout: &Layout) -> Result<Vec<UploadId>, DiskError> {
    let folder = layout.uploads();
    let mut found = Vec::new();
    for entry in fs::read_dir(&folder).on("list", &folder)? {
        let entry = entry.on("list", &folder)?;
        let (name, is_folder) = (entry.file_name(), entry.file_type().on("look at", &folder)?.is_dir());
        found.extend(name.to_str().filter(|_| is_folder).and_then(|name| name.parse::<UploadId>().ok()));
    }
    Ok(found)
}

/// Makes the files of an upload whose first byte has come.
#[derive(Debug)]
pub(crate) struct FirstByte {
    id: UploadId,
    uploads: Uploads,
    record: Arc<Record>,
    cancelled: Cancelled,
}

impl FirstByte {
    /// Makes the files; blocks. Can be repeated after a failure.
    pub(crate) fn make(&self) -> Result<File, Error> {
        let layout = &self.uploads.layout;
        let made = || {
            let folder = layout.upload(self.id);
            match make_folder(&folder) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    Err(error).on("create folder", &folder)?
                }
                _ => {}
            }
            let path = layout.upload_record(self.id);
            let mut record = create_or_open(OpenOptions::new().write(true).truncate(true), &path)?;
            record.write_all(&disk::render(&*self.record)).on("write", &path)?;
            create_or_open(OpenOptions::new().append(true).read(true), &layout.upload_data(self.id))
        };
        let made = made();
        // A cancellation that comes after this finds the files; one that came before may have removed some of them.
        let there = match &made {
            Ok(_) => self.uploads.table.lock().store(self.id),
            Err(_) => !self.cancelled.load(Ordering::Relaxed),
        };
        if there {
            return Ok(made?);
        }
        self.uploads.remove_files(self.id)?;
        Err(Error::UploadUnknown(self.record.repository.clone()))
    }
}

impl OpenUpload {
    /// What makes its files, if its first byte has not come yet.
    pub(crate) fn first_byte(&self) -> Option<FirstByte> {
        self.file.is_none().then(|| FirstByte {
            id: self.id,
            uploads: self.uploads.clone(),
            record: self.record.clone(),
            cancelled: self.cancelled.clone(),
        })
    }

    /// Takes the file that [`FirstByte`] made.
    pub(crate) fn stored(&mut self, file: File) {
        self.file = Some(file);
    }

    /// Fails when it was cancelled.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.cancelled.load(Ordering::Relaxed) { Err(self.unknown()) } else { Ok(()) }
    }

    fn unknown(&self) -> Error {
        Error::UploadUnknown(self.record.repository.clone())
    }

    /// Adds `bytes` at the end. When the disk refuses, the upload is cut back to what it had, so that the client can go on
    /// from there.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        let Some(file) = &mut self.file else { return Ok(()) };
        if let Err(error) = file.write_all(bytes) {
            let _ = file.set_len(self.size);
            return Err(error).on("write", &self.uploads.layout.upload_data(self.id));
        }
        self.hashers.iter_mut().for_each(|hasher| hasher.update(bytes));
        self.size += bytes.len() as u64;
        self.write_back.grown(file, self.size);
        Ok(())
    }

    /// The digest of the content; reads all of it when this algorithm was not hashed on the way. Once: from then on it is.
    pub(crate) fn digest(&mut self, algorithm: Algorithm) -> Result<Digest, DiskError> {
        let known = self.hashers.iter().find(|hasher| hasher.algorithm() == algorithm);
        let hasher = match (known, &self.file) {
            (Some(hasher), _) => return Ok(hasher.clone().finish()),
            (None, Some(file)) => hash_file(file, algorithm, &self.uploads.layout.upload_data(self.id))?,
            (None, None) => algorithm.hasher(),
        };
        self.hashers.push(hasher.clone());
        Ok(hasher.finish())
    }

    /// The content, whose digest must have been checked, ready to be stored. It must have its file.
    pub(crate) fn seal(&self, digest: Digest) -> Result<Sealed, DiskError> {
        let path = self.uploads.layout.upload_data(self.id);
        let file = self.file.as_ref().expect("the file was made before").try_clone().on("keep open", &path)?;
        Ok(Sealed::of_upload(path, file, digest, self.size))
    }

    /// From here on it cannot be cancelled.
    ///
    /// # Errors
    /// [`Error::UploadUnknown`] when it was.
    pub(crate) fn close(&mut self) -> Result<(), Error> {
        if self.uploads.table.lock().close(self.id) { Ok(()) } else { Err(self.unknown()) }
    }

    /// Its content is a blob, or could not be synced: it goes when it is dropped. After a failed sync Linux may mark pages
    /// as clean that were never written, and the next sync would succeed without them: this file cannot be used again.
    pub(crate) const fn give_up(&mut self) {
        self.fate = Fate::Goes;
    }

    /// Removes it: its content is stored and linked.
    pub(crate) fn end(mut self) -> Result<(), DiskError> {
        self.fate = Fate::Settled;
        self.uploads.remove_claimed(self.id)
    }

    /// Gives it back for another request to continue.
    ///
    /// # Errors
    /// [`Error::UploadUnknown`] when it was cancelled: its bytes are gone.
    pub(crate) fn leave(mut self) -> Result<u64, Error> {
        if self.put_back() { Ok(self.size) } else { Err(self.unknown()) }
    }

    fn put_back(&mut self) -> bool {
        let hashed = Hashed { size: self.size, hashers: std::mem::take(&mut self.hashers) };
        let there = self.uploads.table.lock().put_back(self.id, hashed);
        self.fate = if there { Fate::Settled } else { Fate::Goes };
        there
    }
}

impl Drop for OpenUpload {
    fn drop(&mut self) {
        if self.fate == Fate::Stays {
            self.put_back();
        }
        if self.fate == Fate::Goes
            && let Err(error) = self.uploads.remove_claimed(self.id)
        {
            tracing::debug!(%error, upload = %self.id, "an upload was not removed; the sweep will do it");
        }
    }
}
