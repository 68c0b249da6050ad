//! The specification's table of endpoints, what is refused, and the property that a rendered request parses back.

use proptest::prelude::*;

use super::*;
use crate::oci::Tag;

const SHA256: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
const ID: &str = "7b4ae0c9-9a1c-4c0e-8f5d-111111111111";

fn parse(method: &str, uri: &str) -> Result<Endpoint, InvalidRequest> {
    read(&method.parse().unwrap(), &uri.parse().unwrap())
}

fn read(method: &Method, uri: &Uri) -> Result<Endpoint, InvalidRequest> {
    Endpoint::parse(method, uri, &names::Settings::default())
}

fn requested(path: &str, ns: Option<&str>) -> RequestedName {
    names::resolve(&names::Settings::default(), path.parse().unwrap(), ns.map(|ns| ns.parse().unwrap()))
}

fn name(path: &str) -> RequestedName {
    requested(path, None)
}

fn page(limit: usize, after: Option<&str>) -> Page {
    Page { limit, after: after.map(Into::into) }
}

#[test]
fn every_endpoint_of_the_specification_is_parsed_with_the_access_it_needs() {
    let digest = SHA256.parse().unwrap();
    let (id, tag) = (ID.parse().unwrap(), "v1".parse::<Tag>().unwrap());
    let n = name("a/b");
    let read = || Access::Read(&n);
    let write = || Access::Write(&n.path);
    let delete = || Access::Delete(&n.path);
    let of = |action| Endpoint::In(n.clone(), action);
    let chart = |archive: &str, provenance| Endpoint::PullChart { archive: archive.into(), provenance };
    let table = [
        ("end-1", "GET", "/v2/".to_owned(), Endpoint::Check, Access::Check),
        ("end-1", "HEAD", "/v2".into(), Endpoint::Check, Access::Check),
        ("end-2", "GET", format!("/v2/a/b/blobs/{SHA256}"), of(Action::PullBlob(digest)), read()),
        (
            "end-2, encoded",
            "HEAD",
            format!("/v2/a/b/blobs/{}", SHA256.replace(':', "%3A")),
            of(Action::PullBlob(digest)),
            read(),
        ),
        (
            "end-3 by tag",
            "GET",
            "/v2/a/b/manifests/v1".into(),
            of(Action::PullManifest(TagOrDigest::Tag(tag.clone()))),
            read(),
        ),
        (
            "end-3 by digest",
            "HEAD",
            format!("/v2/a/b/manifests/{SHA256}"),
            of(Action::PullManifest(TagOrDigest::Digest(digest))),
            read(),
        ),
        ("end-4a", "POST", "/v2/a/b/blobs/uploads/".into(), of(Action::StartUpload(None)), write()),
        ("end-4a without its slash", "POST", "/v2/a/b/blobs/uploads".into(), of(Action::StartUpload(None)), write()),
        ("end-4b", "POST", format!("/v2/a/b/blobs/uploads/?digest={SHA256}"), of(Action::PushBlob(digest)), write()),
        (
            "end-4c",
            "POST",
            "/v2/a/b/blobs/uploads/?digest-algorithm=sha512".into(),
            of(Action::StartUpload(Some(Algorithm::Sha512))),
            write(),
        ),
        ("end-5", "PATCH", format!("/v2/a/b/blobs/uploads/{ID}"), of(Action::AppendToUpload(id)), write()),
        (
            "end-6",
            "PUT",
            format!("/v2/a/b/blobs/uploads/{ID}?digest=sha256%3A{}", &SHA256[7..]),
            of(Action::FinishUpload(id, digest)),
            write(),
        ),
        (
            "end-7a",
            "PUT",
            "/v2/a/b/manifests/v1".into(),
            of(Action::PushManifest(PutReference::Tag(tag.clone()))),
            write(),
        ),
        (
            "end-7b",
            "PUT",
            format!("/v2/a/b/manifests/{SHA256}?tag=v1&tag=v2"),
            of(Action::PushManifest(PutReference::Digest(digest, vec![tag.clone(), "v2".parse().unwrap()]))),
            write(),
        ),
        ("end-8a", "GET", "/v2/a/b/tags/list".into(), of(Action::ListTags(page(10_000, None))), read()),
        ("end-8b", "GET", "/v2/a/b/tags/list?n=2&last=v1".into(), of(Action::ListTags(page(2, Some("v1")))), read()),
        (
            "end-9 by tag",
            "DELETE",
            "/v2/a/b/manifests/v1".into(),
            of(Action::DeleteManifest(TagOrDigest::Tag(tag))),
            delete(),
        ),
        ("end-10", "DELETE", format!("/v2/a/b/blobs/{SHA256}"), of(Action::DeleteBlob(digest)), delete()),
        (
            "end-11",
            "POST",
            format!("/v2/a/b/blobs/uploads/?mount={SHA256}&from=c/d&origin=x"),
            of(Action::MountBlob(digest, MountSource::Repository(name("c/d")))),
            write(),
        ),
        (
            "end-11 without a source",
            "POST",
            format!("/v2/a/b/blobs/uploads/?mount={SHA256}"),
            of(Action::MountBlob(digest, MountSource::Anywhere)),
            write(),
        ),
        (
            "end-11 from what is no name (H20)",
            "POST",
            format!("/v2/a/b/blobs/uploads/?mount={SHA256}&from=../x"),
            of(Action::MountBlob(digest, MountSource::Nowhere)),
            write(),
        ),
        (
            "end-12a",
            "GET",
            format!("/v2/a/b/referrers/{SHA256}"),
            of(Action::ListReferrers { subject: digest, artifact_types: vec![], after: None }),
            read(),
        ),
        (
            "end-12b, several types, one empty",
            "GET",
            format!(
                "/v2/a/b/referrers/{SHA256}?artifactType=a/b%2Bjson&artifactType=&artifactType=c/d+e&last={SHA256}"
            ),
            of(Action::ListReferrers {
                subject: digest,
                artifact_types: vec!["a/b+json".into(), "c/d+e".into()],
                after: Some(digest),
            }),
            read(),
        ),
        ("end-13", "GET", format!("/v2/a/b/blobs/uploads/{ID}?digest={SHA256}"), of(Action::UploadStatus(id)), write()),
        ("end-14", "DELETE", format!("/v2/a/b/blobs/uploads/{ID}"), of(Action::CancelUpload(id)), write()),
        ("catalog", "GET", "/v2/_catalog?n=5".into(), Endpoint::ListRepositories(page(5, None)), Access::Catalog),
        ("load balancers", "GET", "/".into(), Endpoint::Root, Access::Check),
        ("helm", "GET", "/charts/index.yaml".into(), Endpoint::ChartIndex(None), Access::Charts),
        (
            "helm",
            "GET",
            "/charts/a/b/index.yaml".into(),
            Endpoint::ChartIndex(Some("a/b".parse().unwrap())),
            Access::Charts,
        ),
        ("helm", "HEAD", "/charts/a/b-1.0%2B2.tgz".into(), chart("a/b-1.0+2.tgz", false), Access::Charts),
        ("helm", "GET", "/charts/b-1.0+2.tgz.prov".into(), chart("b-1.0+2.tgz", true), Access::Charts),
    ];
    for (end, method, uri, endpoint, access) in table {
        let parsed = parse(method, &uri).unwrap_or_else(|error| panic!("{end}: {method} {uri}: {error}"));
        assert_eq!(parsed, endpoint, "{end}");
        assert_eq!(parsed.access(), access, "{end}");
    }
}

