//! What an ingest asks the disk to make durable: folders once a release, however many images and names it brings.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;

use testkit::archive::save_docker_20;
use testkit::changes::{Changes, Syncs};
use testkit::folder::in_memory;
use testkit::image::Image;
use testkit::process::{command, printed};

/// The repositories each image is in, under a tag of its own.
const REPOSITORIES: [&str; 3] = ["registry.example/a", "registry.example/b", "registry.example/c"];

/// What an ingest of so many images with three names each syncs, below its data folder, which was there before.
fn syncs_of(images: u64) -> Syncs {
    let folder = in_memory();
    let changes = Changes::make(folder.path());
    let images: Vec<_> = (0..images)
        .map(|number| {
            let names = REPOSITORIES.map(|repository| format!("{repository}:v{number}"));
            Image::new(&names.each_ref().map(String::as_str), &[number])
        })
        .collect();
    std::fs::write(folder.path().join("images.tar"), save_docker_20(&images)).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = command(folder.path());
        command.args(arguments).args(["--data", "data"]).stdin(Stdio::null());
        command
    };
    printed(&run(&["rebuild"]).output().unwrap(), 0);
    let (output, syncs) = changes.syncs_of(&mut run(&["ingest", "--json", "images.tar"]));
    let report = printed(&output, 0);
    let report: serde_json::Value = serde_json::from_str(report.lines().last().unwrap()).unwrap();
    assert_eq!(report["images"].as_array().unwrap().len(), REPOSITORIES.len() * images.len(), "a row for each name");
    let data = folder.path().join("data").canonicalize().unwrap();
    let below = |counts: BTreeMap<PathBuf, usize>| {
        let below = counts.into_iter().filter_map(|(path, times)| Some((path.strip_prefix(&data).ok()?.into(), times)));
        below.collect()
    };
    Syncs { folders: below(syncs.folders), files: below(syncs.files) }
}

#[test]
fn an_ingest_syncs_folders_per_release_and_not_per_image_or_name() {
    let (few, many) = (syncs_of(2), syncs_of(200));
    println!("of 2 images: {:#?}\nof 200 images: {:#?}", few.folders, many.folders);
    // That syncs are seen at all: a file for each link, at the least.
    assert!(many.files.values().sum::<usize>() > 3 * 200, "{} files", many.files.len());
    let blobs = many.folders[&PathBuf::from("blobs/sha256")];
    assert!(blobs <= 2, "the folder of blobs was synced {blobs} times");
    for (folder, times) in many.folders.iter().filter(|(folder, _)| folder.starts_with("repositories")) {
        // Once for each folder made in it, once for all the links put in it.
        assert!(*times <= REPOSITORIES.len(), "`{}` was synced {times} times", folder.display());
    }
    assert_eq!(many.folders, few.folders, "what is synced grows with the images");
}
