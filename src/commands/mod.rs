//! One verb each, from checked settings to an exit code.

pub(crate) mod config_check;
pub(crate) mod ingest;
pub(crate) mod inspect;
pub(crate) mod inventory;
pub(crate) mod ls;
pub(crate) mod rebuild;
pub(crate) mod releases;
pub(crate) mod rm;
pub(crate) mod serve;
pub(crate) mod verify;

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use airdock_registry::{OpenError, Registry, Settings};
use anyhow::{Context as _, bail};
use tokio::runtime::Runtime;

use crate::control::Client;
use crate::exit::Unanswered;
use crate::request::{self, Parts, Reply, Request};

/// How long somebody who has the lock may go without a socket: a server that has only just begun, or another command
/// that is done in a moment.
const PASSING: Duration = Duration::from_secs(3);

/// Whoever can do work on a data folder.
enum Worker {
    /// This process: nobody else has the folder.
    Here(Registry),
    /// The server that has it.
    There(Client),
}

impl Worker {
    /// Opens the registry, or finds the server that has.
    async fn find(settings: Settings) -> anyhow::Result<Self> {
        let data = settings.data.clone();
        let end = Instant::now() + PASSING;
        loop {
            match Registry::open(settings.clone()).await {
                Ok(registry) => return Ok(Self::Here(registry)),
                Err(OpenError::Locked { .. }) => {}
                Err(error) => return Err(error).with_context(|| opening(&data)),
            }
            match Client::connect(&data).await {
                Ok(client) => return Ok(Self::There(client)),
                Err(source) if source.kind() == io::ErrorKind::PermissionDenied || Instant::now() >= end => {
                    return Err(Unanswered { folder: data.display().to_string(), source }.into());
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// As [`Worker::find`], and makes no folder: there is nothing to look at in a new one.
    async fn find_existing(settings: Settings) -> anyhow::Result<Self> {
        if !settings.data.exists() {
            bail!("there is no data folder `{}`; name it with --data or `store.path`", settings.data.display());
        }
        Self::find(settings).await
    }

    /// Has it do one thing, handing on the parts of the answer as they come. An error of `on_part` ends the work.
    ///
    /// # Errors
    /// [`Failure`](request::Failure), or how asking failed.
    async fn ask(
        self,
        request: Request,
        mut on_part: impl FnMut(Reply) -> anyhow::Result<()>,
    ) -> anyhow::Result<Reply> {
        match self {
            Self::There(server) => server.request(request, on_part).await,
            Self::Here(registry) => {
                let answered = async {
                    let (parts, mut coming) = Parts::channel();
                    let work = async { request::execute(&registry, request, &parts).await };
                    tokio::pin!(work);
                    let outcome = loop {
                        tokio::select! {
                            Some(part) = coming.recv() => on_part(part)?,
                            outcome = &mut work => break outcome,
                        }
                    };
                    while let Ok(part) = coming.try_recv() {
                        on_part(part)?;
                    }
                    anyhow::Ok(outcome?)
                };
                let answered = answered.await;
                registry.close().await.context("cannot close the registry")?;
                answered
            }
        }
    }
}

/// The answer is none to what was asked.
fn unexpected() -> anyhow::Error {
    anyhow::anyhow!("cannot read the server's answer; is it the same version?")
}

fn opening(data: &Path) -> String {
    format!("cannot open the data folder `{}`", data.display())
}

/// The runtime every command runs on.
fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")
}