#[test]
fn a_helm_repository_has_an_index_and_archives_and_nothing_else() {
    for path in ["/charts", "/charts/", "/charts/x", "/charts/..%00.tgz", "/charts/index.yml", "/charts/.tgz.prov.prov"]
    {
        assert!(matches!(parse("GET", path), Err(InvalidRequest::NoChart(_))), "{path}");
    }
    for path in ["/charts/../index.yaml", "/charts//index.yaml", "/charts/A/index.yaml"] {
        assert!(matches!(parse("GET", path), Err(InvalidRequest::NoChart(_))), "{path}");
    }
    let long = format!("/charts/{}.tgz", "x".repeat(1000));
    assert!(matches!(parse("GET", &long), Err(InvalidRequest::NoChart(_))));
    for path in ["/charts/index.yaml", "/charts/a-1.tgz", "/charts/api/charts", "/api/charts", "/charts", "/charts/"] {
        assert_eq!(parse("PUT", path), Err(InvalidRequest::ChartMethod), "{path}");
    }
}

#[test]
fn the_last_keyword_decides_whatever_the_repository_is_called() {
    for (method, path, repository) in [
        ("POST", "/v2/a/blobs/uploads/blobs/uploads/", "a/blobs/uploads"),
        ("GET", "/v2/a/blobs/uploads/manifests/v1", "a/blobs/uploads"),
        ("GET", "/v2/x/manifests/y/tags/list", "x/manifests/y"),
        ("GET", "/v2/x/manifests/tags/list", "x/manifests"),
        ("GET", "/v2/foo/tags/manifests/list", "foo/tags"),
        ("GET", "/v2/a/blobs/b/manifests/c", "a/blobs/b"),
        ("POST", "/v2/uploads/blobs/uploads", "uploads"),
        ("GET", "/v2/referrers/manifests/manifests/v1", "referrers/manifests"),
    ] {
        let parsed = parse(method, path).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(parsed.name().unwrap().path.as_str(), repository, "{path}");
    }
}

