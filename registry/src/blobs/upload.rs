//! Uploads: files that grow at their end, resumable across a restart. The file's length says how much is there; the hash
//! state is kept in memory and rebuilt by reading the file when it is lost.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::write_behind::WriteBack;
use super::writer::Sealed;
use crate::disk::{self, Context, DiskError, Layout, absent_is_none, damaged_is_none, hash_file};
use crate::error::Error;
use crate::oci::{Algorithm, Digest, Hasher, InvalidDigest, RepositoryName, UploadId};

/// What is on disk beside an upload's data.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    repository: RepositoryName,
    algorithm: String,
}

/// The uploads of a data folder.
#[derive(Clone, Debug)]
pub(crate) struct Uploads {
    layout: Layout,
    open: Arc<Mutex<HashMap<UploadId, Held>>>,
    /// How many there are on disk, once they were counted.
    count: Arc<Mutex<Option<usize>>>,
}

/// The state of an upload that this process knows.
#[derive(Debug)]
enum Held {
    /// A request holds it.
    Taken,
    /// No request holds it; this many bytes are hashed.
    Hashed(u64, Hasher),
}

/// An upload held by one request. Dropped, it stays at the size it has and can be taken again.
#[derive(Debug)]
pub(crate) struct OpenUpload {
    pub(crate) id: UploadId,
    uploads: Uploads,
    file: File,
    pub(crate) size: u64,
    write_back: WriteBack,
    // `None` once it is finished or cancelled.
    hasher: Option<Hasher>,
}

impl Uploads {
    pub(crate) fn new(layout: Layout) -> Self {
        Self { layout, open: Arc::default(), count: Arc::default() }
    }

    /// Counts one more, if there are fewer than `limit`. The folder is listed once per process.
    fn reserve(&self, limit: usize) -> Result<bool, DiskError> {
        let mut count = self.count.lock();
        let known = match *count {
            Some(known) => known,
            None => {
                let folder = self.layout.uploads();
                fs::read_dir(&folder).on("list", &folder)?.count()
            }
        };
        *count = Some(known + usize::from(known < limit));
        Ok(known < limit)
    }

    fn released(&self) {
        if let Some(count) = &mut *self.count.lock() {
            *count = count.saturating_sub(1);
        }
    }

    /// Begins an upload, unless there are `limit` already. Not durable: after a power cut the client starts again.
    pub(crate) fn create(
        &self,
        repository: &RepositoryName,
        algorithm: Algorithm,
        limit: usize,
    ) -> Result<OpenUpload, Error> {
        if !self.reserve(limit)? {
            return Err(Error::TooManyUploads(limit));
        }
        let id = UploadId::random();
        let created = self.create_files(repository, algorithm, id).inspect_err(|_| self.released())?;
        self.open.lock().insert(id, Held::Taken);
        Ok(self.opened(id, created, 0, algorithm.hasher()))
    }

    fn create_files(&self, repository: &RepositoryName, algorithm: Algorithm, id: UploadId) -> Result<File, DiskError> {
        let folder = self.layout.upload(id);
        fs::create_dir(&folder).on("create folder", &folder)?;
        let path = self.layout.upload_data(id);
        let file = OpenOptions::new().append(true).read(true).create_new(true).open(&path).on("create", &path)?;
        let record = Record { repository: repository.clone(), algorithm: algorithm.to_string() };
        let path = self.layout.upload_record(id);
        fs::write(&path, disk::render(&record)).on("write", &path)?;
        Ok(file)
    }

    /// Takes an upload of `repository` to continue it, hashing again what this process has not hashed.
    pub(crate) fn take(&self, repository: &RepositoryName, id: UploadId) -> Result<OpenUpload, Error> {
        let record = self.record(repository, id)?;
        let known = match self.open.lock().insert(id, Held::Taken) {
            Some(Held::Taken) => return Err(Error::UploadBusy),
            Some(Held::Hashed(size, hasher)) => Some((size, hasher)),
            None => None,
        };
        self.reopen(id, record, known).inspect_err(|_| drop(self.open.lock().remove(&id)))
    }

    fn reopen(&self, id: UploadId, record: Record, known: Option<(u64, Hasher)>) -> Result<OpenUpload, Error> {
        let path = self.layout.upload_data(id);
        let opened = absent_is_none(OpenOptions::new().append(true).read(true).open(&path)).on("open", &path)?;
        let file = opened.ok_or(Error::UploadUnknown(record.repository))?;
        let size = file.metadata().on("read the size of", &path)?.len();
        let hasher = match known {
            Some((hashed, hasher)) if hashed == size => hasher,
            _ => {
                let algorithm = record.algorithm.parse();
                let damaged =
                    |error: InvalidDigest| DiskError::damaged(&self.layout.upload_record(id), error.to_string());
                hash_file(&file, algorithm.map_err(damaged)?, &path)?
            }
        };
        Ok(self.opened(id, file, size, hasher))
    }

