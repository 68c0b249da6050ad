//! Every request of the administration API, as one parsed value.
//!
//! [`Endpoint::parse`] is the only reader of a method, path and query, and [`Endpoint::render`] the only writer. Knows
//! no headers. A body is read after its request was authorised; until then it is empty. `docs/admin-api.md` documents each
//! endpoint; a test compares the two.

use http::{Method, Uri};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use super::wire::{Ingest, Remove, Verify};
use crate::exit::{Code, Failure};

/// What every path begins with. The number changes when a change would break a client; see the documentation.
const PREFIX: &str = "/admin/v1/";

/// Every method that a path may have.
const METHODS: [Method; 4] = [Method::GET, Method::POST, Method::PUT, Method::DELETE];

/// The longest query that is written, in bytes; a URI holds 64 KiB.
const MAX_QUERY: usize = 48 << 10;

/// What a value in a query is percent-encoded for.
const UNSAFE: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'&').add(b'+').add(b'<').add(b'>');

/// One request, by what it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// Lists the tags that match one of the patterns, or all, and the manifests that nothing leads to, if they are asked for.
    /// Streams.
    ListTags { patterns: Vec<String>, untagged: bool },
    /// Describes one reference.
    Inspect { reference: String },
    /// Ingests bundles. Streams.
    Ingest(Ingest),
    /// Removes tags and manifests. Streams.
    Remove(Remove),
    /// Verifies everything, or what is named. Streams.
    Verify(Verify),
    /// Rebuilds the derived index from blobs and links.
    Rebuild,
    /// Lists the uploads that are open. Streams.
    ListUploads,
    /// Removes uploads: those that are named, or all that no request holds.
    RemoveUploads { ids: Vec<String> },
    /// Lists all releases.
    ListReleases,
    /// Shows one release.
    ShowRelease { id: u64 },
    /// Removes one release.
    RemoveRelease { id: u64 },
    /// Protects a release from being removed, or no longer does.
    PinRelease { id: u64, pinned: bool },
    /// Sets all tags back, or forward, to a release, or to the one before the one in effect.
    Rollback { to: Option<u64> },
}

/// What a request does, for the authorisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// It changes nothing.
    Read,
    /// It changes content or releases.
    Change,
}

impl Endpoint {
    /// Reads a request's method, path and query. An unknown parameter is an error: misspelt, it must not be ignored.
    pub(crate) fn parse(method: &Method, uri: &Uri) -> Result<Self, Failure> {
        let allowed = allowed(uri.path());
        if !allowed.contains(method) {
            return Err(match allowed.is_empty() {
                true => Failure::new(
                    Code::NoSuchEndpoint,
                    format!("there is no endpoint `{}`; they begin with `{PREFIX}`", uri.path()),
                ),
                false => Failure::new(Code::MethodNotAllowed, {
                    let allowed = allowed.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
                    format!("`{}` takes only {allowed}, not {method}", uri.path())
                }),
            });
        }
        let mut query = Query::of(uri)?;
        let endpoint = Self::at(method, uri.path(), &mut query).expect("its method is allowed")?;
        query.end().map(|()| endpoint)
    }

    /// What a method and a path mean, and what is wrong with their parameters; `None` if there is no such endpoint.
    fn at(method: &Method, path: &str, query: &mut Query) -> Option<Result<Self, Failure>> {
        let path: Vec<_> = path.strip_prefix(PREFIX)?.split('/').collect();
        Some(match (method.as_str(), &path[..]) {
            ("GET", ["tags"]) => query.flag("untagged").map(|untagged| {
                let patterns = query.all("pattern");
                Self::ListTags { patterns, untagged }
            }),
            ("GET", ["inspect"]) => query.required("reference").map(|reference| Self::Inspect { reference }),
            ("POST", ["ingest"]) => Ok(Self::Ingest(Ingest::default())),
            ("POST", ["remove"]) => Ok(Self::Remove(Remove::default())),
            ("POST", ["verify"]) => Ok(Self::Verify(Verify::default())),
            ("POST", ["rebuild"]) => Ok(Self::Rebuild),
            ("GET", ["uploads"]) => Ok(Self::ListUploads),
            ("DELETE", ["uploads"]) => Ok(Self::RemoveUploads { ids: query.all("id") }),
            ("GET", ["releases"]) => Ok(Self::ListReleases),
            ("GET", ["releases", id]) => number(id).map(|id| Self::ShowRelease { id }),
            ("DELETE", ["releases", id]) => number(id).map(|id| Self::RemoveRelease { id }),
            ("PUT", ["releases", id, "pin"]) => number(id).map(|id| Self::PinRelease { id, pinned: true }),
            ("DELETE", ["releases", id, "pin"]) => number(id).map(|id| Self::PinRelease { id, pinned: false }),
            ("POST", ["rollback"]) => {
                query.one("to").and_then(|to| Ok(Self::Rollback { to: to.map(|id| number(&id)).transpose()? }))
            }
            _ => return None,
        })
    }

