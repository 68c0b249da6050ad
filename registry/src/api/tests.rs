//! The API called as a tower service, with a real registry on a real disk. Tests that need a socket are in `server`, those
//! that need the binary in `tests/it`.

use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::oci::{Algorithm, Digest, MediaType};
use crate::{References, Settings as RegistrySettings};

struct World {
    api: Api,
    _folder: tempfile::TempDir,
}

struct Answer {
    status: u16,
    headers: http::HeaderMap,
    body: Bytes,
}

impl World {
    async fn new() -> Self {
        Self::with(|_| ()).await
    }

    async fn with(change: impl FnOnce(&mut RegistrySettings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = RegistrySettings { data: folder.path().join("data"), ..RegistrySettings::default() };
        change(&mut settings);
        let registry = Registry::open(settings).await.unwrap();
        Self { api: Api::new(registry, Settings::default()), _folder: folder }
    }

    /// The same registry behind other settings.
    fn serving(mut self, settings: Settings) -> Self {
        self.api = Api::new(self.api.0.registry.clone(), settings);
        self
    }

    async fn ask(&self, method: &str, uri: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.api.clone().oneshot(request.body(Full::new(body.into())).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        assert_eq!(parts.headers["docker-distribution-api-version"], "registry/2.0", "{method} {uri}");
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    async fn get(&self, uri: &str) -> Answer {
        self.ask("GET", uri, &[], "").await
    }

    /// Pushes a blob whole (end-4b).
    async fn blob(&self, repository: &str, content: &'static [u8]) -> Digest {
        let digest = Algorithm::Sha256.digest(content);
        let uri = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
        assert_eq!(self.ask("POST", &uri, &[], content).await.status, 201);
        digest
    }

    /// Pushes an image of one small blob under a tag (end-7a).
    async fn image(&self, repository: &str, tag: &str) -> (Digest, Bytes) {
        let config = self.blob(repository, b"{}").await;
        let manifest: Bytes = image(&config).into();
        let uri = format!("/v2/{repository}/manifests/{tag}");
        let answer = self.ask("PUT", &uri, &[("content-type", MediaType::IMAGE_MANIFEST)], manifest.clone()).await;
        assert_eq!(answer.status, 201, "{:?}", answer.body);
        (Algorithm::Sha256.digest(&manifest), manifest)
    }
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), "application/json");
        serde_json::from_slice(&self.body).unwrap()
    }
}

fn image(config: &Digest) -> String {
    json!({
        "schemaVersion": 2,
        "mediaType": MediaType::IMAGE_MANIFEST,
        "config": { "mediaType": MediaType::EMPTY, "digest": config, "size": 2 },
        "layers": [],
    })
    .to_string()
}

#[tokio::test]
async fn end_1_says_that_this_is_a_registry() {
    let world = World::new().await;
    for uri in ["/v2/", "/v2"] {
        let answer = world.get(uri).await;
        assert_eq!((answer.status, answer.json()), (200, json!({})));
    }
    let head = world.ask("HEAD", "/v2/", &[], "").await;
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, "2", 0));
}

#[tokio::test]
async fn end_3_a_manifest_is_served_as_it_was_pushed() {
    let world = World::new().await;
    let (digest, manifest) = world.image("a", "v1").await;
    for reference in ["v1".to_owned(), digest.to_string()] {
        let uri = format!("/v2/a/manifests/{reference}");
        // Whatever `Accept` says.
        let answer = world.ask("GET", &uri, &[("accept", "text/html")], "").await;
        assert_eq!((answer.status, &answer.body), (200, &manifest));
        assert_eq!(answer.header("content-type"), MediaType::IMAGE_MANIFEST);
        assert_eq!(answer.header("content-length"), manifest.len().to_string());
        assert_eq!(answer.header("docker-content-digest"), digest.to_string());
        assert_eq!(answer.header("etag"), format!("\"{digest}\""));
        let head = world.ask("HEAD", &uri, &[], "").await;
        assert_eq!((head.status, head.body.len()), (200, 0));
        assert_eq!(head.header("content-length"), manifest.len().to_string());
        let known = world.ask("GET", &uri, &[("if-none-match", &format!("\"{digest}\""))], "").await;
        assert_eq!((known.status, known.body.len(), known.header("content-length")), (304, 0, ""));
    }
}

