//! The example bundle, made by real tools.

use testkit::bundle::example;
use testkit::ingest::World;

#[test]
fn the_example_bundle_goes_in_under_all_its_names() {
    let world = World::new();
    let report = world.path(&example());
    assert_eq!(report.failures, []);
    assert_eq!(report.warnings, []);
    assert_eq!(report.images.len(), 6);
    assert!(report.wrote);
    for (name, tag) in [
        ("715803424590.dkr.ecr.eu-west-1.amazonaws.com/zenml-pro-api", "0.13.2"),
        ("europe-west3-docker.pkg.dev/zenml-cloud/zenml-pro/zenml-pro-api", "0.13.2"),
        ("zenml/zenml-pro-api", "0.13.2"),
        ("zenml/zenml-pro-dashboard", "0.13.2"),
        ("zenml/zenml-pro-server", "0.93.2"),
        ("715803424590.dkr.ecr.eu-central-1.amazonaws.com/zenml-pro-server", "0.93.2"),
        ("docker.io/zenmldocker/zenml", "0.93.2"),
        ("zenmldocker/zenml", "0.93.2"),
        ("zenml/zenml", "0.93.2"),
        ("charts/zenml", "0.93.2"),
        ("charts/zenml-pro", "0.13.2"),
        ("public.ecr.aws/zenml/zenml-pro", "0.13.2"),
    ] {
        assert!(world.try_manifest(name, tag).is_some(), "{name}:{tag}");
    }
    world.check_whole();
    let rows = |name: &str| report.images.iter().find(|row| row.image.contains(name)).unwrap();
    assert_eq!(rows("zenml-pro-server").platforms, ["linux/amd64"]);
    assert!(rows("zenml-pro-server").note.as_ref().unwrap().contains("lost the registry's digest"));
    assert!(rows("zenml-pro-api").note.as_ref().unwrap().contains("lost the registry's digest"));
    assert_eq!(rows("zenml-pro 0.13.2").note.as_deref(), Some("with its provenance file"));
    assert_eq!(rows("zenml-pro-api").state, "new");
}

#[test]
fn the_same_bundle_again_writes_nothing_and_reads_little() {
    let world = World::new();
    let first = world.path(&example());
    let tags = world.tags();
    let second = world.path(&example());
    assert!(!second.wrote);
    assert!(second.images.iter().all(|row| row.state == "already there"), "{:?}", second.images);
    assert_eq!(world.tags(), tags);
    assert!(second.bytes_read <= first.bytes_read);
}

#[test]
fn docker_20_and_docker_26_saved_layers_that_are_there_once() {
    let world = World::new();
    world.path(&example());
    let layer = |name: &str| {
        let manifest: serde_json::Value = serde_json::from_slice(&world.manifest(name, "0.93.2").bytes).unwrap();
        manifest["layers"][0]["digest"].as_str().unwrap().to_owned()
    };
    assert_eq!(layer("zenml/zenml"), layer("zenml/zenml-pro-server"));
}
