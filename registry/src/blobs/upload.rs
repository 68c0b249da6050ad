//! Uploads: files that grow at their end, resumable across a restart. The file's length is the truth about how much is
//! there; what has been hashed is kept in memory and made anew by reading when it is lost.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::write_back::WriteBack;
use super::writer::Sealed;
use crate::disk::{self, Context, DiskError, Layout, absent_is_none, read_pieces};
use crate::oci::{Algorithm, Digest, Hasher, RepositoryName, UploadId};

/// Read at a time when an upload is hashed again.
const PIECE: usize = 256 * 1024;

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
    /// How many are on disk, once they were counted.
    count: Arc<Mutex<Option<usize>>>,
}

/// What is known of an upload between two requests.
#[derive(Debug)]
enum Held {
    /// A request holds it.
    Taken,
    /// So many bytes are hashed.
    Hashed(u64, Hasher),
}

/// Why an upload could not be taken.
#[derive(Debug)]
pub(crate) enum Unavailable {
    /// There is none of that name in that repository.
    Unknown,
    /// Another request holds it.
    Busy,
}

/// An upload held by one request. Dropped, it stays at the size it has and can be taken again.
#[derive(Debug)]
pub(crate) struct OpenUpload {
    id: UploadId,
    uploads: Uploads,
    file: File,
    size: u64,
    write_back: WriteBack,
    // `None` once it is finished or cancelled.
    hasher: Option<Hasher>,
}

impl Uploads {
    pub(crate) fn new(layout: Layout) -> Self {
        Self { layout, open: Arc::default(), count: Arc::default() }
    }

    /// Makes room for one more, if there are fewer than `limit`. The folder is listed once in the life of a process.
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

    /// Begins an upload; `None` when there are `limit` already.
    ///
    /// # Durability
    /// None: a power cut may take it, and the client begins anew.
    pub(crate) fn create(
        &self,
        repository: &RepositoryName,
        algorithm: Algorithm,
        limit: usize,
    ) -> Result<Option<OpenUpload>, DiskError> {
        if !self.reserve(limit)? {
            return Ok(None);
        }
        let created = self.create_reserved(repository, algorithm);
        if created.is_err() {
            self.released();
        }
        created.map(Some)
    }

    fn create_reserved(&self, repository: &RepositoryName, algorithm: Algorithm) -> Result<OpenUpload, DiskError> {
        let id = UploadId::random();
        let folder = self.layout.upload(id);
        fs::create_dir(&folder).on("create folder", &folder)?;
        let path = self.layout.upload_data(id);
        let file = OpenOptions::new().append(true).read(true).create_new(true).open(&path).on("create", &path)?;
        let record = Record { repository: repository.clone(), algorithm: algorithm.to_string() };
        let path = self.layout.upload_record(id);
        fs::write(&path, disk::render(&record)).on("write", &path)?;
        self.open.lock().insert(id, Held::Taken);
        Ok(OpenUpload {
            id,
            uploads: self.clone(),
            file,
            size: 0,
            write_back: WriteBack::default(),
            hasher: Some(algorithm.hasher()),
        })
    }

    /// Takes an upload of `repository` to continue it, hashing again what this process has not hashed.
    pub(crate) fn take(
        &self,
        repository: &RepositoryName,
        id: UploadId,
    ) -> Result<Result<OpenUpload, Unavailable>, DiskError> {
        let Some(record) = self.record(repository, id)? else { return Ok(Err(Unavailable::Unknown)) };
        let known = match self.open.lock().insert(id, Held::Taken) {
            Some(Held::Taken) => return Ok(Err(Unavailable::Busy)),
            Some(Held::Hashed(size, hasher)) => Some((size, hasher)),
            None => None,
        };
        let opened = self.reopen(id, &record, known);
        if !matches!(opened, Ok(Some(_))) {
            self.open.lock().remove(&id);
        }
        Ok(opened?.ok_or(Unavailable::Unknown))
    }

