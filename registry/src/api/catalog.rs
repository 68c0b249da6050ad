//! Docker's `_catalog`: the list of repositories.

use http::Response;

use super::body::Body;
use super::endpoint::Page;
use super::error::Error;
use super::headers::{Next, json};
use crate::Registry;
use crate::oci::RepositoryName;

#[derive(serde::Serialize)]
struct Catalog<'a> {
    repositories: &'a [RepositoryName],
}

pub(super) async fn list(registry: &Registry, page: &Page) -> Result<Response<Body>, Error> {
    let found = registry.repositories(page.after.as_deref(), page.limit).await?;
    let catalog = Catalog { repositories: &found.names };
    let mut response = json(serde_json::to_vec(&catalog).expect("names are text").into());
    if let Some(last) = found.names.last().filter(|_| found.more) {
        Next::catalog().after(page, last.as_str()).link(&mut response);
    }
    Ok(response)
}
