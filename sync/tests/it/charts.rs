//! Helm charts, as Helm itself would push them.

use std::os::unix::fs::symlink;

use testkit::archive::{chart, chart_files};
use testkit::content::{gzip, zstd};
use testkit::folder::fifo;
use testkit::ingest::{World, failures};
use testkit::tarball::Tarball;

const SIGNED: &[u8] = b"-----BEGIN PGP SIGNED MESSAGE-----\nname: app\n";

#[test]
fn a_chart_becomes_the_artifact_helm_would_push() {
    let world = World::new();
    let archive = chart("app", "1.2.3+build.5");
    let report = world.ingest("whatever.bin", &archive);
    assert_eq!(report.failures, []);
    let served = world.manifest("charts/app", "1.2.3_build.5");
    let digest = airdock_registry::oci::Algorithm::Sha256.digest(&archive);
    let config = r#"{"name":"app","version":"1.2.3+build.5","description":"a chart","apiVersion":"v2"}"#;
    let config_digest = airdock_registry::oci::Algorithm::Sha256.digest(config.as_bytes());
    let expected = format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"application/vnd.cncf.helm.config.v1+json","digest":"{config_digest}","size":{}}},"layers":[{{"mediaType":"application/vnd.cncf.helm.chart.content.v1.tar+gzip","digest":"{digest}","size":{}}}],"annotations":{{"org.opencontainers.image.created":"2023-11-14T22:13:20Z","org.opencontainers.image.description":"a chart","org.opencontainers.image.title":"app","org.opencontainers.image.version":"1.2.3+build.5"}}}}"#,
        config.len(),
        archive.len()
    );
    assert_eq!(String::from_utf8(served.bytes.to_vec()).unwrap(), expected);
    assert_eq!(world.blob("charts/app", &digest).unwrap(), archive);
    assert_eq!(report.images[0].image, "app 1.2.3+build.5");
    let again = world.ingest("whatever.bin", &archive);
    assert!(!again.wrote);
    assert_eq!(again.images[0].state, "already there");
}

#[test]
fn the_zenml_charts_answer_to_their_upstream_names_too() {
    let world = World::new();
    let report = world.ingest("zenml.tgz", &chart("zenml", "0.93.2"));
    assert_eq!(report.images[0].internal, ["charts/zenml:0.93.2", "public.ecr.aws/zenml/zenml:0.93.2"]);
    assert!(world.try_manifest("public.ecr.aws/zenml/zenml", "0.93.2").is_some());
    let other = world.ingest("other.tgz", &chart("other", "1.0.0"));
    assert_eq!(other.images[0].internal, ["charts/other:1.0.0"]);
}

#[test]
fn a_provenance_file_goes_along_from_a_folder_a_stream_or_beside_its_chart() {
    let archive = chart("app", "1.0.0");
    let digest = airdock_registry::oci::Algorithm::Sha256.digest(&archive);
    let provenance = [SIGNED, format!("files:\n  app-1.0.0.tgz: {digest}\n").as_bytes()].concat();
    let has_it = |world: &World| {
        let served = String::from_utf8(world.manifest("charts/app", "1.0.0").bytes.to_vec()).unwrap();
        assert!(served.contains("application/vnd.cncf.helm.chart.provenance.v1.prov"), "{served}");
        world.check_whole();
    };
    // Beside a chart that is an input itself.
    let world = World::new();
    world.file("app-1.0.0.tgz.prov", &provenance);
    world.ingest("app-1.0.0.tgz", &archive);
    has_it(&world);
    // In a folder.
    let folder = World::new();
    folder.file("charts/app-1.0.0.tgz.prov", &provenance);
    let path = folder.file("charts/app-1.0.0.tgz", &archive);
    folder.path(path.parent().unwrap());
    has_it(&folder);
    // In a stream, before or after the chart.
    let first = Tarball::new().file("b/charts/a.tgz.prov", &provenance).file("b/charts/a.tgz", &archive).end();
    let last = Tarball::new().file("b/charts/a.tgz", &archive).file("b/charts/a.tgz.prov", &provenance).end();
    let mut manifests = Vec::new();
    for bundle in [first, last] {
        let world = World::new();
        assert_eq!(failures(&world.pipe(&zstd(&bundle))), "");
        has_it(&world);
        manifests.push(world.manifest("charts/app", "1.0.0").digest);
    }
    assert_eq!(manifests[0], manifests[1]);
}