#[tokio::test]
async fn end_2_blobs_and_ranges_of_them() {
    let world = World::new().await;
    let digest = world.blob("a", b"0123456789").await;
    let uri = format!("/v2/a/blobs/{digest}");
    let whole = world.get(&uri).await;
    assert_eq!((whole.status, &whole.body[..]), (200, &b"0123456789"[..]));
    assert_eq!(whole.header("content-type"), "application/octet-stream");
    assert_eq!(whole.header("accept-ranges"), "bytes");
    assert_eq!(whole.header("docker-content-digest"), digest.to_string());
    for (range, body, content_range) in [
        ("bytes=2-4", "234", "bytes 2-4/10"),
        ("bytes=-2", "89", "bytes 8-9/10"),
        ("bytes=7-99", "789", "bytes 7-9/10"),
    ] {
        let part = world.ask("GET", &uri, &[("range", range)], "").await;
        assert_eq!((part.status, &part.body[..]), (206, body.as_bytes()), "{range}");
        assert_eq!(
            (part.header("content-range"), part.header("content-length")),
            (content_range, &*body.len().to_string())
        );
    }
    let none = world.ask("GET", &uri, &[("range", "bytes=10-")], "").await;
    assert_eq!((none.status, none.header("content-range")), (416, "bytes */10"));
    let other = world.ask("GET", &uri, &[("range", "bytes=2-4"), ("if-range", "\"x\"")], "").await;
    assert_eq!((other.status, other.body.len()), (200, 10));
    let head = world.ask("HEAD", &uri, &[], "").await;
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, "10", 0));
}

#[tokio::test]
async fn several_ranges_are_parts_unless_they_are_more_than_the_blob() {
    let world = World::new().await;
    let digest = world.blob("a", b"0123456789").await;
    let uri = format!("/v2/a/blobs/{digest}");
    let parts = world.ask("GET", &uri, &[("range", "bytes=5-6,0-1")], "").await;
    assert_eq!(parts.status, 206);
    assert!(parts.header("content-type").starts_with("multipart/byteranges; boundary="));
    assert_eq!(parts.header("content-length"), parts.body.len().to_string());
    let text = String::from_utf8(parts.body.to_vec()).unwrap();
    let (first, second) =
        (text.find("bytes 5-6/10\r\n\r\n56\r\n").unwrap(), text.find("bytes 0-1/10\r\n\r\n01\r\n").unwrap());
    assert!(first < second, "in the order asked for");
    let greedy = world.ask("GET", &uri, &[("range", "bytes=0-,0-,0-")], "").await;
    assert_eq!((greedy.status, greedy.body.len()), (200, 10));
}

#[tokio::test]
async fn an_empty_blob_is_whole_for_any_range() {
    let world = World::new().await;
    let digest = world.blob("a", b"").await;
    let answer = world.ask("GET", &format!("/v2/a/blobs/{digest}"), &[("range", "bytes=0-")], "").await;
    assert_eq!((answer.status, answer.header("content-length"), answer.body.len()), (200, "0", 0));
}