#[test]
fn an_upstream_is_read_from_ns_and_decides_where_a_push_goes() {
    let ns = |uri: &str| parse("GET", uri).unwrap().name().unwrap().clone();
    assert_eq!(ns("/v2/a/manifests/v1?ns=docker.io"), requested("a", Some("docker.io")));
    assert_eq!(ns("/v2/a/manifests/v1?ns=reg.local%3A5000"), requested("a", Some("reg.local:5000")));
    assert_eq!(ns("/v2/a/manifests/v1?ns="), name("a"), "an empty one is none");
    assert!(matches!(parse("GET", "/v2/a/manifests/v1?ns=../x"), Err(InvalidRequest::Namespace(_))));
    let push = parse("PUT", "/v2/a/manifests/v1?ns=docker.io").unwrap();
    assert_eq!(push.access(), Access::Write(requested("a", Some("docker.io")).write_target()));
    let mount = parse("POST", &format!("/v2/a/blobs/uploads/?mount={SHA256}&from=b&ns=docker.io")).unwrap();
    assert!(matches!(mount, Endpoint::In(_, Action::MountBlob(_, MountSource::Repository(from))) if from.ns.is_some()));
}

#[test]
fn c07_a_slash_at_the_end_changes_nothing() {
    for path in ["/v2/_catalog", "/v2/a/tags/list", "/v2/a/manifests/v1", &format!("/v2/a/blobs/{SHA256}")] {
        assert_eq!(parse("GET", &format!("{path}/")), parse("GET", path), "{path}");
        assert!(parse("GET", &format!("{path}//")).is_err(), "{path}");
    }
    assert_eq!(
        parse("PATCH", &format!("/v2/a/blobs/uploads/{ID}/")),
        parse("PATCH", &format!("/v2/a/blobs/uploads/{ID}"))
    );
}