#[test]
fn a_provenance_file_of_another_archive_is_remarked() {
    let world = World::new();
    world.file("app-1.0.0.tgz.prov", SIGNED);
    let report = world.ingest("app-1.0.0.tgz", &chart("app", "1.0.0"));
    assert!(report.warnings[0].message.contains("another archive"), "{:?}", report.warnings);
}

#[test]
fn a_chart_without_chart_yaml_is_refused_and_an_open_one_is_left_out_with_a_word() {
    let told = World::new().refused("app-1.0.0.tgz", &chart_files(&[("app/values.yaml", b"a: 1\n")]));
    assert!(told.contains("Chart.yaml"), "{told}");
    let bundle = Tarball::new()
        .file("b/charts/open/Chart.yaml", b"name: open\nversion: 1.0.0\n")
        .file("b/charts/open/charts/sub/Chart.yaml", b"name: sub\nversion: 1.0.0\n")
        .file("b/charts/app.tgz", &chart("app", "1.0.0"));
    let world = World::new();
    let report = world.pipe(&bundle.end());
    assert_eq!(report.warnings.len(), 1, "{:?}", report.warnings);
    assert!(report.warnings[0].message.contains("helm package"));
}

#[test]
fn a17_hostile_charts_are_refused_with_the_file_and_the_cause() {
    let yaml = |text: &str| chart_files(&[("app/Chart.yaml", text.as_bytes())]);
    let huge = [b"name: app\nversion: 1.0.0\ndescription: ".as_slice(), &vec![b'x'; 6 << 20]].concat();
    let two =
        chart_files(&[("a/Chart.yaml", b"name: a\nversion: 1.0.0"), ("b/Chart.yaml", b"name: b\nversion: 1.0.0")]);
    let laughs: String =
        (1..12).map(|n| format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 10].join(","))).collect();
    for (archive, cause) in [
        (yaml("name: ..\nversion: 1.0.0"), "name"),
        (yaml("name: .\nversion: 1.0.0"), "name"),
        (yaml("name: APP\nversion: 1.0.0"), "repository"),
        (yaml("name: app\nversion: 1.0.0\nname: [again]"), "Chart.yaml"),
        (yaml("name: app\nversion: 1.0.0\ndependencies: [null]"), "dependency"),
        (yaml(&format!("name: app\nversion: 1.0.0\na0: &a0 [x]\n{laughs}")), "Chart.yaml"),
        (yaml(&format!("name: app\nversion: 1.0.0\nx: {}", "[".repeat(100_000))), "Chart.yaml"),
        (yaml("name: app"), "version"),
        (yaml("name: app\nversion: 1.0.0!"), "tag"),
        (chart_files(&[("app/Chart.yaml", &huge)]), "limit"),
        (two, "several"),
    ] {
        let told = World::new().refused("app.tgz", &archive);
        assert!(told.contains("app.tgz") && told.contains(cause), "{cause}: {told}");
    }
}

#[test]
fn a_chart_cut_short_or_grown_too_large_is_refused() {
    let archive = chart_files(&[
        ("app/Chart.yaml", b"name: app\nversion: 1.0.0\n"),
        ("app/templates/x.yaml", &testkit::content::bytes(5, 100_000)),
    ]);
    for end in [archive.len() - 1, archive.len() / 2, 3000] {
        let told = World::new().refused("app.tgz", &archive[..end]);
        assert!(told.contains("incomplete") || told.contains("damaged"), "{told}");
    }
    let mut world = World::new();
    world.settings.limits.chart = 10_000;
    let told = format!("{:?}", world.try_ingest("app.tgz", &archive));
    assert!(told.contains("ingest.limits.chart"), "{told}");
    let bomb =
        Tarball::new().file("app/Chart.yaml", b"name: app\nversion: 1.0.0\n").file("app/zeros", &vec![0; 101 << 20]);
    let told = World::new().refused("app.tgz", &gzip(&bomb.end()));
    assert!(told.contains("unpacks to"), "{told}");
}

