//! A client that pushes, moves and deletes until the server is gone, and records what was acknowledged.
//!
//! Each pusher is the only writer of its tags and, in the shared repository, of its manifests, so that the permitted state
//! after a crash is known. Some blobs are the same for all pushers, so that they write them concurrently.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use super::ledger::{Ledger, OpenUpload};
use super::random::Random;
use testkit::client::{Connection, Request, Response};
use testkit::content::digest;
use testkit::manifest::{MANIFEST, descriptor};

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// The repository all pushers write to.
const SHARED: &str = "team/shared";

/// A connection that returns its errors instead of failing the test.
pub(super) fn connect(address: SocketAddr) -> io::Result<Connection> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.set_write_timeout(Some(Duration::from_secs(20)))?;
    stream.set_nodelay(true)?;
    Ok(Connection::over(stream, &address.to_string()))
}

/// Why a pusher stopped.
#[derive(Debug)]
#[allow(dead_code, reason = "the message is shown when a test fails")]
pub(super) enum Gone {
    /// The connection ended.
    Connection,
    /// The server responded with a failure.
    Failed { status: u16, message: String },
}

/// One client.
pub(super) struct Pusher {
    name: String,
    random: Random,
    common: Arc<Vec<Arc<[u8]>>>,
    count: usize,
    pub(super) ledger: Ledger,
}

impl Pusher {
    /// `count` pushers on one empty data folder.
    pub(super) fn several(count: usize, random: &mut Random) -> Vec<Self> {
        let common = Arc::new((0..16).map(|_| content(random)).collect::<Vec<_>>());
        let pusher = |number: usize| Self {
            name: format!("p{number}"),
            random: random.fork(),
            common: common.clone(),
            count: 0,
            ledger: Ledger::default(),
        };
        (0..count).map(pusher).collect()
    }

    /// The repositories it writes to. The last is shared.
    pub(super) fn repositories(&self) -> [String; 3] {
        [format!("team/{}", self.name), format!("{}/deep/er", self.name), SHARED.to_owned()]
    }

    /// Whether a tag of the shared repository is its own.
    pub(super) fn owns_tag(&self, tag: &str) -> bool {
        tag.starts_with(&format!("{}-", self.name))
    }

    /// Pushes until the server is gone.
    pub(super) fn work(&mut self, address: SocketAddr) -> Gone {
        let Ok(mut connection) = connect(address) else { return Gone::Connection };
        loop {
            if let Err(gone) = self.step(&mut connection) {
                return gone;
            }
        }
    }

    /// Makes this many changes, none of which may fail.
    pub(super) fn work_for(&mut self, address: SocketAddr, steps: usize) {
        let mut connection = connect(address).unwrap();
        for _ in 0..steps {
            self.step(&mut connection).unwrap();
        }
    }

    fn step(&mut self, connection: &mut Connection) -> Result<(), Gone> {
        let repositories = self.repositories();
        let repository = &repositories[self.random.below(3)];
        let own = &repositories[self.random.below(2)];
        match self.random.below(20) {
            0..=8 => self.push_image(connection, repository, None),
            9 | 10 => self.push_referrer(connection, repository),
            11 | 12 => self.move_tag(connection, repository),
            13 => self.delete_tag(connection, repository),
            14 => self.delete_manifest(connection, repository),
            15 => self.delete_blob(connection, own),
            16 => self.mount(connection, &repositories[0], &repositories[1]),
            17 => self.begin_upload(connection, repository),
            18 => {
                let content = content(&mut self.random);
                self.push_blob(connection, repository, content).map(drop)
            }
            _ => self.go_on(connection),
        }
    }

