//! The query of a request: scanned for each lookup and never collected into a map, so its length bounds the work.

use std::borrow::Cow;

use http::Uri;

use super::decoded;
use super::error::{InvalidRequest, excerpt};

/// The most entries in one list response. A client that asks for more gets this many and a `Link` to the rest.
const MAX_PAGE: usize = 10_000;

/// One page of a list (end-8b).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The most entries wanted, at most 10,000. May be 0.
    pub limit: usize,
    /// Only entries that sort after this one, which need not exist.
    pub after: Option<String>,
}

#[derive(Clone, Copy)]
pub(super) struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    pub(super) fn of(uri: &'a Uri) -> Self {
        Self(uri.query().unwrap_or_default())
    }

    /// The values of a key, in order. A `+` is not decoded to a space: media types contain `+`, and no value has a space.
    pub(super) fn all(self, key: &'static str) -> impl Iterator<Item = Cow<'a, str>> {
        self.0.split('&').filter_map(move |pair| {
            let (found, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(found) == key).then(|| decoded(value))
        })
    }

    pub(super) fn first(self, key: &'static str) -> Option<Cow<'a, str>> {
        if self.0.is_empty() { None } else { self.all(key).next() }
    }

    /// The last entry of the previous page.
    pub(super) fn last(self) -> Option<Cow<'a, str>> {
        self.first("last").filter(|last| !last.is_empty())
    }

    pub(super) fn page(self) -> Result<Page, InvalidRequest> {
        let limit = match self.first("n") {
            None => MAX_PAGE,
            // A number too large to parse still means the largest page.
            Some(n) if !n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit()) => {
                n.parse().map_or(MAX_PAGE, |n: usize| n.min(MAX_PAGE))
            }
            Some(n) => return Err(InvalidRequest::Number(excerpt(&n))),
        };
        Ok(Page { limit, after: self.last().map(Cow::into_owned) })
    }
}