#[test]
fn d02_a_provenance_file_that_is_a_link_or_a_pipe_is_left_out_and_named() {
    let archive = chart("app", "1.0.0");
    let secret = b"-----BEGIN PRIVATE KEY-----";
    let digest = airdock_registry::oci::Algorithm::Sha256.digest(secret);
    for (kind, why) in [("link", "symbolic link"), ("pipe", "named pipe"), ("folder", "folder"), ("device", "link")] {
        let world = World::new();
        let outside = world.folder.path().join("secret");
        std::fs::write(&outside, secret).unwrap();
        let given = world.file("app-1.0.0.tgz", &archive);
        let beside = given.with_file_name("app-1.0.0.tgz.prov");
        match kind {
            "link" => symlink(&outside, &beside).unwrap(),
            "pipe" => fifo(&beside),
            "device" => symlink("/dev/zero", &beside).unwrap(),
            _ => std::fs::create_dir(&beside).unwrap(),
        }
        let report = world.path(&given);
        assert_eq!(failures(&report), "", "{kind}");
        assert!(world.blob("charts/app", &digest).is_none(), "{kind}: a file outside the bundle is served");
        let served = String::from_utf8(world.manifest("charts/app", "1.0.0").bytes.to_vec()).unwrap();
        assert!(!served.contains("provenance"), "{kind}: {served}");
        let [warning] = report.warnings.as_slice() else { panic!("{kind}: {:?}", report.warnings) };
        assert!(warning.file.ends_with("app-1.0.0.tgz.prov") && warning.message.contains(why), "{kind}: {warning}");
    }
}

#[test]
fn d02_links_out_of_a_folder_and_what_is_no_file_in_it_are_left_out_and_named() {
    let archive = chart("app", "1.0.0");
    let world = World::new();
    let outside = world.folder.path().join("secret");
    std::fs::write(&outside, b"a secret").unwrap();
    let folder = world.file("bundle/app-1.0.0.tgz", &archive).parent().unwrap().to_owned();
    let names = ["app-1.0.0.tgz.prov", "manifest.txt", "inventory.txt", "inventory.txt.sig", "part.tar"];
    for (at, name) in names.iter().enumerate() {
        if at % 2 == 0 { symlink(&outside, folder.join(name)).unwrap() } else { fifo(&folder.join(name)) }
    }
    let report = world.path(&folder);
    assert_eq!(failures(&report), "");
    let told: Vec<_> = report.warnings.iter().map(ToString::to_string).collect();
    for name in names {
        assert_eq!(
            told.iter().filter(|line| line.contains(&format!("{name}: left out"))).count(),
            1,
            "{name}: {told:?}"
        );
    }
    let digest = airdock_registry::oci::Algorithm::Sha256.digest(b"a secret");
    assert!(world.blob("charts/app", &digest).is_none());
}

