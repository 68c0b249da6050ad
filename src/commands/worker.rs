//! Who carries out a command: this process, or the server that owns the data folder.

use std::io;
use std::time::{Duration, Instant};

use airdock_config::Config;
use airdock_registry::{OpenError, Registry, Settings};
use anyhow::{Context as _, anyhow, bail};
use serde::de::DeserializeOwned;
use tokio::runtime::Runtime;

use crate::admin::authorise::Peer;
use crate::admin::client::{ANOTHER_VERSION, Client};
use crate::admin::endpoint::Endpoint;
use crate::admin::ingester::Ingester;
use crate::admin::operation::{Call, Json};
use crate::admin::operations;
use crate::admin::wire::Line;
use crate::exit::Unanswered;

/// How long the owner of the lock may be without a socket: a server that is starting, or another command that is done
/// in a moment.
const PASSING: Duration = Duration::from_secs(3);

/// Runs what has one answer without parts.
pub(super) fn ask<T: DeserializeOwned>(config: &Config, endpoint: Endpoint) -> anyhow::Result<T> {
    run(config, endpoint, |()| Ok(()))
}

/// Has this process or the server that owns the data folder run one operation, passing on the parts of the answer as they
/// come. An error of `on_part` ends the work.
pub(super) fn run<P: DeserializeOwned, T: DeserializeOwned>(
    config: &Config,
    endpoint: Endpoint,
    on_part: impl FnMut(P) -> anyhow::Result<()>,
) -> anyhow::Result<T> {
    let data = &config.registry.data;
    let looks = matches!(
        endpoint,
        Endpoint::ListTags { .. }
            | Endpoint::Inspect { .. }
            | Endpoint::Verify(_)
            | Endpoint::Remove(_)
            | Endpoint::ListUploads
            | Endpoint::RemoveUploads { .. }
    );
    // A new folder is not created to look at nothing.
    if looks && !data.exists() {
        bail!("there is no data folder `{}`; name it with --data or `store.path`", data.display());
    }
    let runtime = runtime()?;
    let settings = Settings { must_exist: looks || config.registry.must_exist, ..config.registry.clone() };
    let outcome = runtime.block_on(work(config, settings, endpoint, on_part));
    // A thread may still be waiting for standard input; nothing of the registry is open any more.
    runtime.shutdown_background();
    outcome
}

async fn work<P: DeserializeOwned, T: DeserializeOwned>(
    config: &Config,
    settings: Settings,
    endpoint: Endpoint,
    on_part: impl FnMut(P) -> anyhow::Result<()>,
) -> anyhow::Result<T> {
    let data = &config.registry.data;
    let end = Instant::now() + PASSING;
    loop {
        match Registry::open(settings.clone()).await {
            Ok(registry) => {
                let ingester = Ingester::new(registry.clone(), config);
                let stream = Some(Box::new(io::stdin()) as Box<_>);
                let call = Call { ingester, by: Peer::own().name(), stream, patience: None };
                let mut running = operations::start(endpoint, call);
                let outcome = outcome(async || Ok(running.next().await), on_part).await;
                drop(running);
                registry.close().await.context("cannot close the registry")?;
                return outcome;
            }
            Err(OpenError::Locked { .. }) => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot open the data folder `{}`", data.display()));
            }
        }
        match Client::connect(data).await {
            Ok(client) => {
                let mut answer = client.send(&endpoint).await?;
                return outcome(async || answer.next().await, on_part).await;
            }
            Err(source) if source.kind() == io::ErrorKind::PermissionDenied || Instant::now() >= end => {
                return Err(Unanswered { folder: data.display().to_string(), source }.into());
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn outcome<P: DeserializeOwned, T: DeserializeOwned>(
    mut next: impl AsyncFnMut() -> anyhow::Result<Line>,
    mut on_part: impl FnMut(P) -> anyhow::Result<()>,
) -> anyhow::Result<T> {
    loop {
        match next().await? {
            Line::Part(part) => on_part(parsed(&part)?)?,
            Line::Outcome(outcome) => return parsed(&outcome),
            Line::Error(failure) => return Err(failure.into()),
        }
    }
}

fn parsed<T: DeserializeOwned>(json: &Json) -> anyhow::Result<T> {
    serde_json::from_str(json.get()).map_err(|_| anyhow!("{ANOTHER_VERSION}"))
}

/// The runtime every command runs on.
pub(super) fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")
}
