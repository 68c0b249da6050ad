//! Embeds the registry in another program's tower stack, next to a page of its own.
//!
//! `cargo run --example embed`, then `docker push 127.0.0.1:5001/name:tag`, or `curl 127.0.0.1:5001/hello`.

use std::convert::Infallible;
use std::error::Error;

use airdock_registry::api::{self, Api};
use airdock_registry::{Registry, Settings};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tower::{Service as _, ServiceBuilder, service_fn};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let registry = Registry::open(Settings { data: "embed-data".into(), ..Settings::default() }).await?;
    let api = Api::new(registry.clone(), api::Settings::default());
    let routes = service_fn(move |request: Request<Incoming>| {
        let mut api = api.clone();
        async move {
            Ok::<_, Infallible>(match request.uri().path() {
                "/hello" => Response::new(Either::Right(Full::new(Bytes::from("hello beside a registry\n")))),
                _ => api.call(request).await?.map(Either::Left),
            })
        }
    });
    let stack = ServiceBuilder::new()
        .map_response(|mut response: Response<_>| {
            response.headers_mut().insert(header::SERVER, HeaderValue::from_static("embed"));
            response
        })
        .service(routes);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:5001").await?;
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, service) = (TokioIo::new(accepted?.0), TowerToHyperService::new(stack.clone()));
                tokio::spawn(async move {
                    auto::Builder::new(TokioExecutor::new()).serve_connection(stream, service).await
                });
            }
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    Ok(registry.close().await?)
}