#[test]
fn c07_near_misses_name_what_was_meant() {
    let told = |method, path| parse(method, path).unwrap_err().to_string();
    assert!(told("GET", "/charts").contains("/charts/index.yaml"));
    assert!(told("POST", "/api/charts").contains("helm push CHART.tgz oci://HOST/charts"));
    assert!(told("GET", "/v1/_ping").contains("begin with `/v2/`"));
    let within = told("GET", "/v2/a/tags");
    assert!(within.contains("NAME/tags/list") && !within.contains("begin with"), "{within}");
}

#[test]
fn h29_what_is_no_endpoint_is_not_found() {
    for path in [
        "//",
        "/v1/",
        "/V2/",
        "/v2//",
        "/v2x",
        "/v2/a",
        "/v2/a/",
        "/v2/manifests/v1",
        "/v2/%2e%2e/",
        "/v2/_catalog//",
        "/v2/_catalog/.",
        "/v2/_oci/ext/discover",
        "/v2/a/tags/",
        "/v2/a/tags/x",
        "/v2/a/uploads/x",
        "/healthz",
        "*",
    ] {
        assert!(matches!(parse("GET", path), Err(InvalidRequest::NoEndpoint(_))), "{path}");
    }
    let absolute = parse("GET", "http://evil.example/v2/a/manifests/v1").unwrap();
    assert_eq!(absolute.name().unwrap(), &name("a"), "absolute form is path form");
}

#[test]
fn a_method_a_resource_does_not_take_is_said_with_those_it_takes() {
    for (method, path, allowed) in [
        ("POST", "/v2/".to_owned(), "GET, HEAD"),
        ("DELETE", "/v2/_catalog".into(), "GET, HEAD"),
        ("PATCH", "/v2/a/manifests/v1".into(), "GET, HEAD, PUT, DELETE"),
        ("PUT", format!("/v2/a/blobs/{SHA256}"), "GET, HEAD, DELETE"),
        ("GET", "/v2/a/blobs/uploads/".into(), "POST"),
        ("PUT", "/v2/a/blobs/uploads".into(), "POST"),
        ("POST", format!("/v2/a/blobs/uploads/{ID}"), "GET, HEAD, PATCH, PUT, DELETE"),
        ("OPTIONS", "/v2/a/tags/list".into(), "GET, HEAD"),
        ("TRACE", format!("/v2/a/referrers/{SHA256}"), "GET, HEAD"),
    ] {
        assert_eq!(parse(method, &path), Err(InvalidRequest::Method(allowed)), "{method} {path}");
    }
}

#[test]
fn h10_names_outside_the_grammar_are_refused() {
    for bad in ["..", "a//b", "A", "a/../b", "a%2Fb", "a%00", "%2e%2e/b", "ü", "_x", "-", "a/%ff", &"a/".repeat(200)] {
        let uri = format!("/v2/{}/manifests/v1", bad.replace('ü', "%C3%BC"));
        assert!(matches!(parse("GET", &uri), Err(InvalidRequest::Name(_))), "{bad}");
    }
    assert_eq!(parse("GET", "/v2/%61/b%2Dc/tags/list").unwrap().name().unwrap(), &name("a/b-c"));
}

#[test]
fn h9_what_is_no_digest_is_refused() {
    let upper = SHA256.to_ascii_uppercase().replace("SHA256", "sha256");
    for bad in ["sha256:", "sha256:abc", "md5:d41d8cd98f00b204e9800998ecf8427e", "sha256:..%2f..%2fx", "x", &upper] {
        for (method, uri) in [
            ("GET", format!("/v2/a/blobs/{bad}")),
            ("POST", format!("/v2/a/blobs/uploads/?digest={bad}")),
            ("POST", format!("/v2/a/blobs/uploads/?mount={bad}&from=b")),
            ("PUT", format!("/v2/a/blobs/uploads/{ID}?digest={bad}")),
            ("GET", format!("/v2/a/referrers/{bad}")),
        ] {
            assert!(matches!(parse(method, &uri), Err(InvalidRequest::Digest(_))), "{method} {uri}");
        }
    }
    assert_eq!(parse("PUT", &format!("/v2/a/blobs/uploads/{ID}")), Err(InvalidRequest::NoDigest));
    assert!(matches!(parse("POST", "/v2/a/blobs/uploads/?digest-algorithm=md5"), Err(InvalidRequest::Digest(_))));
}

