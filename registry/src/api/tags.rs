//! end-8: the tags of a repository.

use http::Response;

use super::body::Body;
use super::endpoint::Page;
use super::error::Error;
use super::headers::{Next, json};
use crate::Registry;
use crate::names::RequestedName;
use crate::oci::{RepositoryName, Tag};

#[derive(serde::Serialize)]
struct TagList<'a> {
    name: &'a RepositoryName,
    tags: &'a [Tag],
}

pub(super) async fn list(registry: &Registry, name: &RequestedName, page: &Page) -> Result<Response<Body>, Error> {
    let found = registry.tags(name, page.after.as_deref(), page.limit).await?;
    // The name as requested: a client of a mirror knows no other.
    let list = TagList { name: &name.path, tags: &found.tags };
    let mut response = json(serde_json::to_vec(&list).expect("names and tags are text").into());
    // Helm resolves versions from this list, so a truncated page always has a link. Except for `n=0`, which has no last.
    if let Some(last) = found.tags.last().filter(|_| found.more) {
        Next::of(name, "tags/list").after(page, last.as_str()).link(&mut response);
    }
    Ok(response)
}