    /// The method, and the path with its query.
    pub(crate) fn render(&self) -> Result<(Method, String), Failure> {
        let (method, path) = match self {
            Self::ListTags { patterns, untagged } => {
                let untagged = untagged.then(|| parameter("untagged", "true"));
                let patterns = patterns.iter().map(|pattern| parameter("pattern", pattern));
                let query: Vec<_> = patterns.chain(untagged).collect();
                (Method::GET, format!("tags?{}", query.join("&")))
            }
            Self::Inspect { reference } => (Method::GET, format!("inspect?{}", parameter("reference", reference))),
            Self::Ingest(_) => (Method::POST, "ingest".to_owned()),
            Self::Remove(_) => (Method::POST, "remove".to_owned()),
            Self::Verify(_) => (Method::POST, "verify".to_owned()),
            Self::Rebuild => (Method::POST, "rebuild".to_owned()),
            Self::ListUploads => (Method::GET, "uploads".to_owned()),
            Self::RemoveUploads { ids } => {
                let query: Vec<_> = ids.iter().map(|id| parameter("id", id)).collect();
                (Method::DELETE, format!("uploads?{}", query.join("&")))
            }
            Self::ListReleases => (Method::GET, "releases".to_owned()),
            Self::ShowRelease { id } => (Method::GET, format!("releases/{id}")),
            Self::RemoveRelease { id } => (Method::DELETE, format!("releases/{id}")),
            Self::PinRelease { id, pinned: true } => (Method::PUT, format!("releases/{id}/pin")),
            Self::PinRelease { id, pinned: false } => (Method::DELETE, format!("releases/{id}/pin")),
            Self::Rollback { to: None } => (Method::POST, "rollback".to_owned()),
            Self::Rollback { to: Some(id) } => (Method::POST, format!("rollback?to={id}")),
        };
        if path.len() > MAX_QUERY {
            return Err(Failure::new(
                Code::TooLarge,
                "the request does not fit into a URI; name fewer at once, or use patterns with `*`",
            ));
        }
        Ok((method, format!("{PREFIX}{path}")))
    }

    /// The body of the request; empty where it has none.
    pub(super) fn body(&self) -> serde_json::Result<Vec<u8>> {
        match self {
            // On one line: a stream may follow.
            Self::Ingest(body) => serde_json::to_vec(body).map(|json| [&json, &b"\n"[..]].concat()),
            Self::Remove(body) => serde_json::to_vec(body),
            Self::Verify(body) => serde_json::to_vec(body),
            _ => Ok(Vec::new()),
        }
    }

    /// Whether the answer is lines; otherwise it is one document.
    pub(super) const fn streams(&self) -> bool {
        matches!(self, Self::ListTags { .. } | Self::ListUploads | Self::Ingest(_) | Self::Remove(_) | Self::Verify(_))
    }

    /// Whether it changes anything. A verification can move files away.
    pub(crate) const fn access(&self) -> Access {
        match self {
            Self::ListTags { .. }
            | Self::Inspect { .. }
            | Self::ListUploads
            | Self::ListReleases
            | Self::ShowRelease { .. } => Access::Read,
            _ => Access::Change,
        }
    }
}

/// The methods a path has; none if it is no endpoint.
pub(super) fn allowed(path: &str) -> Vec<Method> {
    METHODS.into_iter().filter(|method| Endpoint::at(method, path, &mut Query(Vec::new())).is_some()).collect()
}

fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(Code::InvalidRequest, message)
}

fn number(text: &str) -> Result<u64, Failure> {
    text.parse().map_err(|_| invalid(format!("`{text}` is not the number of a release")))
}

fn parameter(key: &str, value: &str) -> String {
    format!("{key}={}", utf8_percent_encode(value, UNSAFE))
}

/// The parameters that were not read yet.
struct Query(Vec<(String, String)>);

impl Query {
    fn of(uri: &Uri) -> Result<Self, Failure> {
        let decoded = |text: &str| {
            let text = percent_decode_str(text).decode_utf8();
            text.map(String::from).map_err(|_| invalid("the query is not UTF-8"))
        };
        let pairs = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.map(|(key, value)| Ok((decoded(key)?, decoded(value)?))).collect::<Result<_, _>>().map(Self)
    }

    fn all(&mut self, key: &str) -> Vec<String> {
        self.0.extract_if(.., |(name, _)| name == key).map(|(_, value)| value).collect()
    }