#[test]
fn h11_a_reference_that_nothing_can_have_is_absent_when_read_and_refused_when_pushed() {
    for bad in [".INVALID_MANIFEST_NAME", "-x", &"a".repeat(129), "a%2Fb", ""] {
        let uri = format!("/v2/a/manifests/{bad}");
        assert!(matches!(parse("GET", &uri), Err(InvalidRequest::NoManifest(_))), "{bad}");
        assert!(matches!(parse("DELETE", &uri), Err(InvalidRequest::NoManifest(_))), "{bad}");
        assert!(matches!(parse("PUT", &uri), Err(InvalidRequest::Tag(_))), "{bad}");
    }
    let uri = "/v2/a/manifests/sha256:baddigeststring";
    assert!(matches!(parse("GET", uri), Err(InvalidRequest::Digest(_))));
    assert!(matches!(parse("PUT", uri), Err(InvalidRequest::Digest(_))));
    assert!(matches!(parse("DELETE", uri), Err(InvalidRequest::NoManifest(_))));
    assert!(matches!(parse("PUT", &format!("/v2/a/manifests/{SHA256}?tag=.x")), Err(InvalidRequest::Tag(_))));
}

#[test]
fn an_upload_with_an_invalid_id_is_unknown() {
    for id in ["x", "../../x", "7B4AE0C9-9A1C-4C0E-8F5D-111111111111"] {
        assert_eq!(
            parse("PATCH", &format!("/v2/a/blobs/uploads/{}", id.replace('/', "%2F"))),
            Err(InvalidRequest::Upload)
        );
    }
}

#[test]
fn h24_a_page_is_a_number_and_never_larger_than_ten_thousand() {
    let limit = |n: &str| parse("GET", &format!("/v2/_catalog?n={n}"));
    for (n, expected) in
        [("0", 0), ("1", 1), ("10001", 10_000), ("9223372036854775808", 10_000), (&"9".repeat(99), 10_000)]
    {
        assert_eq!(limit(n), Ok(Endpoint::ListRepositories(page(expected, None))), "{n}");
    }
    for bad in ["-1", "abc", "1.5", "%2B1", "", "0x1"] {
        assert!(matches!(limit(bad), Err(InvalidRequest::Number(_))), "{bad}");
    }
}

#[test]
fn a_repeated_parameter_has_a_bound() {
    let tags = |count: usize| parse("PUT", &format!("/v2/a/manifests/{SHA256}?{}", vec!["tag=v"; count].join("&")));
    assert!(tags(100).is_ok());
    assert_eq!(tags(101), Err(InvalidRequest::TooMany { parameter: "tag", limit: 100 }));
    let types = vec!["artifactType=a/b"; 101].join("&");
    let uri = format!("/v2/a/referrers/{SHA256}?{types}");
    assert_eq!(parse("GET", &uri), Err(InvalidRequest::TooMany { parameter: "artifactType", limit: 100 }));
}