    fn reopen(
        &self,
        id: UploadId,
        record: &Record,
        known: Option<(u64, Hasher)>,
    ) -> Result<Option<OpenUpload>, DiskError> {
        let path = self.layout.upload_data(id);
        let Some(file) = absent_is_none(OpenOptions::new().append(true).read(true).open(&path)).on("open", &path)?
        else {
            return Ok(None);
        };
        let size = file.metadata().on("read the size of", &path)?.len();
        let hasher = match known {
            Some((hashed, hasher)) if hashed == size => hasher,
            _ => {
                let algorithm = record
                    .algorithm
                    .parse::<Algorithm>()
                    .map_err(|error| DiskError::damaged(&self.layout.upload_record(id), error.to_string()))?;
                rehash(&file, algorithm, &path)?
            }
        };
        Ok(Some(OpenUpload {
            id,
            uploads: self.clone(),
            file,
            size,
            write_back: WriteBack::after(size),
            hasher: Some(hasher),
        }))
    }

    /// The size of an upload of `repository`, without taking it.
    pub(crate) fn size(&self, repository: &RepositoryName, id: UploadId) -> Result<Option<u64>, DiskError> {
        if self.record(repository, id)?.is_none() {
            return Ok(None);
        }
        let path = self.layout.upload_data(id);
        Ok(absent_is_none(fs::metadata(&path)).on("look for", &path)?.map(|metadata| metadata.len()))
    }

    /// Removes an upload of `repository`; says whether there was one. A request that holds it finds its next piece
    /// written to a file without a name.
    pub(crate) fn cancel(&self, repository: &RepositoryName, id: UploadId) -> Result<bool, DiskError> {
        if self.record(repository, id)?.is_none() {
            return Ok(false);
        }
        self.remove(id)?;
        Ok(true)
    }

    fn remove(&self, id: UploadId) -> Result<(), DiskError> {
        self.open.lock().remove(&id);
        let folder = self.layout.upload(id);
        if absent_is_none(fs::remove_dir_all(&folder)).on("remove", &folder)?.is_some() {
            self.released();
        }
        Ok(())
    }

    /// Removes the uploads nothing was added to since `before`; says how many.
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

    fn record(&self, repository: &RepositoryName, id: UploadId) -> Result<Option<Record>, DiskError> {
        // Half of it after a power cut is as good as none: nothing of it was acknowledged as durable.
        match disk::read::<Record>(&self.layout.upload_record(id)) {
            Ok(record) => Ok(record.filter(|record| record.repository == *repository)),
            Err(DiskError::Damaged { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl OpenUpload {
    pub(crate) const fn id(&self) -> UploadId {
        self.id
    }

    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    /// Adds `bytes` at the end.
    ///
    /// # Errors
    /// When the disk refuses; the upload is then cut back to what it had, so that the client can go on from there.
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

    /// Whether the content has `expected`; reads it again when another algorithm was hashed on the way.
    pub(crate) fn digest(&mut self, algorithm: Algorithm) -> Result<Digest, DiskError> {
        match &self.hasher {
            Some(hasher) if hasher.algorithm() == algorithm => Ok(hasher.clone().finish()),
            _ => rehash(&self.file, algorithm, &self.uploads.layout.upload_data(self.id)).map(Hasher::finish),
        }
    }

    /// The content, whose digest must have been checked, to be given its name.
    pub(crate) fn seal(&self, digest: Digest) -> Result<Sealed, DiskError> {
        let path = self.uploads.layout.upload_data(self.id);
        let file = self.file.try_clone().on("keep open", &path)?;
        Ok(Sealed::of_upload(path, file, digest, self.size))
    }

    /// Forgets the upload: its content has its name, or could not be synced. What a failed sync could not write may be
    /// marked as written all the same, and the next sync would succeed without it: nobody may go on with this file.
    pub(crate) fn end(mut self) -> Result<(), DiskError> {
        self.hasher = None;
        self.uploads.remove(self.id)
    }
}

impl Drop for OpenUpload {
    fn drop(&mut self) {
        let mut open = self.uploads.open.lock();
        match self.hasher.take() {
            // Not when it was cancelled meanwhile: then its entry is gone.
            Some(hasher) if open.contains_key(&self.id) => {
                open.insert(self.id, Held::Hashed(self.size, hasher));
            }
            _ => {
                open.remove(&self.id);
            }
        }
    }
}

/// Hashes a file from its start.
fn rehash(file: &File, algorithm: Algorithm, path: &Path) -> Result<Hasher, DiskError> {
    let mut hasher = algorithm.hasher();
    let read = read_pieces::<()>(file, 0, None, &mut vec![0; PIECE], |piece| {
        hasher.update(piece);
        ControlFlow::Continue(())
    });
    let _ = read.map_err(|failed| failed.error).on("read", path)?;
    Ok(hasher)
}
