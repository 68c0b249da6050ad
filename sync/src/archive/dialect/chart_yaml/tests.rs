//! Tests of reading charts: by hand. `sync/tests/it/helm.rs` compares with both Helms.

use super::*;

fn parse(yaml: &[u8]) -> Result<Metadata, Fault> {
    let mut metadata = Metadata::default();
    metadata.read(yaml)?;
    metadata.finish()
}

#[test]
fn the_config_is_what_go_would_write() {
    let yaml = "apiVersion: v2\nname: app\nversion: 1.2.3+build\nappVersion: 1.10\ndescription: a <b> & c\ntype: application\n\
                maintainers: [{name: Jo, email: jo@example.com}, {name: Al}]\nsources: [https://a, https://b]\nunknown: {x: 1}\n\
                dependencies: [{name: d, version: 1.x.x, repository: '', import-values: [data, {child: a, parent: b}]}]\n\
                annotations: {org.opencontainers.image.title: other, z: '1', a: '2'}\nkeywords:\nhome:\n";
    let metadata = parse(yaml.as_bytes()).unwrap();
    assert_eq!(
        String::from_utf8(metadata.config().unwrap()).unwrap(),
        r#"{"name":"app","sources":["https://a","https://b"],"version":"1.2.3+build","description":"a \u003cb\u003e \u0026 c","maintainers":[{"name":"Jo","email":"jo@example.com"},{"name":"Al"}],"apiVersion":"v2","appVersion":"1.1","annotations":{"a":"2","org.opencontainers.image.title":"other","z":"1"},"dependencies":[{"name":"d","version":"1.x.x","repository":"","import-values":["data",{"child":"a","parent":"b"}]}],"type":"application"}"#
    );
    let annotations = metadata.oci_annotations("2026-11-01T00:00:00Z");
    let shown: Vec<_> = annotations.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(
        shown,
        [
            "a=2",
            "org.opencontainers.image.authors=Jo (jo@example.com), Al",
            "org.opencontainers.image.created=2026-11-01T00:00:00Z",
            "org.opencontainers.image.description=a <b> & c",
            "org.opencontainers.image.source=https://a",
            "org.opencontainers.image.title=app",
            "org.opencontainers.image.version=1.2.3+build",
            "z=1",
        ]
    );
}

#[test]
fn a17_hostile_charts_are_refused() {
    let chart = |rest: &str| format!("apiVersion: v2\nname: app\nversion: 1.0.0\n{rest}");
    let laughs: String =
        (1..12).map(|n| format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 10].join(","))).collect();
    for (bad, why) in [
        ("name: ..\nversion: 1.0.0".to_owned(), "traversal"),
        ("name: .\nversion: 1.0.0".into(), "dot"),
        ("name: a/b\nversion: 1.0.0".into(), "slash"),
        ("version: 1.0.0".into(), "no name"),
        ("name: app".into(), "no version"),
        ("name: app\nversion: latest".into(), "no version"),
        (chart("dependencies: [null]"), "null dependency"),
        (chart(&format!("a0: &a0 [x]\n{laughs}")), "billion laughs"),
        (chart(&format!("x: {}{}", "[".repeat(5000), "]".repeat(5000))), "deep nesting"),
        ("[]".into(), "no mapping"),
        (String::new(), "empty"),
        ("\u{0}".into(), "zero byte"),
    ] {
        assert!(parse(bad.as_bytes()).is_err(), "{why}");
    }
    assert!(parse(b"name: \xff").is_err());
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_or_refused_without_panic(bytes: Vec<u8>, text in "(name: [a-z]{1,3}|version: [0-9.]{1,4}|[a-z:&*\\[\\]{} \\-]{0,20}|\n){0,10}") {
        let _ = parse(&bytes);
        let _ = parse(text.as_bytes());
    }
}
