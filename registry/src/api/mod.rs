//! The HTTP API as a `tower` service: request in, [`Endpoint`], one handler, response out.
//!
//! A handler reads request headers, calls the registry and writes response headers. The parsed endpoint has already
//! decided what is asked; `error` decides how a failure looks. Invariants: every client of the specification can read
//! every response (JSON for every failure, path-only locations, exact lengths), nothing is compressed, and no body is
//! read without a size limit and a deadline. Knows neither sockets nor TLS nor where content is stored.

mod blobs;
pub mod body;
mod charts;
mod conditions;
mod cors;
mod endpoint;
mod error;
mod headers;
mod lists;
mod log;
mod manifests;
mod receiving;
mod request_body;
mod uploads;

use std::convert::Infallible;
use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, Version, header};

pub use body::Body;
pub use endpoint::{Access, Action, Endpoint, InvalidRequest, MountSource, Page};
pub(crate) use error::failure;

use crate::Registry;
use crate::names::RequestedName;
use crate::oci::MAX_MANIFEST_SIZE;
use body::{FileWindows, Share};
use error::Error;
use receiving::Receiving;
use request_body::RequestBody;

/// What the server knows of a request's connection, passed as a request extension. Every field is optional.
#[derive(Clone, Debug, Default)]
pub struct Arrival {
    /// Identifies the request in logs and in error bodies.
    pub request: Option<RequestId>,
    /// Set when the connection can send ranges of files itself; without it, bodies are read into memory.
    pub windows: Option<Arc<FileWindows>>,
    /// The client's address: for the log, and for what one client may hold.
    pub client: Option<IpAddr>,
    /// What answers of the connection that are not read may take of the memory; nothing is counted without it.
    pub share: Option<Arc<Share>>,
}

/// Identifies one request in logs: `<connection>-<request>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId {
    /// The number of the connection, counted since the process started.
    pub connection: u64,
    /// The number of the request on that connection.
    pub request: u64,
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.connection, self.request)
    }
}

/// An error from the transport of a request body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The settings of the HTTP API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The window over which `minimum_rate` is measured, in whole seconds.
    pub stall: Duration,
    /// The slowest a request body may arrive, in bytes per second, averaged over `stall`. A slower request gets 408.
    pub minimum_rate: u64,
    /// The most memory used for manifests being pushed, over all requests, in bytes. When it is short, the slowest push
    /// gives way. Never less than one manifest of the largest size.
    pub manifest_memory: usize,
    /// The origins whose scripts may read answers and delete, as browsers write them; `*` is every one.
    pub cors_origins: Vec<String>,
    /// The path that a proxy removes from requests, without a `/` at its end: it is put before the paths in `Location` and
    /// `Link`.
    pub prefix: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            stall: Duration::from_secs(300),
            minimum_rate: 1024,
            manifest_memory: 64 * 1024 * 1024,
            cors_origins: Vec::new(),
            prefix: String::new(),
        }
    }
}

/// The registry's HTTP API. Cheap to clone; every clone serves the same registry.
#[derive(Clone, Debug)]
pub struct Api(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    registry: Registry,
    settings: Settings,
    receiving: Receiving,
}

impl Api {
    /// The API of `registry`.
    #[must_use]
    pub fn new(registry: Registry, settings: Settings) -> Self {
        let receiving = Receiving::new(settings.manifest_memory.max(MAX_MANIFEST_SIZE));
        Self(Arc::new(Shared { registry, settings, receiving }))
    }
}

impl<B> tower::Service<Request<B>> for Api
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let shared = self.0.clone();
        Box::pin(async move { Ok(answer(&shared, request).await) })
    }
}

