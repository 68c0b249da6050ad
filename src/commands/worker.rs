//! Who carries out a command: this process, or the server that owns the data folder.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use airdock_config::Config;
use airdock_registry::{OpenError, Registry};
use anyhow::{Context as _, bail};
use serde::de::DeserializeOwned;
use tokio::runtime::Runtime;

use crate::admin::client::Client;
use crate::admin::ingester::Ingester;
use crate::admin::operation::{Call, Operation, Running};
use crate::admin::user;
use crate::admin::wire::Line;
use crate::exit::Unanswered;

/// How long the owner of the lock may be without a socket: a server that is starting, or another command that is done
/// in a moment.
const PASSING: Duration = Duration::from_secs(3);

/// The process that carries out a command.
pub(super) enum Worker {
    /// This one, which opened the registry.
    Here(Ingester),
    /// The server that owns the folder.
    There(Client),
}

impl Worker {
    /// Opens the registry, or connects to the server that owns it.
    pub(super) async fn find(config: &Config) -> anyhow::Result<Self> {
        let data = &config.registry.data;
        let end = Instant::now() + PASSING;
        loop {
            match Registry::open(config.registry.clone()).await {
                Ok(registry) => return Ok(Self::Here(Ingester::new(registry, config))),
                Err(OpenError::Locked { .. }) => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot open the data folder `{}`", data.display()));
                }
            }
            match Client::connect(data).await {
                Ok(client) => return Ok(Self::There(client)),
                Err(source) if source.kind() == io::ErrorKind::PermissionDenied || Instant::now() >= end => {
                    return Err(Unanswered { folder: data.display().to_string(), source }.into());
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// The same without creating the folder: there is nothing to look at in a new one.
    pub(super) async fn find_existing(config: &Config) -> anyhow::Result<Self> {
        let data = &config.registry.data;
        if !data.exists() {
            bail!("there is no data folder `{}`; name it with --data or `store.path`", data.display());
        }
        Self::find(config).await
    }

    /// Runs one operation, passing on the parts of the answer as they come. An error of `on_part` ends the work.
    ///
    /// # Errors
    /// [`Failure`](crate::exit::Failure), or why the conversation failed.
    pub(super) async fn run<P: DeserializeOwned, T: DeserializeOwned>(
        self,
        operation: Operation<P, T>,
        stream: Option<Box<dyn Read + Send>>,
        on_part: impl FnMut(P) -> anyhow::Result<()>,
    ) -> anyhow::Result<T> {
        match self {
            Self::There(server) => {
                let mut answer = server.send(operation, stream).await?;
                outcome(async || answer.next().await, on_part).await
            }
            Self::Here(ingester) => {
                let registry = ingester.registry().clone();
                let call = Call { ingester, by: user::own(), stream, patience: None };
                let mut running = Running::new(operation, call);
                let outcome = outcome(async || Ok(running.next().await), on_part).await;
                drop(running);
                registry.close().await.context("cannot close the registry")?;
                outcome
            }
        }
    }

    /// Runs one operation whose answer has no parts.
    pub(super) async fn ask<T: DeserializeOwned>(self, operation: Operation<(), T>) -> anyhow::Result<T> {
        self.run(operation, None, |()| Ok(())).await
    }
}

async fn outcome<P, T>(
    mut next: impl AsyncFnMut() -> anyhow::Result<Line<P, T>>,
    mut on_part: impl FnMut(P) -> anyhow::Result<()>,
) -> anyhow::Result<T> {
    loop {
        match next().await? {
            Line::Part(part) => on_part(part)?,
            Line::Outcome(outcome) => return Ok(outcome),
            Line::Error(failure) => return Err(failure.into()),
        }
    }
}

/// The runtime every command runs on.
pub(super) fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")
}
