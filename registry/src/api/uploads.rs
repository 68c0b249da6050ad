//! end-4, end-5, end-6, end-11, end-13, end-14: blobs coming in. The state of an upload is its id and the bytes it has;
//! nothing of it is in the URL, so a client may use any `Location` it was ever given.

use http::{HeaderMap, Response, StatusCode, header};

use super::body::Body;
use super::endpoint::MountSource;
use super::error::Error;
use super::headers::{DOCKER_CONTENT_DIGEST, DOCKER_UPLOAD_UUID, blob_location, empty, insert, upload_location};
use super::request_body::RequestBody;
use crate::names::RequestedName;
use crate::oci::{Algorithm, ContentRange, Digest, RepositoryName, UploadId};
use crate::{Error as RegistryError, Registry, Repository, Upload};

pub(super) async fn start(
    registry: &Registry,
    name: &RequestedName,
    algorithm: Option<Algorithm>,
) -> Result<Response<Body>, Error> {
    let repository = registry.repository(name.write_target().clone());
    let upload = repository.start_upload(algorithm.unwrap_or(Algorithm::Sha256)).await?;
    Ok(progress(StatusCode::ACCEPTED, repository.name(), upload.id(), upload.size()))
}

pub(super) async fn mount(
    registry: &Registry,
    name: &RequestedName,
    digest: &Digest,
    from: &MountSource,
) -> Result<Response<Body>, Error> {
    let repository = registry.repository(name.write_target().clone());
    let mounted = match from {
        MountSource::Anywhere => repository.mount_blob(digest, None).await?,
        MountSource::Repository(from) => repository.mount_blob(digest, Some(from)).await?,
        MountSource::Nowhere => false,
    };
    if mounted {
        return Ok(created(repository.name(), digest));
    }
    // Not there, or not to be known: in both cases the client uploads it.
    start(registry, name, Some(digest.algorithm())).await
}

pub(super) async fn push(
    registry: &Registry,
    headers: &HeaderMap,
    name: &RequestedName,
    digest: Digest,
    body: &mut RequestBody,
) -> Result<Response<Body>, Error> {
    let repository = registry.repository(name.write_target().clone());
    let mut upload = repository.start_upload(digest.algorithm()).await?;
    let id = upload.id();
    let pushed = async {
        receive(&repository, &mut upload, headers, body).await?;
        Ok(upload.finish(digest).await?)
    };
    if let Err(error) = pushed.await {
        // The client was told of no upload, so nobody could go on with this one.
        if let Err(error) = repository.cancel_upload(id).await {
            tracing::debug!(%error, upload = %id, "a refused blob's upload was not removed; the sweep will do it");
        }
        return Err(error);
    }
    Ok(created(repository.name(), &digest))
}

pub(super) async fn append(
    registry: &Registry,
    headers: &HeaderMap,
    name: &RequestedName,
    id: UploadId,
    body: &mut RequestBody,
) -> Result<Response<Body>, Error> {
    let repository = registry.repository(name.write_target().clone());
    let mut upload = take(&repository, id).await?;
    receive(&repository, &mut upload, headers, body).await?;
    Ok(progress(StatusCode::ACCEPTED, repository.name(), id, upload.size()))
}

pub(super) async fn finish(
    registry: &Registry,
    headers: &HeaderMap,
    name: &RequestedName,
    id: UploadId,
    digest: Digest,
    body: &mut RequestBody,
) -> Result<Response<Body>, Error> {
    let repository = registry.repository(name.write_target().clone());
    let mut upload = take(&repository, id).await?;
    receive(&repository, &mut upload, headers, body).await?;
    upload.finish(digest).await?;
    Ok(created(repository.name(), &digest))
}

pub(super) async fn status(registry: &Registry, name: &RequestedName, id: UploadId) -> Result<Response<Body>, Error> {
    let repository = registry.repository(name.write_target().clone());
    let size = repository.upload_size(id).await?;
    Ok(progress(StatusCode::NO_CONTENT, repository.name(), id, size))
}

pub(super) async fn cancel(registry: &Registry, name: &RequestedName, id: UploadId) -> Result<Response<Body>, Error> {
    registry.repository(name.write_target().clone()).cancel_upload(id).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// Takes an upload for this request alone. Of two at once the second is out of order by definition.
async fn take(repository: &Repository, id: UploadId) -> Result<Upload, Error> {
    match repository.upload(id).await {
        Err(RegistryError::UploadBusy) => {
            let size = repository.upload_size(id).await?;
            Err(Error::OutOfOrder { repository: repository.name().clone(), id, size })
        }
        taken => Ok(taken?),
    }
}

/// Appends the body, which must be what `Content-Range` announces, if it does. What was appended before a failure stays:
/// the client asks how much is there (end-13) and goes on.
async fn receive(
    repository: &Repository,
    upload: &mut Upload,
    headers: &HeaderMap,
    body: &mut RequestBody,
) -> Result<(), Error> {
    let announced = match headers.get(header::CONTENT_RANGE) {
        Some(value) => Some(String::from_utf8_lossy(value.as_bytes()).parse::<ContentRange>()?),
        None => None,
    };
    if let Some(range) = announced {
        if range.start != upload.size() {
            let (repository, id, size) = (repository.name().clone(), upload.id(), upload.size());
            return Err(Error::OutOfOrder { repository, id, size });
        }
        if body.length().is_some_and(|length| length != range.len()) {
            return Err(Error::NotAsAnnounced(range));
        }
    }
    let mut received = 0;
    while let Some(bytes) = body.next().await? {
        received += bytes.len() as u64;
        if let Some(range) = announced.filter(|range| received > range.len()) {
            return Err(Error::NotAsAnnounced(range));
        }
        upload.append(bytes).await?;
    }
    match announced {
        Some(range) if range.len() != received => Err(Error::NotAsAnnounced(range)),
        _ => Ok(()),
    }
}

fn progress(status: StatusCode, repository: &RepositoryName, id: UploadId, size: u64) -> Response<Body> {
    let mut response = empty(status);
    stand(&mut response, repository, id, size);
    response
}

/// How far an upload is and where it goes on.
pub(super) fn stand(response: &mut Response<Body>, repository: &RepositoryName, id: UploadId, size: u64) {
    insert(response, header::LOCATION, upload_location(repository, id));
    insert(response, DOCKER_UPLOAD_UUID, id.to_string());
    // The last byte's offset. Docker wants `0-0` also where there is none yet.
    insert(response, header::RANGE, format!("0-{}", size.saturating_sub(1)));
}

fn created(repository: &RepositoryName, digest: &Digest) -> Response<Body> {
    let mut response = empty(StatusCode::CREATED);
    insert(&mut response, header::LOCATION, blob_location(repository, digest));
    insert(&mut response, DOCKER_CONTENT_DIGEST, digest.to_string());
    response
}