async fn answer<B>(shared: &Shared, request: Request<B>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let (mut parts, body) = request.into_parts();
    let arrival = parts.extensions.remove::<Arrival>().unwrap_or_default();
    let mut body = RequestBody::new(body, &parts.headers, &shared.settings);
    if parts.method == Method::HEAD {
        // RFC 9110, 14.2: only a GET can have a range.
        parts.headers.remove(header::RANGE);
    }
    let origin = cors::origin(&shared.settings.cors_origins, &parts.headers);
    let mut namespace = None;
    let mut response = match Endpoint::parse(&parts.method, &parts.uri, shared.registry.names()) {
        Ok(endpoint) => {
            namespace = endpoint.name().and_then(|name| name.ns.clone());
            // Authorisation belongs here, on `endpoint.access()`: no handler has run yet.
            let answered = handle(shared, &endpoint, &parts, &arrival, &mut body).await;
            let answered = match (&arrival.share, answered) {
                (Some(share), Ok(response)) if counts(&response, &parts) => {
                    Box::pin(counted(share, response, async || {
                        handle(shared, &endpoint, &parts, &arrival, &mut body).await
                    }))
                    .await
                }
                (_, answered) => answered,
            };
            answered.unwrap_or_else(|error| refuse(error, &parts, Some(&endpoint), &arrival))
        }
        Err(refused) => {
            let preflight = origin.as_ref().and_then(|_| cors::preflight(&parts));
            preflight.unwrap_or_else(|| refuse(Error::Request(refused), &parts, None, &arrival))
        }
    };
    if !body.settle().await && parts.version < Version::HTTP_2 {
        // HTTP/1.1 would read the rest of the body as the next request.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let version = HeaderValue::from_static("registry/2.0");
    response.headers_mut().insert(headers::DOCKER_DISTRIBUTION_API_VERSION, version);
    // A browser must not guess that what clients pushed is a page.
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(namespace) = namespace.filter(|_| !response.status().is_client_error()) {
        headers::insert(&mut response, headers::OCI_NAMESPACE, namespace.to_string());
    }
    if let Some(origin) = origin {
        cors::allow(&mut response, origin);
    }
    if !shared.settings.prefix.is_empty() {
        headers::prefix(&mut response, &shared.settings.prefix);
    }
    if parts.method == Method::HEAD {
        *response.body_mut() = Body::empty();
    }
    response
}

fn refuse(error: Error, parts: &Parts, endpoint: Option<&Endpoint>, arrival: &Arrival) -> Response<Body> {
    log::refused(&error, error.meaning(), parts, endpoint, arrival);
    error.into_response(arrival.request)
}

/// Whether what an answer holds in memory counts until the client has taken it.
fn counts(response: &Response<Body>, parts: &Parts) -> bool {
    parts.method == Method::GET && Share::counts(response.body().in_memory(), parts.version >= Version::HTTP_2)
}

/// The answer once there is memory for it. It holds none while it waits: it is made `again` after that.
async fn counted(
    share: &Arc<Share>,
    response: Response<Body>,
    again: impl AsyncFnOnce() -> Result<Response<Body>, Error>,
) -> Result<Response<Body>, Error> {
    let size = response.body().in_memory();
    let (response, held) = match share.try_hold(size) {
        Some(held) => (response, held),
        None => {
            drop(response);
            let held = tokio::time::timeout(body::budget::PATIENCE, share.clone().hold(size)).await;
            let held = held.map_err(|_| Error::Unread)?;
            (again().await?, held)
        }
    };
    Ok(response.map(|body| body.counted(held)))
}

/// One handler per endpoint. All but the pulls are boxed: otherwise every pull would allocate and move the larger state
/// of a push.
async fn handle(
    shared: &Shared,
    endpoint: &Endpoint,
    parts: &Parts,
    arrival: &Arrival,
    body: &mut RequestBody,
) -> Result<Response<Body>, Error> {
    let (registry, fields) = (&shared.registry, &parts.headers);
    let target = |name: &RequestedName| registry.repository(name.write_target().clone()).for_client(arrival.client);
    let conditional = |name: &RequestedName| target(name).only_if(conditions::precondition(fields));
    let (name, action) = match endpoint {
        Endpoint::In(name, action) => (name, action),
        Endpoint::Check | Endpoint::Root => return Ok(check()),
        Endpoint::ListRepositories(page) => return Box::pin(lists::repositories(registry, page)).await,
        Endpoint::ChartIndex(folder) => {
            return Box::pin(charts::index(registry, fields, folder.as_ref())).await;
        }
        Endpoint::PullChart { archive, provenance } => {
            return Box::pin(charts::pull(registry, fields, arrival, archive, *provenance)).await;
        }
    };
    match action {
        Action::PullBlob(digest) => blobs::pull(registry, fields, arrival, name, digest).await,
        Action::PullManifest(reference) => manifests::pull(registry, fields, name, reference).await,
        Action::ListTags(page) => Box::pin(lists::tags(registry, name, page)).await,
        Action::ListReferrers { subject, artifact_types, after } => {
            Box::pin(lists::referrers(registry, name, subject, artifact_types, after.as_ref())).await
        }
        Action::StartUpload(algorithm) => Box::pin(uploads::start(&target(name), *algorithm)).await,
        Action::PushBlob(digest) => Box::pin(uploads::push(&target(name), fields, *digest, body)).await,
        Action::MountBlob(digest, from) => Box::pin(uploads::mount(&target(name), digest, from)).await,
        Action::AppendToUpload(id) => Box::pin(uploads::append(&target(name), fields, *id, None, body)).await,
        Action::FinishUpload(id, digest) => {
            Box::pin(uploads::append(&target(name), fields, *id, Some(*digest), body)).await
        }
        Action::UploadStatus(id) => Box::pin(uploads::status(&target(name), *id)).await,
        Action::CancelUpload(id) => Box::pin(uploads::cancel(&target(name), *id)).await,
        Action::PushManifest(reference) => {
            Box::pin(manifests::push(shared, fields, &conditional(name), reference.clone(), body)).await
        }
        Action::DeleteManifest(reference) => Box::pin(manifests::delete(&conditional(name), reference, arrival)).await,
        Action::DeleteBlob(digest) => Box::pin(blobs::delete(&conditional(name), digest, arrival)).await,
    }
}

/// end-1: the response that identifies a registry, also at `/`.
fn check() -> Response<Body> {
    let mut response = headers::json(b"{}".as_slice().into());
    // Docker may ask through caching proxies.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

#[cfg(test)]
mod tests;
