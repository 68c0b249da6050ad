//! The HTTP API as a `tower` service: request in, [`Endpoint`], one handler, response out.
//!
//! A handler reads request headers, calls the registry and writes response headers. The parsed endpoint has already
//! decided what is asked; `error` decides how a failure looks. Invariants: every client of the specification can read
//! every response (JSON for every failure, path-only locations, exact lengths), nothing is compressed, and no body is
//! read without a size limit and a deadline. Knows neither sockets nor TLS nor where content is stored.

mod arrival;
mod base;
mod blobs;
pub mod body;
mod catalog;
mod charts;
mod conditional;
mod endpoint;
mod error;
mod headers;
mod manifests;
mod referrers;
mod request_body;
mod tags;
mod uploads;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, Version, header};
use tokio::sync::Semaphore;

pub use arrival::{Arrival, RequestId};
pub use body::Body;
pub use endpoint::{Access, Endpoint, InvalidRequest, MountSource, Page};
pub(crate) use error::failure;

use crate::Registry;
use error::Error;
use request_body::RequestBody;

/// An error from the transport of a request body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The settings of the HTTP API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The window over which `minimum_rate` is measured, in whole seconds.
    pub stall: Duration,
    /// The slowest a request body may arrive, in bytes per second, averaged over `stall`. A slower request gets 408.
    pub minimum_rate: u64,
    /// The most memory used for manifests being pushed, over all requests, in bytes. Further pushes wait. Never less
    /// than one manifest of the largest size.
    pub manifest_memory: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { stall: Duration::from_secs(60), minimum_rate: 1024, manifest_memory: 64 * 1024 * 1024 }
    }
}

/// The registry's HTTP API. Cheap to clone; every clone serves the same registry.
#[derive(Clone, Debug)]
pub struct Api(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    registry: Registry,
    settings: Settings,
    // In KiB, so that any limit fits the semaphore's counter.
    manifest_memory: Semaphore,
}

impl Api {
    /// The API of `registry`.
    #[must_use]
    pub fn new(registry: Registry, settings: Settings) -> Self {
        let manifest_memory =
            Semaphore::new(settings.manifest_memory.div_ceil(1024).max(manifests::LARGEST_KIB as usize));
        Self(Arc::new(Shared { registry, settings, manifest_memory }))
    }
}

impl<B> tower::Service<Request<B>> for Api
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
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
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (mut parts, body) = request.into_parts();
    let arrival = parts.extensions.remove::<Arrival>().unwrap_or_default();
    let mut body = RequestBody::new(body, &parts.headers, &shared.settings);
    let mut namespace = None;
    let answered = match Endpoint::parse(&parts.method, &parts.uri, shared.registry.names()) {
        Ok(endpoint) => {
            namespace = endpoint.name().and_then(|name| name.ns.clone());
            // Authorisation belongs here, on `endpoint.access()`: no handler has run yet.
            handle(shared, endpoint, &parts, &arrival, &mut body).await
        }
        Err(refused) => Err(Error::Request(refused)),
    };
    let mut response = answered.unwrap_or_else(|error| error.into_response(arrival.request));
    if !body.settle().await && parts.version < Version::HTTP_2 {
        // HTTP/1.1 would read the rest of the body as the next request.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    headers::complete(response.headers_mut());
    if let Some(namespace) = namespace.filter(|_| !response.status().is_client_error()) {
        headers::insert(&mut response, headers::OCI_NAMESPACE, namespace.to_string());
    }
    if parts.method == Method::HEAD {
        *response.body_mut() = Body::empty();
    }
    response
}

/// One handler per endpoint. All but the pulls are boxed: otherwise every pull would allocate and move the larger state
/// of a push.
async fn handle(
    shared: &Shared,
    endpoint: Endpoint,
    parts: &Parts,
    arrival: &Arrival,
    body: &mut RequestBody,
) -> Result<Response<Body>, Error> {
    let (registry, fields) = (&shared.registry, &parts.headers);
    match endpoint {
        Endpoint::Check => Ok(base::check()),
        Endpoint::PullBlob { name, digest } => blobs::pull(registry, fields, arrival, &name, &digest).await,
        Endpoint::PullManifest { name, reference } => manifests::pull(registry, fields, &name, &reference).await,
        Endpoint::ListRepositories { page } => Box::pin(catalog::list(registry, &page)).await,
        Endpoint::ChartIndex => Box::pin(charts::index(registry, fields)).await,
        Endpoint::PullChart { archive, provenance } => {
            Box::pin(charts::pull(registry, fields, arrival, &archive, provenance)).await
        }
        Endpoint::ListTags { name, page } => Box::pin(tags::list(registry, &name, &page)).await,
        Endpoint::ListReferrers { name, subject, artifact_types, after } => {
            Box::pin(referrers::list(registry, &name, &subject, &artifact_types, after.as_ref())).await
        }
        Endpoint::StartUpload { name, algorithm } => Box::pin(uploads::start(registry, &name, algorithm)).await,
        Endpoint::PushBlob { name, digest } => Box::pin(uploads::push(registry, fields, &name, digest, body)).await,
        Endpoint::MountBlob { name, digest, from } => Box::pin(uploads::mount(registry, &name, &digest, &from)).await,
        Endpoint::AppendToUpload { name, id } => Box::pin(uploads::append(registry, fields, &name, id, body)).await,
        Endpoint::FinishUpload { name, id, digest } => {
            Box::pin(uploads::finish(registry, fields, &name, id, digest, body)).await
        }
        Endpoint::UploadStatus { name, id } => Box::pin(uploads::status(registry, &name, id)).await,
        Endpoint::CancelUpload { name, id } => Box::pin(uploads::cancel(registry, &name, id)).await,
        Endpoint::PushManifest { name, reference } => {
            Box::pin(manifests::push(shared, fields, &name, reference, body)).await
        }
        Endpoint::DeleteManifest { name, reference } => Box::pin(manifests::delete(registry, &name, &reference)).await,
        Endpoint::DeleteBlob { name, digest } => Box::pin(blobs::delete(registry, &name, &digest)).await,
    }
}

#[cfg(test)]
mod tests;