#[tokio::test]
async fn end_4a_to_end_6_an_upload_in_chunks_survives_a_chunk_out_of_order() {
    let world = World::new().await;
    let started = world.ask("POST", "/v2/a/blobs/uploads/", &[], "").await;
    assert_eq!((started.status, started.header("range"), started.header("content-length")), (202, "0-0", "0"));
    let location = started.header("location").to_owned();
    assert!(location.starts_with("/v2/a/blobs/uploads/") && location.ends_with(started.header("docker-upload-uuid")));

    let chunk = |range: &'static str, body: &'static str| {
        let location = location.clone();
        let world = &world;
        async move { world.ask("PATCH", &location, &[("content-range", range)], body).await }
    };
    let ahead = chunk("5-9", "56789").await;
    assert_eq!((ahead.status, ahead.header("range")), (416, "0-0"), "H03");
    let first = chunk("0-4", "01234").await;
    assert_eq!((first.status, first.header("range"), first.header("location")), (202, "0-4", &*location));
    let again = chunk("0-4", "01234").await;
    assert_eq!((again.status, again.header("range"), again.header("location")), (416, "0-4", &*location), "H04");
    assert_eq!(again.json()["errors"][0]["code"], "BLOB_UPLOAD_INVALID");
    assert_eq!(chunk("5-9", "567").await.status, 400, "shorter than it says");

    let digest = Algorithm::Sha256.digest(b"0123456789");
    let finish = format!("{location}?digest={digest}");
    let late = world.ask("PUT", &finish, &[("content-range", "7-9")], "789").await;
    assert_eq!(late.status, 416, "H05");
    let status = world.ask("GET", &finish, &[], "").await;
    assert_eq!((status.status, status.header("range"), status.header("content-length")), (204, "0-4", ""), "end-13");
    let wrong = format!("{location}?digest={}", Algorithm::Sha256.digest(b"x"));
    let refused = world.ask("PUT", &wrong, &[], "").await;
    assert_eq!((refused.status, refused.json()["errors"][0]["code"].as_str()), (400, Some("DIGEST_INVALID")), "H02");
    let done = world.ask("PUT", &finish, &[("content-range", "5-9")], "56789").await;
    assert_eq!((done.status, done.header("location")), (201, &*format!("/v2/a/blobs/{digest}")));
    assert_eq!(done.header("docker-content-digest"), digest.to_string());
    assert_eq!(&world.get(done.header("location")).await.body[..], b"0123456789");
    assert_eq!(world.ask("PATCH", &location, &[], "x").await.status, 404, "it is over");
}

#[tokio::test]
async fn end_4c_end_6_sha512_is_taken_with_and_without_having_been_announced() {
    let world = World::new().await;
    let digest = Algorithm::Sha512.digest(b"content");
    for query in ["?digest-algorithm=sha512", ""] {
        let started = world.ask("POST", &format!("/v2/a/blobs/uploads/{query}"), &[], "").await;
        let uri = format!("{}?digest={digest}", started.header("location"));
        let done = world.ask("PUT", &uri, &[], "content").await;
        assert_eq!((done.status, done.header("docker-content-digest")), (201, &*digest.to_string()), "{query}");
    }
}

#[tokio::test]
async fn end_11_a_mount_is_201_where_the_blob_is_and_an_upload_where_it_is_not() {
    let world = World::new().await;
    let digest = world.blob("a", b"shared").await;
    let mount = |query: String| {
        let world = &world;
        async move { world.ask("POST", &format!("/v2/b/blobs/uploads/?{query}"), &[], "").await }
    };
    for query in [
        format!("mount={digest}&from=c"),
        format!("mount={digest}&from=../a"),
        format!("mount={}&from=a", Algorithm::Sha256.digest(b"none")),
    ] {
        let started = mount(query).await;
        assert_eq!(started.status, 202);
        assert!(started.header("location").starts_with("/v2/b/blobs/uploads/"));
    }
    assert_eq!(world.get(&format!("/v2/b/blobs/{digest}")).await.status, 404, "H21: not here yet");
    let mounted = mount(format!("mount={digest}&from=a")).await;
    assert_eq!((mounted.status, mounted.header("location")), (201, &*format!("/v2/b/blobs/{digest}")));
    assert_eq!(world.get(&format!("/v2/b/blobs/{digest}")).await.status, 200);
}

#[tokio::test]
async fn end_14_a_cancelled_upload_is_gone() {
    let world = World::new().await;
    let started = world.ask("POST", "/v2/a/blobs/uploads/", &[], "").await;
    let location = started.header("location");
    let elsewhere = location.replace("/v2/a/", "/v2/b/");
    assert_eq!(world.ask("DELETE", &elsewhere, &[], "").await.status, 404, "H32");
    assert_eq!(world.ask("DELETE", location, &[], "").await.status, 204);
    assert_eq!(world.get(location).await.status, 404);
}

