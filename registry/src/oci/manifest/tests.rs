//! Which manifests are taken, and what is read from them.

use super::*;

const EMPTY: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

fn parse(text: &str) -> Result<Manifest, InvalidManifest> {
    Manifest::parse(Bytes::copy_from_slice(text.as_bytes()), None)
}

fn image(extra: &str) -> String {
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"application/vnd.oci.empty.v1+json","digest":"{EMPTY}","size":2}},"layers":[]{extra}}}"#,
        MediaType::IMAGE_MANIFEST
    )
}

#[test]
fn an_image_without_layers_is_an_image() {
    let manifest = parse(&image("")).unwrap();
    assert_eq!(manifest.media_type().as_str(), MediaType::IMAGE_MANIFEST);
    assert_eq!(manifest.blobs().count(), 1);
    assert_eq!(manifest.artifact_type(), Some(MediaType::EMPTY));
}

#[test]
fn what_the_specifications_types_write_is_read_with_the_same_descriptors() {
    use oci_spec::image as spec;
    let described = |media_type: spec::MediaType, content: &[u8]| {
        let digest: spec::Digest = super::super::Algorithm::Sha256.digest(content).to_string().parse().unwrap();
        spec::Descriptor::new(media_type, content.len() as u64, digest)
    };
    let (config, layer) =
        (described(spec::MediaType::ImageConfig, b"{}"), described(spec::MediaType::ImageLayer, b"x"));
    let image = spec::ImageManifestBuilder::default()
        .schema_version(2u32)
        .media_type(spec::MediaType::ImageManifest)
        .config(config.clone())
        .layers(vec![layer.clone()])
        .subject(described(spec::MediaType::ImageManifest, b"subject"))
        .annotations([(spec::ANNOTATION_CREATED.to_owned(), "2026-11-01T00:00:00Z".to_owned())])
        .build()
        .unwrap()
        .to_string()
        .unwrap();
    let read = parse(&image).unwrap();
    let found: Vec<_> = read.blobs().map(|blob| (blob.digest.to_string(), blob.size)).collect();
    assert_eq!(found, [&config, &layer].map(|blob| (blob.digest().to_string(), blob.size())));
    assert_eq!(read.subject().unwrap().digest, super::super::Algorithm::Sha256.digest(b"subject"));
    assert!(read.annotations().unwrap().contains_key(crate::oci::annotation::CREATED));

    let platform = spec::PlatformBuilder::default().os(spec::Os::Linux).architecture(spec::Arch::ARM64).variant("v8");
    let mut child = described(spec::MediaType::ImageManifest, image.as_bytes());
    child.set_platform(Some(platform.build().unwrap()));
    let index = spec::ImageIndexBuilder::default().schema_version(2u32).media_type(spec::MediaType::ImageIndex);
    let index = parse(&index.manifests(vec![child]).build().unwrap().to_string().unwrap()).unwrap();
    let (child, platform) = index.children().next().unwrap();
    assert_eq!(child.digest, super::super::Algorithm::Sha256.digest(image.as_bytes()));
    assert_eq!(platform.unwrap().to_string(), "linux/arm64/v8");
}