    fn one(&mut self, key: &str) -> Result<Option<String>, Failure> {
        let mut values = self.all(key);
        if values.len() > 1 {
            return Err(invalid(format!("the parameter `{key}` is given more than once")));
        }
        Ok(values.pop())
    }

    fn flag(&mut self, key: &str) -> Result<bool, Failure> {
        match self.one(key)?.as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(invalid(format!("the parameter `{key}` is `true` or `false`, not `{other}`"))),
        }
    }

    fn required(&mut self, key: &str) -> Result<String, Failure> {
        self.one(key)?.ok_or_else(|| invalid(format!("the parameter `{key}` is missing")))
    }

    fn end(self) -> Result<(), Failure> {
        match self.0.first() {
            Some((key, _)) => Err(invalid(format!("there is no parameter `{key}` here"))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DOCUMENT: &str = include_str!("../../docs/admin-api.md");

    fn parse(method: &Method, target: &str) -> Result<Endpoint, Code> {
        Endpoint::parse(method, &target.parse().unwrap()).map_err(|failure| failure.code)
    }

    /// The documented endpoints: method and path.
    fn documented() -> impl Iterator<Item = (Method, &'static str)> {
        let sections =
            DOCUMENT.lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`')?.split_once(' '));
        sections.map(|(method, path)| (method.parse().unwrap(), path))
    }

    #[test]
    fn each_documented_endpoint_is_read() {
        for (method, path) in documented() {
            let query = if path.ends_with("inspect") { "?reference=a:1" } else { "" };
            let endpoint = parse(&method, &format!("{}{query}", path.replace("{id}", "7"))).unwrap();
            assert_eq!(endpoint.access() == Access::Read, method == Method::GET, "{endpoint:?}");
        }
    }

    #[test]
    fn what_is_not_an_endpoint_is_refused_with_a_code() {
        let get = |target: &str| parse(&Method::GET, target).unwrap_err();
        for target in ["/", "/v2/", "/admin", "/admin/v1", "/admin/v1/", "/admin/v2/tags", "/admin/v1/tags/"] {
            assert_eq!(get(target), Code::NoSuchEndpoint, "{target}");
        }
        assert_eq!(get("/admin/v1/rebuild"), Code::MethodNotAllowed);
        assert_eq!(parse(&Method::HEAD, "/admin/v1/tags"), Err(Code::MethodNotAllowed));
        for target in ["inspect", "inspect?reference=a&reference=b", "tags?patern=a", "releases/x", "tags?pattern=%ff"]
        {
            assert_eq!(get(&format!("/admin/v1/{target}")), Code::InvalidRequest, "{target}");
        }
        assert_eq!(allowed("/admin/v1/releases/7/pin").len(), 2);
    }

    #[test]
    fn a_query_that_does_not_fit_into_a_uri_is_refused_before_it_is_sent() {
        let patterns = vec!["x".repeat(500); 200];
        assert_eq!(Endpoint::ListTags { patterns, untagged: false }.render().unwrap_err().code, Code::TooLarge);
    }

    fn endpoint() -> impl Strategy<Value = Endpoint> {
        prop_oneof![
            (prop::collection::vec(any::<String>(), 0..4), any::<bool>())
                .prop_map(|(patterns, untagged)| Endpoint::ListTags { patterns, untagged }),
            any::<String>().prop_map(|reference| Endpoint::Inspect { reference }),
            Just(Endpoint::Ingest(Ingest::default())),
            Just(Endpoint::Remove(Remove::default())),
            Just(Endpoint::Verify(Verify::default())),
            Just(Endpoint::Rebuild),
            Just(Endpoint::ListUploads),
            prop::collection::vec(any::<String>(), 0..4).prop_map(|ids| Endpoint::RemoveUploads { ids }),
            Just(Endpoint::ListReleases),
            any::<u64>().prop_map(|id| Endpoint::ShowRelease { id }),
            any::<u64>().prop_map(|id| Endpoint::RemoveRelease { id }),
            (any::<u64>(), any::<bool>()).prop_map(|(id, pinned)| Endpoint::PinRelease { id, pinned }),
            any::<Option<u64>>().prop_map(|to| Endpoint::Rollback { to }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_documented_and_read_back(endpoint in endpoint()) {
            let (method, target) = endpoint.render().unwrap();
            prop_assert_eq!(parse(&method, &target), Ok(endpoint));
            let path = target.split('?').next().unwrap();
            let shape = path.split('/').map(|part| if part.parse::<u64>().is_ok() { "{id}" } else { part });
            let shape = shape.collect::<Vec<_>>().join("/");
            prop_assert!(documented().any(|known| known == (method.clone(), &shape)), "{} {}", method, shape);
        }
    }
}
