//! Checks after a crash: acknowledged content is there, everything is complete, and the lists agree with it.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use super::ledger::Content;
use super::pusher::{Pusher, append, connect, finish};
use testkit::client::{Connection, Request};
use testkit::content::digest;

/// What has happened, which decides what to expect.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// The process was killed: open uploads resume from their size.
    Kill,
    /// The power was cut: open uploads may be gone, since appends are not acknowledged as durable.
    PowerCut,
    /// The disk failed and the process runs on: a change without a response stays in doubt until the next start.
    Fault,
}

/// Checks all that the pushers know, over new connections, and every stored blob on the disk.
pub(super) fn verify(pushers: &mut [Pusher], address: SocketAddr, data: &Path, after: After) {
    let problems: Vec<String> = std::thread::scope(|scope| {
        let checks: Vec<_> =
            pushers.iter_mut().map(|pusher| scope.spawn(move || check(pusher, address, after))).collect();
        let blobs = verify_blobs(data);
        checks.into_iter().flat_map(|check| check.join().expect("a check ends")).chain(blobs).collect()
    });
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

fn check(pusher: &mut Pusher, address: SocketAddr, after: After) -> Vec<String> {
    let mut connection = connect(address).expect("the server is there");
    let mut problems = Vec::new();
    let ledger = pusher.ledger.clone();
    let paths: Vec<_> = pusher.ledger.paths().map(str::to_owned).collect();
    for path in paths {
        match get(&mut connection, &path).and_then(|seen| pusher.ledger.settle(&path, seen)) {
            Ok(()) => {}
            Err(problem) => problems.push(problem),
        }
        // Otherwise a hanging server would be waited for at every path.
        if problems.len() >= 3 {
            return problems;
        }
    }
    for repository in pusher.repositories() {
        problems.extend(check_repository(pusher, &mut connection, &repository));
    }
    match after {
        After::Kill => problems.extend(resume(pusher, &mut connection)),
        After::PowerCut => pusher.ledger.uploads.clear(),
        After::Fault => pusher.ledger = ledger,
    }
    problems
}

/// The content in the ledger must be consistent, and the lists must agree with it.
fn check_repository(pusher: &Pusher, connection: &mut Connection, repository: &str) -> Vec<String> {
    let ledger = &pusher.ledger;
    let mut problems = Vec::new();
    let manifests = ledger.manifests(repository);
    for (manifest_digest, bytes) in &manifests {
        let manifest: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        let layers = manifest["layers"].as_array().into_iter().flatten();
        for blob in layers.chain([&manifest["config"]]) {
            let blob = blob["digest"].as_str().unwrap();
            if ledger.now(&format!("{repository}/blobs/{blob}")).is_none() {
                problems.push(format!("`{repository}` has manifest {manifest_digest} and not its blob {blob}"));
            }
        }
    }
    for tag in ledger.tags(repository) {
        let bytes = ledger.now(&format!("{repository}/manifests/{tag}")).as_ref().unwrap();
        if ledger.now(&format!("{repository}/manifests/{}", digest(bytes))).is_none() {
            problems.push(format!("`{repository}:{tag}` points at a manifest that is not there by its digest"));
        }
    }
    problems.extend(check_lists(pusher, connection, repository, &manifests).err());
    problems
}

fn check_lists(
    pusher: &Pusher,
    connection: &mut Connection,
    repository: &str,
    manifests: &[(String, Arc<[u8]>)],
) -> Result<(), String> {
    let expected = pusher.ledger.tags(repository);
    let listed: BTreeSet<_> = tags(connection, repository)?.into_iter().filter(|tag| pusher.owns_tag(tag)).collect();
    if listed != expected {
        return Err(format!("`{repository}` lists tags {listed:?} and has {expected:?}"));
    }
    let subject_of = |bytes: &[u8]| {
        let manifest: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        manifest["subject"]["digest"].as_str().map(str::to_owned)
    };
    let subjects: BTreeSet<_> = manifests.iter().filter_map(|(_, bytes)| subject_of(bytes)).collect();
    for subject in subjects {
        let about = manifests.iter().filter(|(_, bytes)| subject_of(bytes).as_ref() == Some(&subject));
        let expected: BTreeSet<_> = about.map(|(digest, _)| digest.clone()).collect();
        let listed = referrers(connection, repository, &subject)?;
        if listed != expected {
            return Err(format!("`{repository}` lists referrers {listed:?} of {subject} and has {expected:?}"));
        }
    }
    Ok(())
}

/// Resumes and finishes every open upload: the stored bytes must be a prefix of what was sent.
fn resume(pusher: &mut Pusher, connection: &mut Connection) -> Vec<String> {
    let mut problems = Vec::new();
    for mut upload in std::mem::take(&mut pusher.ledger.uploads) {
        let status = connection.send(&Request::new("GET", &upload.location));
        // One without a byte was in memory only.
        if status.status == 404 && (upload.finishing || upload.size == 0) {
            continue;
        }
        let last = status.header("range").and_then(|range| range.strip_prefix("0-")?.parse::<usize>().ok());
        let Some(last) = last.filter(|_| status.status == 204) else {
            problems.push(format!("upload `{}` answers {} {}", upload.location, status.status, status.text()));
            continue;
        };
        let size = if last == 0 { 0 } else { last + 1 };
        if !(upload.size..=upload.content.len()).contains(&size) {
            problems.push(format!("upload `{}` has {size} bytes of {} acknowledged", upload.location, upload.size));
            continue;
        }
        upload.size = size;
        let rest = upload.content.len() - size;
        let appended = if rest < 2 { Ok(()) } else { append(connection, &mut upload, rest / 2) };
        let path = format!("{}/blobs/{}", upload.repository, digest(&upload.content));
        pusher.ledger.ask(&path, Some(upload.content.clone()));
        match appended.and_then(|()| finish(connection, &mut upload)) {
            Ok(()) => pusher.ledger.acknowledge(&path),
            Err(gone) => problems.push(format!("upload `{}` cannot be finished: {gone:?}", upload.location)),
        }
    }
    problems
}

/// The content of a path below `/v2/`.
pub(super) fn get(connection: &mut Connection, path: &str) -> Result<Content, String> {
    let response = connection.try_send(&Request::new("GET", &format!("/v2/{path}")));
    let response = response.map_err(|error| format!("`{path}` broke off: {error}"))?;
    match response.status {
        200 => Ok(Some(response.body.into())),
        404 => Ok(None),
        status => Err(format!("`{path}` answers {status}: {}", response.text())),
    }
}

/// The tags a repository lists.
pub(super) fn tags(connection: &mut Connection, repository: &str) -> Result<Vec<String>, String> {
    let Some(list) = get(connection, &format!("{repository}/tags/list"))? else { return Ok(Vec::new()) };
    let list: serde_json::Value = serde_json::from_slice(&list).map_err(|error| error.to_string())?;
    let tags = list["tags"].as_array().into_iter().flatten();
    Ok(tags.filter_map(|tag| tag.as_str().map(str::to_owned)).collect())
}

/// The digests of the referrers that a repository lists for a subject.
pub(super) fn referrers(
    connection: &mut Connection,
    repository: &str,
    subject: &str,
) -> Result<BTreeSet<String>, String> {
    let path = format!("{repository}/referrers/{subject}");
    let index = get(connection, &path)?.ok_or_else(|| format!("`{path}` answers 404"))?;
    let index: serde_json::Value = serde_json::from_slice(&index).map_err(|error| error.to_string())?;
    let manifests = index["manifests"].as_array().into_iter().flatten();
    Ok(manifests.filter_map(|entry| entry["digest"].as_str().map(str::to_owned)).collect())
}

/// Hashes every stored blob, visible or not; returns those whose content does not match the name.
pub(super) fn verify_blobs(data: &Path) -> Vec<String> {
    let mut problems = Vec::new();
    for entry in fs::read_dir(data.join("blobs/sha256")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = fs::read(&path).unwrap();
        if digest(&bytes) != format!("sha256:{name}") {
            problems.push(format!("blob {name} has {} bytes that are not its own", bytes.len()));
        }
    }
    problems
}
