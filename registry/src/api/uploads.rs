//! end-4, end-5, end-6, end-11, end-13, end-14: blob uploads. An upload is identified by its id alone and its progress is
//! on disk, not in the URL, so a client may use any `Location` it was ever given.

use http::{HeaderMap, Response, StatusCode, header};

use super::body::Body;
use super::endpoint::MountSource;
use super::error::Error;
use super::headers::{DOCKER_CONTENT_DIGEST, empty, insert, upload_progress};
use super::request_body::RequestBody;
use crate::oci::{Algorithm, ContentRange, Digest, UploadId};
use crate::{Error as RegistryError, Repository, Upload};

pub(super) async fn start(repository: &Repository, algorithm: Option<Algorithm>) -> Result<Response<Body>, Error> {
    let upload = repository.start_upload(algorithm.unwrap_or(Algorithm::Sha256)).await?;
    Ok(progress(StatusCode::ACCEPTED, repository, upload.id(), upload.size()))
}

pub(super) async fn mount(
    repository: &Repository,
    digest: &Digest,
    from: &MountSource,
) -> Result<Response<Body>, Error> {
    let mounted = match from {
        MountSource::Anywhere => repository.mount_blob(digest, None).await?,
        MountSource::Repository(from) => repository.mount_blob(digest, Some(from)).await?,
        MountSource::Nowhere => false,
    };
    if mounted {
        return Ok(created(repository, digest));
    }
    // Absent, or not visible to this client: either way it uploads the blob.
    start(repository, Some(digest.algorithm())).await
}

pub(super) async fn push(
    repository: &Repository,
    headers: &HeaderMap,
    digest: Digest,
    body: &mut RequestBody,
) -> Result<Response<Body>, Error> {
    let mut upload = repository.start_upload(digest.algorithm()).await?;
    let id = upload.id();
    let pushed = async {
        receive(repository, &mut upload, headers, body).await?;
        Ok(upload.finish(digest).await?)
    };
    if let Err(error) = pushed.await {
        // The client never got this upload's location, so it cannot resume it.
        if let Err(error) = repository.cancel_upload(id).await {
            tracing::debug!(%error, upload = %id, "a refused blob's upload was not removed; the sweep will do it");
        }
        return Err(error);
    }
    Ok(created(repository, &digest))
}

/// Appends the body, and finishes the upload if the client gives its digest.
pub(super) async fn append(
    repository: &Repository,
    headers: &HeaderMap,
    id: UploadId,
    digest: Option<Digest>,
    body: &mut RequestBody,
) -> Result<Response<Body>, Error> {
    let mut upload = take(repository, id).await?;
    receive(repository, &mut upload, headers, body).await?;
    let Some(digest) = digest else {
        // Said only of bytes that are kept: the upload may have been cancelled meanwhile.
        let size = upload.leave()?;
        return Ok(progress(StatusCode::ACCEPTED, repository, id, size));
    };
    upload.finish(digest).await?;
    Ok(created(repository, &digest))
}

pub(super) async fn status(repository: &Repository, id: UploadId) -> Result<Response<Body>, Error> {
    Ok(progress(StatusCode::NO_CONTENT, repository, id, repository.upload_size(id).await?))
}

pub(super) async fn cancel(repository: &Repository, id: UploadId) -> Result<Response<Body>, Error> {
    repository.cancel_upload(id).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// Opens an upload for exclusive use. Of two concurrent requests the second is out of order.
async fn take(repository: &Repository, id: UploadId) -> Result<Upload, Error> {
    match repository.upload(id).await {
        Err(RegistryError::UploadBusy) => {
            let size = repository.upload_size(id).await?;
            Err(Error::OutOfOrder { repository: repository.name().clone(), id, size })
        }
        taken => Ok(taken?),
    }
}

/// Appends the body, which must match `Content-Range` if the request has one. Bytes appended before a failure are kept:
/// the client asks for the upload's size (end-13) and resumes.
async fn receive(
    repository: &Repository,
    upload: &mut Upload,
    headers: &HeaderMap,
    body: &mut RequestBody,
) -> Result<(), Error> {
    let announced = headers.get(header::CONTENT_RANGE).map(|value| String::from_utf8_lossy(value.as_bytes()).parse());
    let announced: Option<ContentRange> = announced.transpose()?;
    if let Some(range) = announced {
        if range.start != upload.size() {
            let (repository, id, size) = (repository.name().clone(), upload.id(), upload.size());
            return Err(Error::OutOfOrder { repository, id, size });
        }
        if body.length.is_some_and(|length| length != range.size()) {
            return Err(Error::NotAsAnnounced(range));
        }
    }
    let mut received = 0;
    while let Some(bytes) = body.next().await? {
        received += bytes.len() as u64;
        if let Some(range) = announced.filter(|range| received > range.size()) {
            return Err(Error::NotAsAnnounced(range));
        }
        upload.append(bytes).await?;
    }
    match announced {
        Some(range) if range.size() != received => Err(Error::NotAsAnnounced(range)),
        _ => Ok(()),
    }
}

fn progress(status: StatusCode, repository: &Repository, id: UploadId, size: u64) -> Response<Body> {
    let mut response = empty(status);
    upload_progress(&mut response, repository.name(), id, size);
    response
}

fn created(repository: &Repository, digest: &Digest) -> Response<Body> {
    let mut response = empty(StatusCode::CREATED);
    insert(&mut response, header::LOCATION, format!("/v2/{}/blobs/{digest}", repository.name()));
    insert(&mut response, DOCKER_CONTENT_DIGEST, digest.to_string());
    response
}
