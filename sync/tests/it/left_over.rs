//! Nothing is left behind without a word: every blob and document of a bundle ends in an item, a warning or a failure.

use airdock_registry::oci::Algorithm;
use airdock_sync::ingest::{Cancel, IngestError, Input, Report, inventory};

use testkit::archive::{
    Files, index_of, save_directory, save_docker_20, save_docker_26, save_kaniko, save_podman, save_storage, tarred,
    untarred,
};
use testkit::content::{gzip, hex};
use testkit::image::{Image, Remote};
use testkit::ingest::{World, failures};
use testkit::manifest::MANIFEST;

/// The paths of a layout with these images, each called by its name.
fn layout(folder: &str, images: &[(&str, &Remote)]) -> Files {
    let mut files = Files::new();
    let mut entries = Vec::new();
    for (name, image) in images {
        for part in image.parts() {
            files.insert(format!("{folder}blobs/sha256/{}", hex(part)), part.to_vec());
        }
        entries.push((image.manifest.as_slice(), MANIFEST, format!(r#""io.containerd.image.name":"{name}""#)));
    }
    let entries: Vec<_> = entries.iter().map(|(manifest, kind, name)| (*manifest, *kind, name.as_str())).collect();
    files.insert(format!("{folder}index.json"), index_of(&entries));
    files.insert(format!("{folder}oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec());
    files
}

/// Every dialect, below a folder of its own.
fn dialects() -> Vec<(&'static str, Files)> {
    let image = Image::new(&["ghcr.io/a/docker:1"], &[1, 2]);
    let one = std::slice::from_ref(&image);
    let below = |tar: Vec<u8>| untarred(&tar).into_iter().map(|(path, file)| (format!("m/{path}"), file)).collect();
    let mut directory = Files::new();
    save_directory(&mut directory, "m/registry.example/team/app:1", &Remote::new(4).manifest, &[&Remote::new(4)]);
    let mut storage = Files::new();
    let stored = Remote::new(5);
    let blobs: Vec<&[u8]> = stored.blobs.iter().map(Vec::as_slice).collect();
    save_storage(&mut storage, "m/v2/", "team/db", &[("1", &stored.manifest)], &[], &blobs);
    vec![
        ("docker 20", below(save_docker_20(one))),
        ("docker 26", below(save_docker_26(one))),
        ("podman", below(save_podman(one))),
        ("kaniko", below(save_kaniko(&image))),
        ("layout", layout("m/", &[("ghcr.io/a/layout:1", &Remote::new(3))])),
        ("dir", directory),
        ("storage", storage),
    ]
}

/// A file that no tool needs to explain: it holds no content.
fn is_bookkeeping(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap();
    ["VERSION", "json", "repositories", "version", "startedat", "link"].contains(&name) || path.contains("/_uploads/")
}

/// Ingests these from a folder, a tar and a pipe.
fn each_way(files: &Files) -> [(World, Result<Report, IngestError>); 3] {
    let tar = tarred(files);
    let worlds = [World::new(), World::new(), World::new()];
    let outcomes = [
        worlds[0].try_path(&worlds[0].files("medium", files)),
        worlds[1].try_ingest("medium.tar", &tar),
        worlds[2].try_pipe(std::io::Cursor::new(gzip(&tar))),
    ];
    let mut outcomes = outcomes.into_iter();
    worlds.map(|world| (world, outcomes.next().unwrap()))
}

/// Every notice, one a line.
fn told(outcome: &Result<Report, IngestError>) -> String {
    match outcome {
        Ok(report) => report.warnings.iter().chain(&report.failures).map(|notice| format!("{notice}\n")).collect(),
        Err(IngestError::Nothing { failures } | IngestError::Strict { failures }) => {
            failures.iter().map(|notice| format!("{notice}\n")).collect()
        }
        Err(error) => panic!("{error:?}"),
    }
}

/// Whether anything is said of a file: it is served, or a notice is about the folder that it is in.
fn is_accounted_for(world: &World, outcome: &Result<Report, IngestError>, path: &str, content: &[u8]) -> bool {
    let digest = Algorithm::Sha256.digest(content);
    let served = outcome.iter().flat_map(|report| &report.images).any(|row| {
        let name = row.internal.first().unwrap_or(&row.image);
        let repository = name.split_once('@').or_else(|| name.rsplit_once(':')).unwrap().0;
        world.blob(repository, &digest).is_some() || world.try_manifest(repository, &digest.to_string()).is_some()
    });
    let told = told(outcome);
    // The file of a notice ends before the first blank; the folder of a tar follows that.
    let folders: Vec<&str> = path.rmatch_indices('/').map(|(at, _)| &path[..at]).collect();
    let is_about = |line: &str| {
        let (file, said) = line.split_once(": ").unwrap();
        let within = said.split(": ").next().unwrap();
        folders.iter().any(|folder| file.ends_with(&format!("/{folder}")) || within == *folder)
    };
    served || told.lines().any(|line| is_about(line) || line.contains(&hex(content)))
}

#[test]
fn rule_2b_without_any_one_of_its_documents_every_blob_is_told_of() {
    for (dialect, files) in dialects() {
        let documents = ["manifest.json", "index.json", "oci-layout", "current/link"];
        let whole = each_way(&files);
        for (_, outcome) in &whole {
            let report = outcome.as_ref().unwrap();
            assert_eq!((failures(report).as_str(), report.warnings.as_slice()), ("", &[][..]), "{dialect}");
        }
        for document in files.keys().filter(|path| documents.iter().any(|name| path.ends_with(name))) {
            let mut cut = files.clone();
            cut.remove(document);
            for (world, outcome) in each_way(&cut) {
                let is_read = |path: &String| outcome.is_ok() && documents.iter().any(|name| path.ends_with(name));
                for (path, content) in cut.iter().filter(|(path, _)| !is_bookkeeping(path) && !is_read(path)) {
                    let told = told(&outcome);
                    let is_told = is_accounted_for(&world, &outcome, path, content);
                    assert!(is_told, "{dialect} without {document}: nothing is said of {path}: {told}");
                }
                // Whatever went in by another record, nothing is believed to be whole that is not.
                if outcome.is_ok() {
                    world.check_whole();
                }
            }
        }
    }
}

#[test]
fn rule_2b_a_blob_that_no_image_names_is_named_in_a_warning_in_every_dialect() {
    let stray = b"a blob of nothing".to_vec();
    for (dialect, mut files) in dialects() {
        let path = match dialect {
            "docker 26" | "layout" => format!("m/blobs/sha256/{}", hex(&stray)),
            "dir" => format!("m/registry.example/team/app:1/{}", hex(&stray)),
            "storage" => format!("m/v2/blobs/sha256/{}/{}/data", &hex(&stray)[..2], hex(&stray)),
            _ => format!("m/{}.tar", hex(&stray)),
        };
        files.insert(path, stray.clone());
        for (_, outcome) in each_way(&files) {
            let report = outcome.unwrap();
            assert_eq!(failures(&report), "", "{dialect}");
            let told: Vec<String> = report.warnings.iter().map(ToString::to_string).collect();
            assert!(told.len() == 1 && told[0].contains(&hex(&stray)), "{dialect}: {told:?}");
        }
    }
}

#[test]
fn b3_blobs_that_nothing_explains_are_a_failure_that_names_their_folder_also_for_strict_and_inventory() {
    let (whole, half) = (Remote::new(1), Remote::new(2));
    let mut without_index = layout("b/images/a/", &[("ghcr.io/a/whole:1", &whole)]);
    without_index.extend(layout("b/images/half/", &[("ghcr.io/a/half:1", &half)]));
    without_index.remove("b/images/half/index.json");
    let mut nothing_but_blobs = without_index.clone();
    nothing_but_blobs.remove("b/images/half/oci-layout");
    let mut without_layout = layout("b/images/a/", &[("ghcr.io/a/whole:1", &whole)]);
    without_layout.extend(layout("b/images/half/", &[("ghcr.io/a/half:1", &half)]));
    without_layout.remove("b/images/half/oci-layout");
    let mut without_manifest = Files::new();
    save_directory(&mut without_manifest, "s/registry.example/team/whole:1", &whole.manifest, &[&whole]);
    save_directory(&mut without_manifest, "s/registry.example/team/half:1", &half.manifest, &[&half]);
    without_manifest.remove("s/registry.example/team/half:1/manifest.json");
    let mut without_version = without_manifest.clone();
    without_version.remove("s/registry.example/team/half:1/version");
    for (files, folder, lacks) in [
        (without_index, "images/half", "`index.json`"),
        (nothing_but_blobs, "images/half", "`index.json`"),
        (without_layout, "images/half", "`oci-layout`"),
        (without_manifest, "team/half:1", "`manifest.json`"),
        (without_version, "team/half:1", "`manifest.json`"),
    ] {
        for (world, outcome) in each_way(&files) {
            let report = outcome.unwrap();
            let told = failures(&report);
            assert_eq!(report.failures.len(), 1, "{told}");
            assert!(told.contains(folder) && told.contains(lacks) && told.contains("not finished"), "{told}");
            assert_eq!(world.tags().len(), 1, "the other one goes in");
        }
        let mut strict = World::new();
        strict.settings.strict = true;
        let outcome = strict.try_path(&strict.files("medium", &files));
        assert!(matches!(&outcome, Err(IngestError::Strict { failures }) if failures.len() == 1), "{outcome:?}");
        let inputs = vec![Input::Path(strict.folder.path().join("media/medium"))];
        let outcome = strict.within(|| inventory(inputs, &strict.settings, &Cancel::default(), &|_| {}));
        assert!(matches!(&outcome, Err(IngestError::Strict { failures }) if failures.len() == 1), "{outcome:?}");
        let mounted = strict.try_mount(&strict.folder.path().join("media/medium"));
        assert!(matches!(&mounted, Err(IngestError::Strict { .. })), "{mounted:?}");
    }
}