#[tokio::test]
async fn end_7b_a_manifest_takes_its_tags_along_and_says_which() {
    let world = World::new().await;
    let config = world.blob("a", b"{}").await;
    let subject = Algorithm::Sha256.digest(b"subject");
    let manifest = image(&config).replacen(
        '{',
        &format!(r#"{{"subject":{{"mediaType":"{}","digest":"{subject}","size":1}},"#, MediaType::IMAGE_MANIFEST),
        1,
    );
    let digest = Algorithm::Sha512.digest(manifest.as_bytes());
    let uri = format!("/v2/a/manifests/{digest}?tag=1.2.3&tag=latest");
    let put = world.ask("PUT", &uri, &[], manifest.clone()).await;
    assert_eq!((put.status, put.header("oci-tag")), (201, "1.2.3, latest"));
    assert_eq!(put.header("oci-subject"), subject.to_string());
    assert_eq!(put.header("docker-content-digest"), digest.to_string());
    assert_eq!(put.header("location"), format!("/v2/a/manifests/{digest}"));
    assert_eq!(world.get("/v2/a/manifests/latest").await.header("docker-content-digest"), digest.to_string());

    let list = world.get(&format!("/v2/a/referrers/{subject}?artifactType={}", MediaType::EMPTY)).await;
    assert_eq!((list.status, list.header("content-type")), (200, MediaType::IMAGE_INDEX));
    assert_eq!(list.header("oci-filters-applied"), "artifactType");
    let list: Value = serde_json::from_slice(&list.body).unwrap();
    assert_eq!(list["manifests"][0]["digest"], digest.to_string());
    let none = world.get(&format!("/v2/never/referrers/{subject}")).await;
    assert_eq!((none.status, none.header("oci-filters-applied")), (200, ""));
    assert_eq!(serde_json::from_slice::<Value>(&none.body).unwrap()["manifests"], json!([]));
}

#[tokio::test]
async fn end_8_lists_are_cut_only_with_a_link_to_the_rest() {
    let world = World::new().await;
    for tag in ["b", "a", "B", "1.0"] {
        world.image("a", tag).await;
    }
    let mut uri = "/v2/a/tags/list?n=3".to_owned();
    let first = world.get(&uri).await;
    assert_eq!(first.json(), json!({ "name": "a", "tags": ["1.0", "B", "a"] }));
    uri = first.header("link").strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned();
    assert_eq!(uri, "/v2/a/tags/list?n=3&last=a");
    let second = world.get(&uri).await;
    assert_eq!((second.json(), second.header("link")), (json!({ "name": "a", "tags": ["b"] }), ""));
    let none = world.get("/v2/a/tags/list?n=0").await;
    assert_eq!((none.json(), none.header("link")), (json!({ "name": "a", "tags": [] }), ""));

    world.image("c/d", "v1").await;
    let catalog = world.get("/v2/_catalog?n=1").await;
    assert_eq!(catalog.json(), json!({ "repositories": ["a"] }));
    assert_eq!(catalog.header("link"), "</v2/_catalog?n=1&last=a>; rel=\"next\"");
}

#[tokio::test]
async fn responses_read_as_the_specifications_types() {
    use oci_spec::distribution::{ErrorCode as SpecCode, ErrorResponse, RepositoryList, TagList};
    use oci_spec::image::ImageIndex;
    let world = World::new().await;
    let (digest, _) = world.image("a", "v1").await;
    let about = image(&Algorithm::Sha256.digest(b"{}")).replacen(
        '{',
        &format!(
            r#"{{"annotations":{{"k":"v"}},"subject":{{"mediaType":"{}","digest":"{digest}","size":1}},"#,
            MediaType::IMAGE_MANIFEST
        ),
        1,
    );
    assert_eq!(world.ask("PUT", "/v2/a/manifests/sig", &[], about.clone()).await.status, 201);

    let tags: TagList = serde_json::from_slice(&world.get("/v2/a/tags/list").await.body).unwrap();
    assert_eq!((tags.name().as_str(), tags.tags()), ("a", &vec!["sig".to_owned(), "v1".to_owned()]));
    let repositories: RepositoryList = serde_json::from_slice(&world.get("/v2/_catalog").await.body).unwrap();
    assert_eq!(repositories.repositories(), &["a"]);
    let referrers: ImageIndex =
        serde_json::from_slice(&world.get(&format!("/v2/a/referrers/{digest}")).await.body).unwrap();
    let [referrer] = referrers.manifests().as_slice() else { panic!("{referrers:?}") };
    assert_eq!(referrer.digest().to_string(), Algorithm::Sha256.digest(about.as_bytes()).to_string());
    assert_eq!(referrer.artifact_type().as_ref().unwrap().as_ref(), MediaType::EMPTY);
    assert_eq!(referrer.annotations().as_ref().unwrap()["k"], "v");
    for (uri, code) in [
        ("/v2/a/manifests/absent", SpecCode::ManifestUnknown),
        ("/v2/never/tags/list", SpecCode::NameUnknown),
        ("/v2/a/blobs/sha256:0", SpecCode::DigestInvalid),
        ("/v2/A/manifests/v1", SpecCode::NameInvalid),
    ] {
        let error: ErrorResponse = serde_json::from_slice(&world.get(uri).await.body).unwrap();
        assert_eq!(error.detail()[0].code(), &code, "{uri}");
    }
}

#[tokio::test]
async fn end_9_end_10_what_is_deleted_is_gone_at_once() {
    let world = World::new().await;
    let (digest, _) = world.image("a", "v1").await;
    let config = Algorithm::Sha256.digest(b"{}");
    world.image("a", "v2").await;
    assert_eq!(world.ask("DELETE", "/v2/a/manifests/v1", &[], "").await.status, 202);
    assert_eq!(world.get("/v2/a/manifests/v1").await.status, 404);
    assert_eq!(world.get("/v2/a/manifests/v2").await.status, 200);
    assert_eq!(
        world.ask("DELETE", &format!("/v2/a/blobs/{config}"), &[], "").await.status,
        405,
        "H19: a manifest needs it"
    );
    assert_eq!(world.ask("DELETE", &format!("/v2/a/manifests/{digest}"), &[], "").await.status, 202);
    assert_eq!(world.get("/v2/a/manifests/v2").await.status, 404);
    assert_eq!(world.ask("DELETE", &format!("/v2/a/manifests/{digest}"), &[], "").await.status, 404);
    assert_eq!(world.ask("DELETE", &format!("/v2/a/blobs/{config}"), &[], "").await.status, 202);
    assert_eq!(world.get(&format!("/v2/a/blobs/{config}")).await.status, 404);
    assert_eq!(world.ask("DELETE", "/v2/a/manifests/sha256:baddigeststring", &[], "").await.status, 404);

    let world = World::with(|settings| settings.delete = false).await;
    let (digest, _) = world.image("a", "v1").await;
    for uri in ["/v2/a/manifests/v1".to_owned(), format!("/v2/a/manifests/{digest}"), format!("/v2/a/blobs/{digest}")] {
        assert_eq!(world.ask("DELETE", &uri, &[], "").await.status, 405, "H19");
    }
}

#[tokio::test]
async fn h15_a_manifest_over_4_mib_is_413_and_one_of_4_mib_is_not() {
    let world = World::new().await;
    let config = world.blob("a", b"{}").await;
    let padded = |size: usize| {
        let manifest = image(&config);
        let padding = size - manifest.len() - r#","x":"""#.len();
        manifest.replacen("\"layers\":[]", &format!("\"layers\":[],\"x\":\"{}\"", "x".repeat(padding)), 1)
    };
    let (fits, over) = (padded(4 << 20), padded((4 << 20) + 1));
    assert_eq!((fits.len(), over.len()), (4 << 20, (4 << 20) + 1));
    assert_eq!(world.ask("PUT", "/v2/a/manifests/v1", &[], fits).await.status, 201);
    let refused = world.ask("PUT", "/v2/a/manifests/v2", &[], over).await;
    assert_eq!((refused.status, refused.json()["errors"][0]["code"].as_str()), (413, Some("SIZE_INVALID")));
    assert_eq!(refused.header("connection"), "close", "it was not read");
}

#[tokio::test]
async fn the_upstream_of_a_request_is_named_in_its_answer() {
    let world = World::new().await;
    let put = world.ask("POST", "/v2/library/alpine/blobs/uploads/?ns=docker.io", &[], "").await;
    assert_eq!((put.status, put.header("oci-namespace")), (202, "docker.io"));
    assert!(
        put.header("location").starts_with("/v2/docker.io/library/alpine/blobs/uploads/"),
        "found again without `ns`"
    );
    let (_, manifest) = world.image("docker.io/library/alpine", "3").await;
    for uri in [
        "/v2/library/alpine/manifests/3?ns=docker.io",
        "/v2/docker.io/library/alpine/manifests/3?ns=docker.io",
        "/v2/docker.io/library/alpine/manifests/3",
        "/v2/library/alpine/manifests/3",
        "/v2/alpine/manifests/3",
        "/v2/alpine/manifests/3?ns=registry-1.docker.io",
    ] {
        assert_eq!(world.get(uri).await.body, manifest, "{uri}");
    }
    let list = world.get("/v2/library/alpine/tags/list?ns=docker.io&n=0").await;
    assert_eq!(list.json()["name"], "library/alpine", "as it was asked for");
}

/// Method, target, headers, body; status and error of the response.
type Row<'a> = (&'a str, String, &'a [(&'a str, &'a str)], String, u16, Value);

/// The error bodies that clients show to users. Compared word for word: a changed word is a change for users.
#[tokio::test]
async fn error_bodies_are_these() {
    let world = World::with(|settings| (settings.references, settings.max_uploads) = (References::Strict, 1)).await;
    world.image("a", "v1").await;
    let started = world.ask("POST", "/v2/a/blobs/uploads/", &[], "").await;
    let upload = started.header("location");
    let absent = Algorithm::Sha256.digest(b"absent");
    let id = "7b4ae0c9-9a1c-4c0e-8f5d-111111111111";
    let bad_digest = "sha256:baddigeststring";
    let table: &[Row<'_>] = &[
        (
            "GET",
            "/v1/".into(),
            &[],
            String::new(),
            404,
            json!({
                "code": "UNSUPPORTED",
                "message": "there is nothing at `/v1/`; the registry's endpoints begin with `/v2/`, the Helm repository's index is at \
                            `/charts/index.yaml`",
            }),
        ),
        (
            "POST",
            "/v2/a/tags/list".into(),
            &[],
            String::new(),
            405,
            json!({
                "code": "UNSUPPORTED",
                "message": "this resource takes only GET, HEAD",
            }),
        ),
        (
            "GET",
            "/v2/A/manifests/v1".into(),
            &[],
            String::new(),
            400,
            json!({
                "code": "NAME_INVALID",
                "message": "repository name `A` is not lower-case letters and digits, separated by `.`, `_`, `__`, `-` or `/`",
            }),
        ),
        (
            "GET",
            "/v2/a/manifests/v1?ns=-".into(),
            &[],
            String::new(),
            400,
            json!({
                "code": "NAME_INVALID",
                "message": "`-` is not a registry's host name with an optional port",
            }),
        ),
        (
            "GET",
            "/v2/none/tags/list".into(),
            &[],
            String::new(),
            404,
            json!({
                "code": "NAME_UNKNOWN",
                "message": "repository `none` has no manifest here, or is misspelt; `/v2/_catalog` lists those that have",
            }),
        ),
        (
            "GET",
            "/v2/a/manifests/none".into(),
            &[],
            String::new(),
            404,
            json!({
                "code": "MANIFEST_UNKNOWN",
                "message": "manifest `none` is not in `a`",
            }),
        ),
        (
            "GET",
            format!("/v2/a/manifests/{bad_digest}"),
            &[],
            String::new(),
            400,
            json!({
                "code": "DIGEST_INVALID",
                "message": "a sha256 digest has 64 hex characters, found 15",
            }),
        ),
        (
            "GET",
            format!("/v2/a/blobs/{absent}"),
            &[],
            String::new(),
            404,
            json!({
                "code": "BLOB_UNKNOWN",
                "message": format!("blob `{absent}` is not in `a`"),
            }),
        ),
        (
            "PUT",
            "/v2/a/manifests/.x".into(),
            &[],
            String::new(),
            400,
            json!({
                "code": "NAME_INVALID",
                "message": "tag `.x` is not 1 to 128 letters, digits, `_`, `.` or `-`, beginning with a letter, digit or `_`",
            }),
        ),
        (
            "PUT",
            "/v2/a/manifests/v2".into(),
            &[],
            image(&absent),
            400,
            json!({
                "code": "MANIFEST_BLOB_UNKNOWN",
                "message": format!("the manifest names `{absent}` that `a` does not have; push that first"),
                "detail": { "missing": [absent] },
            }),
        ),
        (
            "PUT",
            format!("/v2/a/manifests/{absent}"),
            &[],
            image(&Algorithm::Sha256.digest(b"{}")),
            400,
            json!({
                "code": "DIGEST_INVALID",
                "message": format!("the content was to have digest `{absent}` and has `{}`; it was damaged or changed on the way, or the digest is another's", Algorithm::Sha256.digest(image(&Algorithm::Sha256.digest(b"{}")).as_bytes())),
                "detail": { "expected": absent, "found": Algorithm::Sha256.digest(image(&Algorithm::Sha256.digest(b"{}")).as_bytes()) },
            }),
        ),
        (
            "PUT",
            "/v2/a/manifests/v2".into(),
            &[("content-type", "nonsense")],
            "{}".into(),
            400,
            json!({
                "code": "MANIFEST_INVALID",
                "message": "`Content-Type`: `nonsense` is not a media type",
            }),
        ),
        (
            "PUT",
            "/v2/a/manifests/v2".into(),
            &[],
            r#"{"schemaVersion":1,"fsLayers":[],"manifests":[]}"#.into(),
            400,
            json!({
                "code": "UNSUPPORTED",
                "message": "Docker manifests of schema 1 are not supported; push the image with a current client",
            }),
        ),
        (
            "GET",
            "/v2/a/tags/list?n=-1".into(),
            &[],
            String::new(),
            400,
            json!({
                "code": "PAGINATION_NUMBER_INVALID",
                "message": "`n` is the largest number of entries wanted, digits only; found `-1`",
            }),
        ),
        (
            "GET",
            format!("/v2/a/blobs/uploads/{id}"),
            &[],
            String::new(),
            404,
            json!({
                "code": "BLOB_UPLOAD_UNKNOWN",
                "message": "the upload is not known in `a`; it may have been finished, cancelled or swept; begin a new one",
            }),
        ),
        (
            "PUT",
            upload.into(),
            &[],
            String::new(),
            400,
            json!({
                "code": "DIGEST_INVALID",
                "message": "an upload is closed with the digest of its content: add `?digest=<digest>` to the upload's `Location`",
            }),
        ),
        (
            "PATCH",
            upload.into(),
            &[("content-range", "a-b")],
            "x".into(),
            400,
            json!({
                "code": "BLOB_UPLOAD_INVALID",
                "message": "`Content-Range: a-b` is not `<first byte>-<last byte>`",
            }),
        ),
        (
            "PATCH",
            upload.into(),
            &[("content-range", "0-9")],
            "x".into(),
            400,
            json!({
                "code": "SIZE_INVALID",
                "message": "the body is not the 10 bytes that `Content-Range: 0-9` announces",
            }),
        ),
        (
            "PATCH",
            upload.into(),
            &[("content-range", "7-9")],
            "xyz".into(),
            416,
            json!({
                "code": "BLOB_UPLOAD_INVALID",
                "message": "the upload has 0 bytes and another request may be adding to it; go on where `Range` says it ends",
            }),
        ),
        (
            "POST",
            "/v2/a/blobs/uploads/".into(),
            &[],
            String::new(),
            429,
            json!({
                "code": "TOOMANYREQUESTS",
                "message": "uploads that are open: 1, as many as `registry.max_uploads` allows; finish or cancel some, or wait until they expire",
            }),
        ),
    ];
    for (method, uri, headers, body, status, expected) in table {
        let answer = world.ask(method, uri, headers, body.clone()).await;
        assert_eq!((answer.status, answer.json()), (*status, json!({ "errors": [expected] })), "{method} {uri}");
        if *status == 405 {
            assert_eq!(answer.header("allow"), "GET, HEAD");
        }
        if *status == 429 {
            assert_eq!(answer.header("retry-after"), "10");
        }
        if *method == "GET" {
            let head = world.ask("HEAD", uri, headers, "").await;
            assert_eq!((head.status, head.body.len()), (*status, 0), "the same without a body: {uri}");
        }
    }
}

/// The operator finds the cause in the log by the request id that the client shows.
#[tokio::test]
async fn a_failure_of_the_disk_is_500_without_its_paths() {
    let world = World::new().await;
    let uploads = world.api.0.registry.data().join("uploads");
    std::fs::remove_dir_all(&uploads).unwrap();
    std::fs::write(&uploads, "no folder").unwrap();
    let arrival = Arrival { request: Some(RequestId { connection: 7, request: 3 }), ..Arrival::default() };
    let target = format!("/v2/a/blobs/uploads/?digest={}", Algorithm::Sha256.digest(b"x"));
    let request = Request::post(target).extension(arrival).body(Full::new(Bytes::from_static(b"x"))).unwrap();
    let response = world.api.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 500);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(
        serde_json::from_slice::<Value>(&body).unwrap(),
        json!({ "errors": [{
            "code": "UNKNOWN",
            "message": "the registry could not answer; its log says why",
            "detail": { "request": "7-3" },
        }] })
    );
}