    fn push_image(
        &mut self,
        connection: &mut Connection,
        repository: &str,
        subject: Option<(&str, usize)>,
    ) -> Result<(), Gone> {
        self.count += 1;
        let config = format!(r#"{{"architecture":"amd64","os":"linux","made":"{} {}"}}"#, self.name, self.count);
        let config: Arc<[u8]> = config.into_bytes().into();
        let mut layers = Vec::new();
        for _ in 0..self.random.below(4) {
            let common = repository != SHARED && self.random.one_in(3);
            let layer = match self.random.pick(&self.common) {
                Some(layer) if common => layer.clone(),
                _ => content(&mut self.random),
            };
            self.push_blob(connection, repository, layer.clone())?;
            layers.push(layer);
        }
        self.push_blob(connection, repository, config.clone())?;
        let manifest = manifest(&config, &layers, subject);
        let tags = match subject {
            Some(_) => Vec::new(),
            None => (0..self.random.below(3)).map(|_| self.tag()).collect(),
        };
        self.put_manifest(connection, repository, &manifest, &tags)
    }

    fn push_referrer(&mut self, connection: &mut Connection, repository: &str) -> Result<(), Gone> {
        let manifests = self.ledger.manifests(repository);
        let Some((subject, bytes)) = self.random.pick(&manifests).cloned() else { return Ok(()) };
        self.push_image(connection, repository, Some((&subject, bytes.len())))
    }

    fn tag(&mut self) -> String {
        format!("{}-{}", self.name, self.random.below(6))
    }

    fn put_manifest(
        &mut self,
        connection: &mut Connection,
        repository: &str,
        manifest: &Arc<[u8]>,
        tags: &[String],
    ) -> Result<(), Gone> {
        let by_digest = format!("{repository}/manifests/{}", digest(manifest));
        let by_tags: Vec<_> = tags.iter().map(|tag| format!("{repository}/manifests/{tag}")).collect();
        let target = match by_tags.as_slice() {
            [by_tag] if self.random.one_in(2) => format!("/v2/{by_tag}"),
            _ => {
                let query: Vec<_> = tags.iter().map(|tag| format!("tag={tag}")).collect();
                format!("/v2/{by_digest}?{}", query.join("&"))
            }
        };
        let paths: Vec<_> = std::iter::once(&by_digest).chain(&by_tags).collect();
        for path in &paths {
            self.ledger.ask(path, Some(manifest.clone()));
        }
        let request = Request::new("PUT", target.trim_end_matches('?')).header("Content-Type", MANIFEST);
        send(connection, &request.body(manifest.to_vec()), 201)?;
        let paths: std::collections::BTreeSet<_> = paths.into_iter().collect();
        for path in paths {
            self.ledger.acknowledge(path);
        }
        Ok(())
    }

    fn move_tag(&mut self, connection: &mut Connection, repository: &str) -> Result<(), Gone> {
        let manifests = self.ledger.manifests(repository);
        let Some((_, manifest)) = self.random.pick(&manifests).cloned() else { return Ok(()) };
        let tag = self.tag();
        self.put_manifest(connection, repository, &manifest, &[tag])
    }

    fn delete_tag(&mut self, connection: &mut Connection, repository: &str) -> Result<(), Gone> {
        let tags: Vec<_> = self.ledger.tags(repository).into_iter().collect();
        let Some(tag) = self.random.pick(&tags) else { return Ok(()) };
        let path = format!("{repository}/manifests/{tag}");
        self.delete(connection, &[path])
    }

    fn delete_manifest(&mut self, connection: &mut Connection, repository: &str) -> Result<(), Gone> {
        let manifests = self.ledger.manifests(repository);
        let Some((digest, manifest)) = self.random.pick(&manifests) else { return Ok(()) };
        let mut paths = vec![format!("{repository}/manifests/{digest}")];
        let tags = self.ledger.tags(repository).into_iter().map(|tag| format!("{repository}/manifests/{tag}"));
        paths.extend(tags.filter(|path| self.ledger.now(path).as_ref() == Some(manifest)));
        self.delete(connection, &paths)
    }

    /// Deletes a blob that no manifest names.
    fn delete_blob(&mut self, connection: &mut Connection, repository: &str) -> Result<(), Gone> {
        let prefix = format!("{repository}/blobs/");
        let manifests = self.ledger.manifests(repository);
        let manifests: Vec<_> = manifests.iter().map(|(_, bytes)| String::from_utf8_lossy(bytes)).collect();
        let digests = self.ledger.present().filter_map(|(path, _)| path.strip_prefix(&prefix));
        let unused: Vec<_> =
            digests.filter(|digest| !manifests.iter().any(|manifest| manifest.contains(*digest))).collect();
        let Some(digest) = self.random.pick(&unused) else { return Ok(()) };
        let path = format!("{prefix}{digest}");
        self.delete(connection, &[path])
    }

    /// Deletes the first path, which removes the others too.
    fn delete(&mut self, connection: &mut Connection, paths: &[String]) -> Result<(), Gone> {
        for path in paths {
            self.ledger.ask(path, None);
        }
        send(connection, &Request::new("DELETE", &format!("/v2/{}", paths[0])), 202)?;
        for path in paths {
            self.ledger.acknowledge(path);
        }
        Ok(())
    }

    fn mount(&mut self, connection: &mut Connection, from: &str, to: &str) -> Result<(), Gone> {
        let prefix = format!("{from}/blobs/");
        let blobs: Vec<_> = self
            .ledger
            .present()
            .filter_map(|(path, content)| Some((path.strip_prefix(&prefix)?.to_owned(), content.clone())))
            .collect();
        let Some((digest, content)) = self.random.pick(&blobs).cloned() else { return Ok(()) };
        let path = format!("{to}/blobs/{digest}");
        self.ledger.ask(&path, Some(content));
        let target = format!("/v2/{to}/blobs/uploads/?mount={digest}&from={from}");
        send(connection, &Request::new("POST", &target), 201)?;
        self.ledger.acknowledge(&path);
        Ok(())
    }

    fn push_blob(&mut self, connection: &mut Connection, repository: &str, content: Arc<[u8]>) -> Result<(), Gone> {
        if self.random.one_in(2) {
            let path = format!("{repository}/blobs/{}", digest(&content));
            let target = format!("/v2/{repository}/blobs/uploads/?digest={}", digest(&content));
            self.ledger.ask(&path, Some(content.clone()));
            send(connection, &Request::new("POST", &target).body(content.to_vec()), 201)?;
            self.ledger.acknowledge(&path);
            return Ok(());
        }
        self.begin(connection, repository, content)?;
        let upload = self.ledger.uploads.len() - 1;
        for _ in 0..self.random.below(3) {
            self.append(connection, upload)?;
        }
        self.finish(connection, upload)
    }

    /// Leaves an upload open, to be resumed later or after a crash.
    fn begin_upload(&mut self, connection: &mut Connection, repository: &str) -> Result<(), Gone> {
        if self.ledger.uploads.len() < 8 {
            let content = self.random.bytes(100_000);
            self.begin(connection, repository, content.into())?;
            self.append(connection, self.ledger.uploads.len() - 1)?;
        }
        Ok(())
    }

    fn go_on(&mut self, connection: &mut Connection) -> Result<(), Gone> {
        if self.ledger.uploads.is_empty() {
            return Ok(());
        }
        let upload = self.random.below(self.ledger.uploads.len());
        match self.random.one_in(2) {
            true => self.append(connection, upload),
            false => self.finish(connection, upload),
        }
    }

    fn begin(&mut self, connection: &mut Connection, repository: &str, content: Arc<[u8]>) -> Result<(), Gone> {
        let started = send(connection, &Request::new("POST", &format!("/v2/{repository}/blobs/uploads/")), 202)?;
        let location = path_of(started.header("location").expect("a location"));
        let repository = repository.to_owned();
        self.ledger.uploads.push(OpenUpload { repository, location, content, size: 0, finishing: false });
        Ok(())
    }

    fn append(&mut self, connection: &mut Connection, upload: usize) -> Result<(), Gone> {
        let upload = &mut self.ledger.uploads[upload];
        let rest = upload.content.len() - upload.size;
        // More than one byte: `Range: 0-0` means both none and one.
        let piece = rest.min(2 + self.random.below(rest));
        if piece < 2 {
            return Ok(());
        }
        append(connection, upload, piece)
    }

    fn finish(&mut self, connection: &mut Connection, upload: usize) -> Result<(), Gone> {
        let path = {
            let upload = &self.ledger.uploads[upload];
            format!("{}/blobs/{}", upload.repository, digest(&upload.content))
        };
        self.ledger.ask(&path, Some(self.ledger.uploads[upload].content.clone()));
        finish(connection, &mut self.ledger.uploads[upload])?;
        self.ledger.acknowledge(&path);
        self.ledger.uploads.swap_remove(upload);
        Ok(())
    }
}

/// Sends the next `piece` bytes of an upload.
pub(super) fn append(connection: &mut Connection, upload: &mut OpenUpload, piece: usize) -> Result<(), Gone> {
    let (start, end) = (upload.size, upload.size + piece);
    let request = Request::new("PATCH", &upload.location)
        .header("Content-Range", &format!("{start}-{}", end - 1))
        .header("Content-Type", "application/octet-stream")
        .body(&upload.content[start..end]);
    let accepted = send(connection, &request, 202)?;
    upload.location = path_of(accepted.header("location").expect("a location"));
    upload.size = end;
    Ok(())
}

/// Sends the rest of an upload and finishes it.
pub(super) fn finish(connection: &mut Connection, upload: &mut OpenUpload) -> Result<(), Gone> {
    let separator = if upload.location.contains('?') { '&' } else { '?' };
    let target = format!("{}{separator}digest={}", upload.location, digest(&upload.content));
    upload.finishing = true;
    send(connection, &Request::new("PUT", &target).body(&upload.content[upload.size..]), 201).map(drop)
}

/// Sends a request whose response is known unless the server fails.
pub(super) fn send(connection: &mut Connection, request: &Request, expected: u16) -> Result<Response, Gone> {
    match connection.try_send(request) {
        Err(_) => Err(Gone::Connection),
        Ok(response) if response.status >= 500 => {
            Err(Gone::Failed { status: response.status, message: response.text() })
        }
        Ok(response) => Ok(response.expect(expected)),
    }
}

/// The path of a location: a restarted server has another port.
fn path_of(location: &str) -> String {
    match location.split_once("://") {
        Some((_, rest)) => rest[rest.find('/').unwrap_or(0)..].to_owned(),
        None => location.to_owned(),
    }
}

/// Mostly small, like manifests and configs; sometimes large enough to be interrupted in the middle.
fn content(random: &mut Random) -> Arc<[u8]> {
    let size = match random.below(20) {
        0 => 700_000,
        1..=4 => 60_000,
        _ => 4_000,
    };
    let size = 2 + random.below(size);
    random.bytes(size).into()
}

fn manifest(config: &[u8], layers: &[Arc<[u8]>], subject: Option<(&str, usize)>) -> Arc<[u8]> {
    let layers: Vec<_> = layers.iter().map(|layer| descriptor(LAYER, layer, "")).collect();
    let subject = subject.map_or_else(String::new, |(digest, size)| {
        format!(r#","subject":{{"mediaType":"{MANIFEST}","digest":"{digest}","size":{size}}}"#)
    });
    testkit::manifest::manifest(&descriptor(CONFIG, config, ""), &layers, &subject).into_bytes().into()
}