/// The request a client would send for an endpoint, with everything percent-encoded that may be.
fn render(endpoint: &Endpoint) -> (Method, String) {
    let encode =
        |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
    let page_query = |page: &Page| {
        let after = page.after.as_ref().map_or(String::new(), |after| format!("&last={}", encode(after)));
        vec![format!("n={}{after}", page.limit)]
    };
    let (name, action) = match endpoint {
        Endpoint::Check => return (Method::GET, "/v2/".into()),
        Endpoint::Root => return (Method::GET, "/".into()),
        Endpoint::ChartIndex(None) => return (Method::GET, "/charts/index.yaml".into()),
        Endpoint::ChartIndex(Some(folder)) => {
            return (Method::GET, format!("/charts/{}/index.yaml", encode(folder.as_str())));
        }
        Endpoint::PullChart { archive, provenance } => {
            let ending = if *provenance { ".prov" } else { "" };
            return (Method::GET, format!("/charts/{}{ending}", encode(archive)));
        }
        Endpoint::ListRepositories(page) => return (Method::GET, format!("/v2/_catalog?{}", page_query(page)[0])),
        Endpoint::In(name, action) => (name, action),
    };
    let (method, tail, mut query) = match action {
        Action::PullBlob(digest) => (Method::GET, format!("blobs/{digest}"), vec![]),
        Action::PullManifest(reference) => (Method::GET, format!("manifests/{reference}"), vec![]),
        Action::StartUpload(algorithm) => (
            Method::POST,
            "blobs/uploads/".into(),
            algorithm.iter().map(|algorithm| format!("digest-algorithm={algorithm}")).collect(),
        ),
        Action::PushBlob(digest) => {
            (Method::POST, "blobs/uploads/".into(), vec![format!("digest={}", encode(&digest.to_string()))])
        }
        Action::MountBlob(digest, from) => {
            let mut query = vec![format!("mount={digest}")];
            match from {
                MountSource::Anywhere => {}
                MountSource::Repository(name) => query.push(format!("from={}", encode(name.path.as_str()))),
                MountSource::Nowhere => query.push("from=..".into()),
            }
            (Method::POST, "blobs/uploads/".into(), query)
        }
        Action::AppendToUpload(id) => (Method::PATCH, format!("blobs/uploads/{id}"), vec![]),
        Action::FinishUpload(id, digest) => {
            (Method::PUT, format!("blobs/uploads/{id}"), vec![format!("digest={digest}")])
        }
        Action::UploadStatus(id) => (Method::GET, format!("blobs/uploads/{id}"), vec![]),
        Action::CancelUpload(id) => (Method::DELETE, format!("blobs/uploads/{id}"), vec![]),
        Action::PushManifest(PutReference::Tag(tag)) => (Method::PUT, format!("manifests/{tag}"), vec![]),
        Action::PushManifest(PutReference::Digest(digest, tags)) => (
            Method::PUT,
            format!("manifests/{}", encode(&digest.to_string())),
            tags.iter().map(|tag| format!("tag={tag}")).collect(),
        ),
        Action::ListTags(page) => (Method::GET, "tags/list".into(), page_query(page)),
        Action::DeleteManifest(reference) => (Method::DELETE, format!("manifests/{reference}"), vec![]),
        Action::DeleteBlob(digest) => (Method::DELETE, format!("blobs/{digest}"), vec![]),
        Action::ListReferrers { subject, artifact_types, after } => {
            let mut query: Vec<_> =
                artifact_types.iter().map(|kind| format!("artifactType={}", encode(kind))).collect();
            query.extend(after.iter().map(|digest| format!("last={digest}")));
            (Method::GET, format!("referrers/{subject}"), query)
        }
    };
    query.extend(name.ns.iter().map(|ns| format!("ns={}", encode(&ns.to_string()))));
    (method, format!("/v2/{}/{tail}?{}", name.path, query.join("&")))
}

fn any_name() -> impl Strategy<Value = RequestedName> {
    // Path keywords are legal components too.
    let component = prop_oneof![
        Just("manifests".to_owned()),
        Just("blobs".to_owned()),
        Just("uploads".to_owned()),
        Just("tags".to_owned()),
        Just("list".to_owned()),
        Just("referrers".to_owned()),
        "[a-z0-9]{1,5}((\\.|_|__|-{1,3})[a-z0-9]{1,3}){0,2}",
    ];
    let ns = prop::option::of(prop_oneof![Just("docker.io"), Just("reg.local:5000")]);
    (prop::collection::vec(component, 1..6), ns).prop_map(|(path, ns)| requested(&path.join("/"), ns))
}