#[tokio::test]
async fn a_pull_is_a_small_future() {
    let world = World::new().await;
    let request = Request::get("/v2/").body(Full::<Bytes>::default()).unwrap();
    // This future is allocated and moved for every request; a push allocates its own state.
    let size = size_of_val(&answer(&world.api.0, request));
    assert!(size < 2560, "{size} bytes");
}

#[tokio::test]
async fn d26_a_head_has_no_range() {
    let world = World::new().await;
    let digest = world.blob("a", b"0123456789").await;
    let head = world.ask("HEAD", &format!("/v2/a/blobs/{digest}"), &[("range", "bytes=0-0")], "").await;
    assert_eq!((head.status, head.header("content-length"), head.header("content-range")), (200, "10", ""));
}

#[tokio::test]
async fn c10_origins_in_the_settings_may_read_and_delete_and_by_default_there_are_none() {
    let preflight = [("origin", "http://ui.test"), ("access-control-request-method", "DELETE")];
    let world = World::new().await;
    assert_eq!(world.ask("OPTIONS", "/v2/_catalog", &preflight, "").await.status, 405);
    let plain = world.ask("GET", "/v2/_catalog", &[("origin", "http://ui.test")], "").await;
    assert_eq!((plain.status, plain.header("access-control-allow-origin"), plain.header("vary")), (200, "", ""));

    let world = world.serving(Settings { cors_origins: vec!["http://ui.test".into()], ..Settings::default() });
    let allowed = world.ask("OPTIONS", "/v2/a/manifests/v1", &preflight, "").await;
    assert_eq!((allowed.status, allowed.header("access-control-allow-origin")), (204, "http://ui.test"));
    assert!(allowed.header("access-control-allow-methods").contains("DELETE"));
    assert!(allowed.header("access-control-allow-headers").contains("accept"));
    let read = world.ask("GET", "/v2/absent/manifests/v1", &[("origin", "http://ui.test")], "").await;
    assert_eq!((read.status, read.header("access-control-allow-origin")), (404, "http://ui.test"), "errors, too");
    assert!(read.header("access-control-expose-headers").contains("docker-content-digest"));
    assert_eq!(read.header("vary"), "origin");
    for other in ["http://ui.test.evil", "null", "https://ui.test"] {
        let answer = world.ask("GET", "/v2/_catalog", &[("origin", other)], "").await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, ""), "{other}");
    }
    let world = world.serving(Settings { cors_origins: vec!["*".into()], ..Settings::default() });
    let any = world.ask("GET", "/v2/_catalog", &[("origin", "http://x.test")], "").await;
    assert_eq!(any.header("access-control-allow-origin"), "http://x.test");
}