    fn opened(&self, id: UploadId, file: File, size: u64, hasher: Hasher) -> OpenUpload {
        let write_back = WriteBack::after(size);
        OpenUpload { id, uploads: self.clone(), file, size, write_back, hasher: Some(hasher) }
    }

    /// The size of an upload of `repository`, without taking it.
    pub(crate) fn size(&self, repository: &RepositoryName, id: UploadId) -> Result<u64, Error> {
        let Record { repository, .. } = self.record(repository, id)?;
        let path = self.layout.upload_data(id);
        let found = absent_is_none(fs::metadata(&path)).on("look for", &path)?;
        Ok(found.ok_or(Error::UploadUnknown(repository))?.len())
    }

    /// Removes an upload of `repository`. A request that still holds it writes to a file without a name.
    pub(crate) fn cancel(&self, repository: &RepositoryName, id: UploadId) -> Result<(), Error> {
        self.record(repository, id)?;
        Ok(self.remove(id)?)
    }

    fn remove(&self, id: UploadId) -> Result<(), DiskError> {
        self.open.lock().remove(&id);
        let folder = self.layout.upload(id);
        if absent_is_none(fs::remove_dir_all(&folder)).on("remove", &folder)?.is_some() {
            self.released();
        }
        Ok(())
    }

    /// Removes the uploads to which nothing was added since `before`; returns how many.
    pub(crate) fn sweep(&self, before: SystemTime) -> Result<usize, DiskError> {
        let uploads = self.layout.uploads();
        let mut swept = 0;
        for entry in fs::read_dir(&uploads).on("list", &uploads)? {
            let name = entry.on("list", &uploads)?.file_name();
            let Some(id) = name.to_str().and_then(|name| name.parse::<UploadId>().ok()) else { continue };
            if matches!(self.open.lock().get(&id), Some(Held::Taken)) {
                continue;
            }
            let folder = self.layout.upload(id);
            let data = fs::metadata(self.layout.upload_data(id)).or_else(|_| fs::metadata(&folder));
            let Some(metadata) = absent_is_none(data).on("look at", &folder)? else { continue };
            if metadata.modified().on("read the time of", &folder)? < before {
                self.remove(id)?;
                swept += 1;
            }
        }
        Ok(swept)
    }

    fn record(&self, repository: &RepositoryName, id: UploadId) -> Result<Record, Error> {
        // Half of it after a power cut counts as none: nothing of it was acknowledged as durable.
        let record = damaged_is_none(disk::read::<Record>(&self.layout.upload_record(id)))?;
        record.filter(|record| record.repository == *repository).ok_or_else(|| Error::UploadUnknown(repository.clone()))
    }
}

impl OpenUpload {
    /// Adds `bytes` at the end. When the disk refuses, the upload is cut back to what it had, so that the client can go on
    /// from there.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        if let Err(error) = self.file.write_all(bytes) {
            let _ = self.file.set_len(self.size);
            return Err(error).on("write", &self.uploads.layout.upload_data(self.id));
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        self.size += bytes.len() as u64;
        self.write_back.grown(&self.file, self.size);
        Ok(())
    }

    /// The digest of the content; reads all of it when another algorithm was hashed on the way.
    pub(crate) fn digest(&mut self, algorithm: Algorithm) -> Result<Digest, DiskError> {
        match &self.hasher {
            Some(hasher) if hasher.algorithm() == algorithm => Ok(hasher.clone().finish()),
            _ => hash_file(&self.file, algorithm, &self.uploads.layout.upload_data(self.id)).map(Hasher::finish),
        }
    }

    /// The content, whose digest must have been checked, ready to be stored.
    pub(crate) fn seal(&self, digest: Digest) -> Result<Sealed, DiskError> {
        let path = self.uploads.layout.upload_data(self.id);
        let file = self.file.try_clone().on("keep open", &path)?;
        Ok(Sealed::of_upload(path, file, digest, self.size))
    }

    /// Removes the upload: its content is stored, or could not be synced. After a failed sync Linux may mark pages as clean
    /// that were never written, and the next sync would succeed without them: this file cannot be used again.
    pub(crate) fn end(mut self) -> Result<(), DiskError> {
        self.hasher = None;
        self.uploads.remove(self.id)
    }
}

impl Drop for OpenUpload {
    fn drop(&mut self) {
        let mut open = self.uploads.open.lock();
        match self.hasher.take() {
            // If it was cancelled meanwhile, its entry is gone.
            Some(hasher) if open.contains_key(&self.id) => {
                open.insert(self.id, Held::Hashed(self.size, hasher));
            }
            _ => {
                open.remove(&self.id);
            }
        }
    }
}
