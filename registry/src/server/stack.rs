//! The layers between hyper and the service, outermost first:
//!
//! 1. *count*: the watchdog must know of a request before anything can hang;
//! 2. *arrival*: everything inside can log the request's id, and send files over this connection;
//! 3. *log*: outside the panic handler, so that its response is logged too; formats nothing unless debug logs are on;
//! 4. *catch panic*: inside the count, so that a panic ends one request and not the connection;
//! 5. *the service*.
//!
//! On the way back the response body keeps the request counted as being sent, and a response that closes the connection
//! with the request body unread is noted for the closing code.

use std::convert::Infallible;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use http_body::{Frame, SizeHint};
use http_body_util::Either;
use hyper::body::Incoming;
use tower::{Service, ServiceExt};
use tracing::Level;

use super::deadlines::{Activity, Working};
use crate::api::body::{FileWindows, Share};
use crate::api::{self, Arrival, BoxError, RequestId};
use crate::oci::ErrorCode;

/// The service with its layers, for one connection.
#[derive(Debug)]
pub(super) struct Stack<S> {
    pub(super) service: S,
    pub(super) connection: u64,
    pub(super) client: Option<IpAddr>,
    pub(super) activity: Arc<Activity>,
    pub(super) windows: Option<Arc<FileWindows>>,
    pub(super) share: Arc<Share>,
}

impl<S, B> hyper::service::Service<Request<Incoming>> for Stack<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    type Response = Response<CountedBody<B>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let http2 = request.version() >= Version::HTTP_2;
        let (number, working) = self.activity.request(http2);
        let id = RequestId { connection: self.connection, request: number };
        // HTTP/2 splits a body into frames itself, so a whole file cannot be passed through by address.
        let windows = if http2 { None } else { self.windows.clone() };
        let (client, share) = (self.client, Some(self.share.clone()));
        request.extensions_mut().insert(Arrival { request: Some(id), windows, client, share });
        if let Some(refused) = wrong_host(&request, id) {
            self.activity.leaves_body_unread();
            let sending = working.answered();
            let refused = refused.map(|body| CountedBody { body: Either::Right(body), sending });
            return Box::pin(std::future::ready(Ok(refused)));
        }
        let line = tracing::enabled!(Level::DEBUG).then(|| (request.method().clone(), request.uri().clone()));
        let (service, activity) = (self.service.clone(), self.activity.clone());
        Box::pin(async move {
            // `oneshot` is inside, so that a panic in `poll_ready` or `call` is caught too.
            let answered = AssertUnwindSafe(async { service.oneshot(request).await }).catch_unwind().await;
            let response = match answered {
                Ok(Ok(response)) => response.map(Either::Left),
                Ok(Err(error)) => {
                    tracing::error!(request = %id, error = %error.into(), "a service failed");
                    failure(id)
                }
                Err(_) => {
                    // The panic hook has already written the message and location to standard error.
                    tracing::error!(request = %id, "a request panicked; this is a defect");
                    failure(id)
                }
            };
            if let Some((method, uri)) = line {
                tracing::debug!(request = %id, %method, %uri, status = response.status().as_u16(), "answered");
            }
            if response.headers().get(header::CONNECTION) == Some(&HeaderValue::from_static("close")) {
                activity.leaves_body_unread();
            }
            let sending = working.answered();
            Ok(response.map(|body| CountedBody { body, sending }))
        })
    }
}

/// The refusal of an HTTP/1.1 request that does not name one host (RFC 9112, 3.2): the next proxy might read another one.
fn wrong_host<B>(request: &Request<B>, id: RequestId) -> Option<Response<api::Body>> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    let is_right = match request.version() {
        Version::HTTP_11 => first.is_some() && second.is_none(),
        _ => second.is_none(),
    };
    (!is_right).then(|| {
        let mut response = api::failure(StatusCode::BAD_REQUEST, ErrorCode::Unsupported, Some(id));
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        response
    })
}

fn failure<B>(id: RequestId) -> Response<Either<B, api::Body>> {
    let mut response = api::failure(StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::Unknown, Some(id));
    // It is unknown how much of the request's body was read.
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response.map(Either::Right)
}

/// A response body, counted as being sent until hyper has taken all of it.
#[derive(Debug)]
pub(super) struct CountedBody<B> {
    body: Either<B, api::Body>,
    sending: Working,
}

impl<B> http_body::Body for CountedBody<B>
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(bytes) = frame.data_ref()
        {
            self.sending.took(bytes.len());
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