#[tokio::test]
async fn c15_behind_a_proxy_below_a_path_locations_and_links_have_the_path() {
    let settings =
        crate::server::Settings { external_url: "https://x.test/sub/registry/".into(), ..Default::default() };
    let world = World::new().await.serving(settings.api());
    let started = world.ask("POST", "/v2/a/blobs/uploads/", &[], "").await;
    assert!(
        started.header("location").starts_with("/sub/registry/v2/a/blobs/uploads/"),
        "{}",
        started.header("location")
    );
    let digest = world.blob("a", b"{}").await;
    for tag in ["v1", "v2"] {
        let uri = format!("/v2/a/manifests/{tag}");
        let put = world.ask("PUT", &uri, &[("content-type", MediaType::IMAGE_MANIFEST)], image(&digest)).await;
        assert!(put.header("location").starts_with("/sub/registry/v2/a/manifests/sha256:"), "{:?}", put.body);
    }
    let page = world.get("/v2/a/tags/list?n=1").await;
    assert_eq!(page.header("link"), "</sub/registry/v2/a/tags/list?n=1&last=v1>; rel=\"next\"");
    for (url, prefix) in [("", ""), ("https://x.test", ""), ("https://x.test/", ""), ("http://x.test:5000/a", "/a")] {
        let settings = crate::server::Settings { external_url: url.into(), ..Default::default() };
        assert_eq!(settings.api().prefix, prefix, "{url}");
    }
}