#[test]
fn an_unknown_field_and_an_unknown_layer_type_are_taken() {
    let manifest = parse(&image(r#","x-custom":{"a":[1]}"#)).unwrap();
    assert_eq!(manifest.references().len(), 1);
}

#[test]
fn h14_a_manifest_that_reads_two_ways_is_refused() {
    assert_eq!(parse(&image(r#","manifests":[]"#)).unwrap_err(), InvalidManifest::Ambiguous);
    let twice = InvalidManifest::Field { field: "layers".into(), problem: FieldProblem::Twice };
    assert_eq!(parse(&image(r#","layers":[]"#)).unwrap_err(), twice);
    // Clients look at whether the field is there.
    assert_eq!(parse(&image(r#","manifests":null"#)).unwrap_err(), InvalidManifest::Ambiguous);
}

#[test]
fn h14_malformed_manifests_are_refused() {
    let size = |size: &str| image("").replace("\"size\":2", &format!("\"size\":{size}"));
    for bad in [
        String::new(),
        "[]".into(),
        "null".into(),
        format!("\u{feff}{}", image("")),
        format!("{}x", image("")),
        size("-1"),
        size("1e400"),
        size("NaN"),
        size("9223372036854775808"),
        size("2.5"),
        image("").replace(EMPTY, "sha256:abc"),
        image("").replace("\"schemaVersion\":2", "\"schemaVersion\":1"),
        image("").replace("\"schemaVersion\":2,", ""),
    ] {
        assert!(parse(&bad).is_err(), "{bad}");
    }
}

/// The corpus of `registry/fuzz`.
#[test]
fn the_fuzz_corpus_is_read_or_refused_and_never_changed() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/manifest");
    let mut taken = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        let bytes = Bytes::from(std::fs::read(entry.unwrap().path()).unwrap());
        if let Ok(manifest) = Manifest::parse(bytes.clone(), None) {
            assert_eq!(manifest.bytes(), &bytes);
            taken += 1;
        }
    }
    assert!(taken >= 2, "only {taken} of the corpus are manifests");
}

#[test]
fn h17_deep_nesting_is_refused_without_overflow() {
    let deep = image(&format!(",\"x\":{}{}", "[".repeat(10_000), "]".repeat(10_000)));
    assert_eq!(parse(&deep).unwrap_err(), InvalidManifest::TooDeep);
    let quoted = image(&format!(",\"x\":\"{}\\\"[\"", "[".repeat(10_000)));
    assert!(parse(&quoted).is_ok(), "brackets in a string are no nesting");
}

#[test]
fn h18_schema_1_is_refused() {
    let schema1 = r#"{"schemaVersion":1,"name":"x","fsLayers":[]}"#;
    let pushed = "application/vnd.docker.distribution.manifest.v1+prettyjws".parse().unwrap();
    let refused = Manifest::parse(Bytes::from_static(schema1.as_bytes()), Some(pushed));
    assert_eq!(refused.unwrap_err(), InvalidManifest::Schema1);
}

#[test]
fn a_manifest_without_media_type_takes_the_pushed_one_or_its_shape() {
    let without = image("").replace(&format!("\"mediaType\":\"{}\",", MediaType::IMAGE_MANIFEST), "");
    assert_eq!(parse(&without).unwrap().media_type().as_str(), MediaType::IMAGE_MANIFEST);
    let docker = MediaType::DOCKER_MANIFEST.parse().unwrap();
    let manifest = Manifest::parse(Bytes::from(without), Some(docker)).unwrap();
    assert_eq!(manifest.media_type().as_str(), MediaType::DOCKER_MANIFEST);
}

#[test]
fn a_type_other_than_the_pushed_one_is_refused() {
    let pushed = MediaType::DOCKER_MANIFEST.parse().unwrap();
    let refused = Manifest::parse(Bytes::from(image("")), Some(pushed));
    assert!(matches!(refused, Err(InvalidManifest::TypeMismatch { .. })));
}

#[test]
fn foreign_layers_are_told_apart() {
    let layer = |kind: &str, urls: &str| {
        image("").replace(
            "\"layers\":[]",
            &format!(r#""layers":[{{"mediaType":"{kind}","digest":"{EMPTY}","size":2{urls}}}]"#),
        )
    };
    let foreign = |text: &str| matches!(parse(text).unwrap().references()[1], Reference::ForeignBlob(_));
    assert!(foreign(&layer("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "")));
    assert!(foreign(&layer(MediaType::IMAGE_LAYER, r#","urls":["https://example.com/x"]"#)));
    assert!(!foreign(&layer(MediaType::IMAGE_LAYER, "")));
}

/// What is refused, with the field that the error names.
#[test]
fn d11_what_go_reads_otherwise_is_refused_with_the_field_named() {
    let descriptor = format!(r#"{{"mediaType":"a/b","digest":"{EMPTY}","size":2}}"#);
    let layer = |more: &str| {
        let layer = format!(r#"{}{more}}}"#, descriptor.strip_suffix('}').unwrap());
        image("").replace("\"layers\":[]", &format!("\"layers\":[{descriptor},{layer}]"))
    };
    let other = r#""sha256:0000000000000000000000000000000000000000000000000000000000000000""#;
    for (manifest, field) in [
        (image(r#","LAYERS":[]"#), "LAYERS"),
        (image(r#","layer\u017f":[]"#), "layer\u{17f}"),
        (image(r#","Config":{}"#), "Config"),
        (image(&format!(r#","SUBJECT":{descriptor}"#)), "SUBJECT"),
        (image(r#","\u0061nnotations":{},"annotations":{}"#), "annotations"),
        (image(r#","artifactType":1"#), "artifactType"),
        (image(r#","annotations":{"a":1}"#), "annotations"),
        (image(r#","annotations":[]"#), "annotations"),
        (image(r#","subject":[]"#), "subject"),
        (image(r#","subject":{}"#), "subject.digest"),
        (image("").replace("\"layers\":[]", "\"layers\":{}"), "layers"),
        (image("").replace("\"layers\":[]", "\"layers\":[null]"), "layers[0]"),
        (image("").replace("\"layers\":[]", "\"layers\":[[\"a/b\",\"sha256:00\",2]]"), "layers[0]"),
        (image("").replace("\"schemaVersion\":2", "\"schemaVersion\":2.0"), "schemaVersion"),
        (layer(&format!(r#","DIGEST":{other}"#)), "layers[1].DIGEST"),
        (layer(&format!(r#","digest":{other}"#)), "layers[1].digest"),
        (layer(r#","\u017fize":3"#), "layers[1].\u{17f}ize"),
        (layer(r#","urls":"https://example.com""#), "layers[1].urls"),
        (layer(r#","platform":[]"#), "layers[1].platform"),
        (layer(r#","platform":{"OS":"windows"}"#), "layers[1].platform.OS"),
        (layer(r#","platform":{"os.features":"win32k"}"#), "layers[1].platform.os.features"),
        (layer(r#","platform":{"o\u017f":"windows"}"#), "layers[1].platform.o\u{17f}"),
        (layer(r#","data":[123,125]"#), "layers[1].data"),
        (layer(r#","data":"e30""#), "layers[1].data"),
        (layer(r#","data":"e31=""#), "layers[1].data"),
        (layer(r#","data":"""#), "layers[1].data"),
    ] {
        match parse(&manifest) {
            Err(InvalidManifest::Field { field: named, .. }) => assert_eq!(named, field, "{manifest}"),
            read => panic!("{manifest}: {read:?}"),
        }
    }
    // What is in the same place and harmless.
    for manifest in [
        layer(r#","data":"e30=""#),
        layer(r#","data":"e3\n0=\r\n""#),
        layer(r#","data":null,"urls":null,"platform":null,"annotations":null,"artifactType":null"#),
        layer(r#","x-LAYERS":1,"x-LAYERS":2,"\u212aelvin":3"#),
        layer(r#","annotations":{"DIGEST":"a","digest":"b"}"#),
        image(r#","annotations":{"a":"b","A":"c"},"subject":null,"LAYER":[]"#),
    ] {
        assert!(parse(&manifest).is_ok(), "{manifest}: {:?}", parse(&manifest));
    }
}

#[test]
fn d20_descriptors_of_one_digest_agree() {
    let descriptor = |kind: &str, size: u64| format!(r#"{{"mediaType":"{kind}","digest":"{EMPTY}","size":{size}}}"#);
    let index = |descriptors: &[String]| format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, descriptors.join(","));
    let (oci, docker) = (MediaType::IMAGE_MANIFEST, MediaType::DOCKER_MANIFEST);
    for disagreeing in [[descriptor(oci, 2), descriptor(oci, 3)], [descriptor(oci, 2), descriptor(docker, 2)]] {
        assert!(matches!(parse(&index(&disagreeing)), Err(InvalidManifest::Disagreement(_))), "{disagreeing:?}");
    }
    for agreeing in [[descriptor(oci, 2), descriptor(oci, 2)], [descriptor("a/b", 2), descriptor("c/d", 2)]] {
        assert!(parse(&index(&agreeing)).is_ok());
    }
}

#[test]
fn d01_what_one_manifest_names_is_bounded() {
    let of = |count: usize| {
        let layer = format!(r#"{{"mediaType":"a/b","digest":"{EMPTY}","size":2,"urls":["https://example.com"]}}"#);
        image("").replace("\"layers\":[]", &format!("\"layers\":[{}]", vec![layer; count].join(",")))
    };
    assert_eq!(parse(&of(MAX_REFERENCES)).unwrap().references().len(), MAX_REFERENCES + 1);
    let refused = parse(&of(MAX_REFERENCES + 1)).unwrap_err();
    assert_eq!(refused, InvalidManifest::Field { field: "layers".into(), problem: FieldProblem::TooMany });
    assert_eq!(refused.to_string(), "the manifest's `layers` has more than 5000 entries, the most of one manifest");
}

#[test]
fn d18_what_a_browser_could_take_for_a_page_is_no_manifest() {
    for bad in ["text/html", "image/svg+xml", "text/plain"] {
        let refused = Manifest::parse(Bytes::from_static(b"{}"), bad.parse().ok()).unwrap_err();
        assert_eq!(refused, InvalidManifest::Type(bad.parse().unwrap()));
        assert_eq!(parse(&format!(r#"{{"mediaType":"{bad}"}}"#)).unwrap_err(), refused);
    }
    assert!(Manifest::parse(Bytes::from_static(b"{}"), "application/json".parse().ok()).is_ok());
}

#[test]
fn errors_say_what_is_wrong_in_our_own_words() {
    for (manifest, text) in [
        ("[]", "the manifest is not a JSON object"),
        ("null", "the manifest is not a JSON object"),
        ("{\"a\":\n 1,}", "the manifest is not valid JSON at line 2, column 4"),
        (r#"{"config":1}"#, "the manifest's `config` must be an object"),
        (
            r#"{"layers":[{"digest":"sha256:0"}]}"#,
            "the manifest's `layers[0].digest` is not one that can be checked: a sha256 digest has 64 hex characters, found 1",
        ),
        (
            r#"{"layers":[{"DIGEST":""}]}"#,
            "the manifest's `layers[0].DIGEST` is taken for `digest` by some clients and not by others; spell it exactly so, or leave it out",
        ),
    ] {
        assert_eq!(parse(manifest).unwrap_err().to_string(), text);
    }
}