fn any_digest() -> impl Strategy<Value = Digest> {
    (prop::sample::select(&Algorithm::ALL[..]), any::<u64>()).prop_map(|(kind, seed)| kind.digest(&seed.to_le_bytes()))
}

fn any_page() -> impl Strategy<Value = Page> {
    (0..=10_000_usize, prop::option::of("\\PC{1,9}")).prop_map(|(limit, after)| Page { limit, after })
}

fn any_endpoint() -> impl Strategy<Value = Endpoint> {
    let tag = || "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,20}".prop_map(|tag| tag.parse::<Tag>().unwrap());
    let reference = || prop_oneof![tag().prop_map(TagOrDigest::Tag), any_digest().prop_map(TagOrDigest::Digest)];
    let put = prop_oneof![
        tag().prop_map(PutReference::Tag),
        (any_digest(), prop::collection::vec(tag(), 0..12))
            .prop_map(|(digest, tags)| PutReference::Digest(digest, tags)),
    ];
    let algorithm = prop::option::of(prop::sample::select(&Algorithm::ALL[..]));
    let id = || any::<()>().prop_map(|()| UploadId::random());
    let source = any_name().prop_map(|name| name.path);
    let kinds = prop::collection::vec("[a-z]{1,5}/[a-z+.]{1,9}", 0..3);
    let action = prop_oneof![
        any_digest().prop_map(Action::PullBlob),
        reference().prop_map(Action::PullManifest),
        algorithm.prop_map(Action::StartUpload),
        any_digest().prop_map(Action::PushBlob),
        id().prop_map(Action::AppendToUpload),
        (id(), any_digest()).prop_map(|(id, digest)| Action::FinishUpload(id, digest)),
        put.prop_map(Action::PushManifest),
        any_page().prop_map(Action::ListTags),
        reference().prop_map(Action::DeleteManifest),
        any_digest().prop_map(Action::DeleteBlob),
        (any_digest(), kinds, prop::option::of(any_digest()))
            .prop_map(|(subject, artifact_types, after)| Action::ListReferrers { subject, artifact_types, after }),
        id().prop_map(Action::UploadStatus),
        id().prop_map(Action::CancelUpload),
    ];
    prop_oneof![
        1 => Just(Endpoint::Check),
        1 => any_page().prop_map(Endpoint::ListRepositories),
        13 => (any_name(), action).prop_map(|(name, action)| Endpoint::In(name, action)),
        1 => (any_name(), any_digest(), prop::option::of(source)).prop_map(|(name, digest, from)| {
            let ns = name.ns.clone();
            let from = from.map_or(MountSource::Anywhere, |path| {
                MountSource::Repository(names::resolve(&names::Settings::default(), path, ns))
            });
            Endpoint::In(name, Action::MountBlob(digest, from))
        }),
    ]
}

proptest! {
    #[test]
    fn a_rendered_endpoint_parses_back(endpoint in any_endpoint()) {
        let (method, uri) = render(&endpoint);
        prop_assert_eq!(read(&method, &uri.parse().unwrap()), Ok(endpoint), "{} {}", method, uri);
    }
}

/// Replays the corpus of `registry/fuzz` on stable Rust.
#[test]
fn the_fuzz_corpus_parses_or_is_refused_without_a_panic() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/endpoint");
    let mut replayed = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let (method, uri) = text.trim_end().split_once(' ').unwrap_or(("GET", &text));
        if let (Ok(method), Ok(uri)) = (method.parse::<Method>(), uri.parse::<Uri>()) {
            if let Ok(endpoint) = read(&method, &uri) {
                let (method, uri) = render(&endpoint);
                assert_eq!(read(&method, &uri.parse().unwrap()), Ok(endpoint));
            }
            replayed += 1;
        }
    }
    assert!(replayed >= 20, "only {replayed} of the corpus are requests");
}