/// What real tools packed: the charts that were reported, and the config Helm 3.22 and Helm 4.3 push for each.
const REPORTED: [(&str, &str, &str); 11] = [
    ("h8-keda-1.3.2-backslashes", "keda:1.3.2", r#"{"name":"keda","version":"1.3.2","apiVersion":"v2"}"#),
    (
        "h9-kuma-duplicate-entries",
        "kuma:2.1.0",
        r#"{"name":"kuma","version":"2.1.0","apiVersion":"v2","dependencies":[{"name":"B","version":"1.0.0","repository":"file://../B"}]}"#,
    ),
    (
        "h10-annotation-null-flow",
        "n17:1.0.0",
        r#"{"name":"n17","version":"1.0.0","apiVersion":"v2","annotations":{"artifacthub.io/changes":"","artifacthub.io/prerelease":"false"}}"#,
    ),
    (
        "h10-annotation-null",
        "k10:1.0.0",
        r#"{"name":"k10","version":"1.0.0","apiVersion":"v2","annotations":{"e":""}}"#,
    ),
    (
        "h10-dependency-enabled-null",
        "n7:1.0.0",
        r#"{"name":"n7","version":"1.0.0","apiVersion":"v2","dependencies":[{"name":"b","version":"1","repository":""}]}"#,
    ),
    ("h10-deprecated-null", "n5:1.0.0", r#"{"name":"n5","version":"1.0.0","apiVersion":"v2"}"#),
    ("h10-duplicate-key", "dupkey:1.0.1", r#"{"name":"dupkey","version":"1.0.1","apiVersion":"v2"}"#),
    (
        "h10-multiline-description",
        "n21:1.0.0",
        r#"{"name":"n21","version":"1.0.0","description":"a b ","apiVersion":"v2"}"#,
    ),
    (
        "h10-sources-null-item",
        "n2:1.0.0",
        r#"{"name":"n2","sources":["https://a",""],"version":"1.0.0","apiVersion":"v2"}"#,
    ),
    ("h10-trailing-document-marker", "n15:1.0.0", r#"{"name":"n15","version":"1.0.0","apiVersion":"v2"}"#),
    (
        "h10-v1-requirements",
        "oldchart:1.0.0",
        r#"{"name":"oldchart","version":"1.0.0","apiVersion":"v1","appVersion":"1","dependencies":[{"name":"B","version":"1.0.0","repository":"https://example.com/charts"}]}"#,
    ),
];

/// An input of the cases.
fn case(name: &str) -> Vec<u8> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/cases");
    std::fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn b11_charts_that_helm_takes_are_taken_with_the_config_helm_pushes() {
    for (file, reference, config) in REPORTED {
        let archive = case(&format!("{file}.tgz"));
        let (name, version) = reference.split_once(':').unwrap();
        let folder = World::new();
        folder.file(&format!("bundle/charts/{file}.tgz"), &archive);
        let stream = World::new();
        let bundle = Tarball::new().file(&format!("bundle/charts/{file}.tgz"), &archive).end();
        let worlds = [(World::new(), None), (folder, Some("media/bundle")), (stream, None)].into_iter().enumerate();
        for (way, (world, path)) in worlds {
            let report = match (way, path) {
                (0, _) => world.ingest(&format!("{file}.tgz"), &archive),
                (_, Some(path)) => world.path(&world.folder.path().join(path)),
                _ => world.pipe(&gzip(&bundle)),
            };
            assert_eq!((failures(&report), report.warnings.len()), (String::new(), 0), "{file}");
            let served = world.manifest(&format!("charts/{name}"), version);
            let manifest = airdock_registry::oci::Manifest::parse(served.bytes, Some(served.media_type)).unwrap();
            let found = world.blob(&format!("charts/{name}"), &manifest.config().unwrap().digest).unwrap();
            assert_eq!(String::from_utf8(found).unwrap(), config, "{file}");
            world.check_whole();
        }
    }
}

#[test]
fn b11_a_chart_that_a_browser_unpacked_goes_in_and_its_digest_is_said_to_be_another() {
    let tar = case("h10-safari-gunzipped-chart.tar");
    let mut digests = Vec::new();
    for way in 0..3 {
        let world = World::new();
        let report = match way {
            0 => world.ingest("safari-1.0.0.tar", &tar),
            1 => world.pipe(&tar),
            _ => world.pipe(&zstd(&Tarball::new().file("bundle/charts/safari.tar", &tar).end())),
        };
        assert_eq!(failures(&report), "", "{way}");
        assert!(format!("{:?}", report.images[0]).contains("packed again"), "{:?}", report.images[0]);
        digests.push(world.tags());
        world.check_whole();
    }
    assert!(digests[0].len() == 1 && digests.iter().all(|tags| *tags == digests[0]), "{digests:?}");
    // A bundle with an open chart in front stays a bundle.
    let bundle = Tarball::new()
        .file("bundle/Chart.yaml", b"name: bundle\nversion: 1.0.0\n")
        .file("bundle/images.tar", &testkit::archive::save_docker_20(&[testkit::image::Image::new(&["a:1"], &[1])]));
    let world = World::new();
    let report = world.ingest("bundle.tar", &bundle.end());
    assert_eq!(report.images.len(), 1, "{report:?}");
    assert_eq!(world.tags().len(), 1);
}

#[test]
fn b11_an_error_about_a_chart_names_the_line_and_no_library() {
    let yaml = |text: &str| chart_files(&[("app/Chart.yaml", text.as_bytes())]);
    for (text, cause) in [
        ("name: app\nversion: 1.0.0\nkeywords: [a", "line 3"),
        ("name: app\nversion: 1.0.0\n  x: 'a", "is no YAML"),
        ("name: app\nversion: 1.0.0\nkeywords: a", "its `keywords` is a text where Helm reads a list"),
        ("name: app\nversion: 1.0.0\nx: *none", "line 3"),
        ("name: app\nversion: 1.0.0\n<<: 1", "line 3 merges"),
        ("name: app\nversion: 1.0.0\ntype: app", "neither `application` nor `library`"),
        ("name: app\nversion: 1.0.0\ndescription: \u{1}", "line 3 has a control character"),
    ] {
        let told = World::new().refused("app.tgz", &yaml(text));
        assert!(told.contains(cause) && told.contains("app/Chart.yaml"), "{cause}: {told}");
        for word in ["serde", "granit", "saphyr", "mapping values", "unexpected", "expected", "invalid type"] {
            assert!(!told.contains(word), "{word}: {told}");
        }
    }
}
