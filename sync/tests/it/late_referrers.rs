//! B5: signatures and referrers that come later than their image find it: in one ingest or in several, as a mount, in every
//! repository that has the image.

use airdock_registry::oci::{Algorithm, Digest};
use airdock_sync::ingest::{Naming, Report};

use testkit::archive::{index_of, layout};
use testkit::image::{Image, Remote, referrer};
use testkit::ingest::{World, failures};
use testkit::manifest::{MANIFEST, about, image};

const REF_NAME: &str = r#""org.opencontainers.image.ref.name""#;

/// An image, a signature under cosign's tag, an artifact about it, and an artifact about that one.
struct Signed {
    remote: Remote,
    signature: Remote,
    about_it: Vec<u8>,
    about_that: Vec<u8>,
}

fn digest(content: &[u8]) -> String {
    Algorithm::Sha256.digest(content).to_string()
}

impl Signed {
    fn new() -> Self {
        let remote = Remote::new(1);
        let about_it = referrer(&remote);
        let about_that = image(&[], &format!(r#","artifactType":"c/d"{}"#, about(&about_it))).into_bytes();
        Self { remote, signature: Remote::new(2), about_it, about_that }
    }

    fn tag(&self) -> String {
        format!("sha256-{}.sig", self.remote.digest().encoded())
    }

    fn image(&self) -> Vec<u8> {
        let named = r#""io.containerd.image.name":"docker.io/zenmldocker/zenml:1""#;
        layout("", &self.remote.parts(), &index_of(&[(&self.remote.manifest, MANIFEST, named)])).end()
    }

    /// What belongs to it, without the image. What is about another artifact comes before that.
    fn rest(&self) -> Vec<u8> {
        let parts = [self.signature.parts(), vec![&self.about_it, &self.about_that, b"{}"]].concat();
        let entries: [(&[u8], &str, &str); 3] = [
            (&self.about_that, MANIFEST, ""),
            (&self.signature.manifest, MANIFEST, &format!(r#"{REF_NAME}:"{}""#, self.tag())),
            (&self.about_it, MANIFEST, ""),
        ];
        layout("", &parts, &index_of(&entries)).end()
    }

    fn check(&self, world: &World, repository: &str) {
        assert_eq!(world.manifest(repository, &self.tag()).bytes, self.signature.manifest, "{repository}");
        assert_eq!(world.referrers(repository, &self.remote.digest()), [Algorithm::Sha256.digest(&self.about_it)]);
        let subject = Algorithm::Sha256.digest(&self.about_it);
        assert_eq!(world.referrers(repository, &subject), [Algorithm::Sha256.digest(&self.about_that)], "{repository}");
    }
}

/// The repositories that the rows name, of the artifacts about the image.
fn named(report: &Report) -> Vec<String> {
    let mut all: Vec<String> =
        report.images.iter().flat_map(|row| std::iter::once(&row.image).chain(&row.internal)).cloned().collect();
    all.sort();
    all
}

#[test]
fn b5_what_belongs_to_an_image_finds_it_in_the_store_in_every_repository_that_has_it() {
    let signed = Signed::new();
    let pushed = "team/app";
    let world = World::new();
    world.ingest("image.tar", &signed.image());
    world.copy_as_a_client("zenml/zenml", "1", pushed);
    let report = world.ingest("rest.tar", &signed.rest());
    assert_eq!((failures(&report), report.warnings.len()), (String::new(), 0));
    let all = ["docker.io/zenmldocker/zenml", pushed, "zenml/zenml"];
    assert_eq!(world.repositories(), all, "nothing is left under `untagged`");
    let mut expected = Vec::new();
    for repository in all {
        signed.check(&world, repository);
        expected.push(format!("{repository}:{}", signed.tag()));
        expected.extend([&signed.about_it, &signed.about_that].map(|it| format!("{repository}@{}", digest(it))));
    }
    expected.sort();
    assert_eq!(named(&report), expected);
    // Again: nothing is new.
    let again = world.ingest("rest.tar", &signed.rest());
    assert_eq!((again.wrote, named(&again)), (false, expected));
}

#[test]
fn b5_one_ingest_of_both_and_one_of_each_give_the_same_names_and_rows() {
    let signed = Signed::new();
    let (together, apart) = (World::new(), World::new());
    let files = [("a.tar".to_owned(), signed.rest()), ("b.tar".to_owned(), signed.image())];
    let one = together.path(&together.files("bundle", &files.clone().into()));
    let mut several = apart.ingest("b.tar", &signed.image());
    several.images.extend(apart.ingest("a.tar", &signed.rest()).images);
    assert_eq!(together.tags(), apart.tags());
    assert_eq!(together.repositories(), apart.repositories());
    assert_eq!(named(&one), named(&several));
    signed.check(&together, "zenml/zenml");
    signed.check(&apart, "zenml/zenml");
}

#[test]
fn b5_a_mount_finds_the_image_in_the_store_and_an_ingest_that_on_a_medium() {
    let signed = Signed::new();
    for mounted_first in [false, true] {
        let world = World::new();
        let (image, rest) = (world.file("image.tar", &signed.image()), world.file("rest.tar", &signed.rest()));
        let report = if mounted_first {
            world.mount(&image);
            world.path(&rest)
        } else {
            world.path(&image);
            world.mount(&rest)
        };
        assert_eq!(failures(&report), "");
        assert_eq!(world.repositories(), ["docker.io/zenmldocker/zenml", "zenml/zenml"]);
        signed.check(&world, "docker.io/zenmldocker/zenml");
        signed.check(&world, "zenml/zenml");
        assert!(report.images.iter().all(|row| row.image.starts_with("docker.io/zenmldocker/zenml")), "{report:?}");
    }
    // Both on media, of which one is mounted after the other.
    let world = World::new();
    world.mount(&world.file("image.tar", &signed.image()));
    world.mount(&world.file("rest.tar", &signed.rest()));
    signed.check(&world, "zenml/zenml");
}

#[test]
fn b5_a_signature_of_what_is_nowhere_goes_to_the_base_name_or_says_what_to_do() {
    let signed = Signed::new();
    let world = World::new();
    let report = world.ingest("rest.tar", &signed.rest());
    assert_eq!(world.repositories(), ["untagged"]);
    let about = signed.remote.digest().to_string();
    let row = report.images.iter().find(|row| row.digest == signed.signature.digest().to_string()).unwrap();
    let note = row.note.clone().unwrap();
    assert!(note.contains(&about) && note.contains("ingest that"), "{note}");
    // Once the image is there, the same bundle finds it.
    world.ingest("image.tar", &signed.image());
    world.ingest("rest.tar", &signed.rest());
    signed.check(&world, "zenml/zenml");

    let mut based = World::new();
    based.settings.naming = Naming::new(None, Some("team/app")).unwrap();
    based.ingest("rest.tar", &signed.rest());
    signed.check(&based, "team/app");
    assert_eq!(based.repositories(), ["team/app"]);
}

#[test]
fn b5_artifacts_that_are_about_each_other_go_in_under_their_digests() {
    // No digest can name itself, but two tags can name each other's manifest.
    let (one, two) = (Remote::of(Image::new(&[], &[1])), Remote::of(Image::new(&[], &[2])));
    let tag = |of: Digest| format!(r#"{REF_NAME}:"sha256-{}.sig""#, of.encoded());
    let entries: [(&[u8], &str, &str); 2] =
        [(&one.manifest, MANIFEST, &tag(two.digest())), (&two.manifest, MANIFEST, &tag(one.digest()))];
    let world = World::new();
    let report = world.ingest("x.tar", &layout("", &[one.parts(), two.parts()].concat(), &index_of(&entries)).end());
    assert_eq!(failures(&report), "");
    for remote in [&one, &two] {
        assert!(world.try_manifest("untagged", &remote.digest().to_string()).is_some());
    }
}
