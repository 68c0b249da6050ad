//! Uploads: files that grow at their end, resumable across a restart. The file's length is the truth about how much is
//! there; what has been hashed is kept in memory and made anew by reading when it is lost.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::blobs::Adopted;
use super::durable::Batch;
use super::error::{Context, StoreError, absent_is_none};
use super::layout::Layout;
use super::links;
use super::write_back::WriteBack;
use crate::oci::{Algorithm, Digest, Hasher, RepositoryName, UploadId};

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
    open: Arc<Mutex<HashMap<UploadId, State>>>,
}

/// What is known of an upload between two requests.
#[derive(Debug)]
enum State {
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
        Self { layout, open: Arc::default() }
    }

    /// How many there are on disk.
    pub(crate) fn count(&self) -> Result<usize, StoreError> {
        let folder = self.layout.uploads();
        Ok(fs::read_dir(&folder).on("list", &folder)?.count())
    }

    /// Begins an upload.
    ///
    /// # Durability
    /// None: a power cut may take it, and the client begins anew.
    pub(crate) fn create(&self, repository: &RepositoryName, algorithm: Algorithm) -> Result<OpenUpload, StoreError> {
        let id = UploadId::random();
        let folder = self.layout.upload(id);
        fs::create_dir(&folder).on("create folder", &folder)?;
        let path = self.layout.upload_data(id);
        let file = OpenOptions::new().append(true).read(true).create_new(true).open(&path).on("create", &path)?;
        let record = Record { repository: repository.clone(), algorithm: algorithm.to_string() };
        let path = self.layout.upload_record(id);
        fs::write(&path, super::link::render(&record)).on("write", &path)?;
        self.open.lock().insert(id, State::Taken);
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
    ) -> Result<Result<OpenUpload, Unavailable>, StoreError> {
        let Some(record) = self.record(repository, id)? else { return Ok(Err(Unavailable::Unknown)) };
        let known = match self.open.lock().insert(id, State::Taken) {
            Some(State::Taken) => return Ok(Err(Unavailable::Busy)),
            Some(State::Hashed(size, hasher)) => Some((size, hasher)),
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
    ) -> Result<Option<OpenUpload>, StoreError> {
        let path = self.layout.upload_data(id);
        let Some(mut file) =
            absent_is_none(OpenOptions::new().append(true).read(true).open(&path)).on("open", &path)?
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
                    .map_err(|error| StoreError::damaged(&self.layout.upload_record(id), error.to_string()))?;
                rehash(&mut file, algorithm).on("read", &path)?
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
    pub(crate) fn size(&self, repository: &RepositoryName, id: UploadId) -> Result<Option<u64>, StoreError> {
        if self.record(repository, id)?.is_none() {
            return Ok(None);
        }
        let path = self.layout.upload_data(id);
        Ok(absent_is_none(fs::metadata(&path)).on("look for", &path)?.map(|metadata| metadata.len()))
    }

    /// Removes an upload of `repository`; says whether there was one. A request that holds it finds its next piece
    /// written to a file without a name.
    pub(crate) fn cancel(&self, repository: &RepositoryName, id: UploadId) -> Result<bool, StoreError> {
        if self.record(repository, id)?.is_none() {
            return Ok(false);
        }
        self.remove(id)?;
        Ok(true)
    }

    fn remove(&self, id: UploadId) -> Result<(), StoreError> {
        self.open.lock().remove(&id);
        let folder = self.layout.upload(id);
        absent_is_none(fs::remove_dir_all(&folder)).on("remove", &folder)?;
        Ok(())
    }

    /// Removes the uploads nothing was added to since `before`; says how many.
    pub(crate) fn sweep(&self, before: SystemTime) -> Result<usize, StoreError> {
        let uploads = self.layout.uploads();
        let mut swept = 0;
        for entry in fs::read_dir(&uploads).on("list", &uploads)? {
            let name = entry.on("list", &uploads)?.file_name();
            let Some(id) = name.to_str().and_then(|name| name.parse::<UploadId>().ok()) else { continue };
            if matches!(self.open.lock().get(&id), Some(State::Taken)) {
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

    fn record(&self, repository: &RepositoryName, id: UploadId) -> Result<Option<Record>, StoreError> {
        // Half of it after a power cut is as good as none: nothing of it was acknowledged as durable.
        match links::read::<Record>(&self.layout.upload_record(id)) {
            Ok(record) => Ok(record.filter(|record| record.repository == *repository)),
            Err(StoreError::Damaged { .. }) => Ok(None),
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
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.uploads.layout.upload_data(self.id);
        if let Err(error) = self.file.write_all(bytes) {
            let _ = self.file.set_len(self.size);
            return Err(error).on("write", &path);
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        self.size += bytes.len() as u64;
        self.write_back.grown(&self.file, self.size);
        Ok(())
    }

    /// Whether the content has `expected`; reads it again when another algorithm was hashed on the way.
    pub(crate) fn digest(&mut self, algorithm: Algorithm) -> Result<Digest, StoreError> {
        let path = self.uploads.layout.upload_data(self.id);
        match &self.hasher {
            Some(hasher) if hasher.algorithm() == algorithm => Ok(hasher.clone().finish()),
            _ => rehash(&mut self.file, algorithm).on("read", &path).map(Hasher::finish),
        }
    }

    /// Makes the content a blob of `repository`, durable with its name and its link, and ends the upload. The digest
    /// must have been checked. Says what became of the file.
    pub(crate) fn finish(
        mut self,
        digest: &Digest,
        repository: &RepositoryName,
        blobs: &super::Blobs,
        links: &super::Links,
    ) -> Result<Adopted, StoreError> {
        let mut adopted = Adopted::There;
        let path = self.uploads.layout.upload_data(self.id);
        if blobs.size(digest)? != Some(self.size) {
            if let Err(error) = self.file.sync_all() {
                // What could not be written may be marked as written all the same, and the next sync would succeed
                // without it: nobody may go on with this file.
                self.hasher = None;
                self.uploads.remove(self.id)?;
                return Err(error).on("sync", &path);
            }
            adopted = blobs.adopt(&path, digest)?;
        }
        // Also when the blob was there: whoever put it there may not have come to its own sync yet.
        blobs.sync(digest.algorithm())?;
        let incoming = self.uploads.layout.incoming();
        let mut batch = Batch::new(&incoming);
        links.link_blob(&mut batch, repository, digest, self.size)?;
        batch.commit()?;
        self.hasher = None;
        self.uploads.remove(self.id)?;
        Ok(adopted)
    }
}

impl Drop for OpenUpload {
    fn drop(&mut self) {
        let mut open = self.uploads.open.lock();
        match self.hasher.take() {
            // Not when it was cancelled meanwhile: then its entry is gone.
            Some(hasher) if open.contains_key(&self.id) => {
                open.insert(self.id, State::Hashed(self.size, hasher));
            }
            _ => {
                open.remove(&self.id);
            }
        }
    }
}

/// Hashes a file from its start, in pieces that stay in the processor's cache.
fn rehash(file: &mut File, algorithm: Algorithm) -> io::Result<Hasher> {
    io::Seek::rewind(file)?;
    let mut hasher = algorithm.hasher();
    let mut piece = vec![0; 256 * 1024];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hasher),
            read => hasher.update(&piece[..read]),
        }
    }
}
