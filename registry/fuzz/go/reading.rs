//! A manifest as Go reads it beside the same manifest as it is read here. Used by the fuzz target and by a test.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

use airdock_registry::oci::{Descriptor, Manifest, ManifestKind, MediaType, Reference};
use bytes::Bytes;

/// The running Go program.
pub(crate) struct Go {
    child: Child,
    _folder: tempfile::TempDir,
}

impl Go {
    /// Builds and starts it; `None` where there is no Go.
    pub(crate) fn start() -> Option<Self> {
        Command::new("go").arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
        let folder = tempfile::tempdir().unwrap();
        let (source, program) = (folder.path().join("manifest.go"), folder.path().join("manifest"));
        std::fs::write(&source, include_str!("manifest.go")).unwrap();
        let built =
            Command::new("go").args(["build", "-o"]).arg(&program).arg(source).env("GO111MODULE", "off").status();
        assert!(built.unwrap().success(), "the Go program does not build");
        let child = Command::new(&program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        Some(Self { child, _folder: folder })
    }

    /// What Go reads.
    pub(crate) fn read(&mut self, media_type: &MediaType, json: &[u8]) -> String {
        let request = [media_type.as_str().as_bytes(), b"\n", json].concat();
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(&(request.len() as u32).to_le_bytes()).unwrap();
        stdin.write_all(&request).unwrap();
        stdin.flush().unwrap();
        let stdout = self.child.stdout.as_mut().unwrap();
        let mut size = [0; 4];
        stdout.read_exact(&mut size).unwrap();
        let mut answer = vec![0; u32::from_le_bytes(size) as usize];
        stdout.read_exact(&mut answer).unwrap();
        String::from_utf8(answer).unwrap()
    }

    /// Whether the manifest was taken; panics if Go reads it otherwise. It is read as every type it could be pushed as.
    pub(crate) fn compare(&mut self, json: &[u8]) -> bool {
        let mut taken = false;
        for pushed in [
            None,
            Some(MediaType::IMAGE_MANIFEST),
            Some(MediaType::IMAGE_INDEX),
            Some(MediaType::DOCKER_MANIFEST_LIST),
            Some("application/vnd.example+json"),
        ] {
            let pushed = pushed.map(|pushed| pushed.parse().unwrap());
            let Ok(manifest) = Manifest::parse(Bytes::copy_from_slice(json), pushed) else { continue };
            taken = true;
            let (ours, go) = (ours(&manifest), self.read(manifest.media_type(), json));
            assert!(ours == go, "{}\nhere:\n{ours}\nGo:\n{go}", String::from_utf8_lossy(json));
        }
        taken
    }
}

impl Drop for Go {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is read here, in the words of the Go program.
fn ours(manifest: &Manifest) -> String {
    let mut text = String::new();
    let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    let described = |what: &str, descriptor: &Descriptor| {
        format!("{what} {} {} {}\n", hex(descriptor.media_type.as_str()), descriptor.digest, descriptor.size)
    };
    if matches!(manifest.media_type().manifest_kind(), ManifestKind::Image | ManifestKind::Index) {
        text.push_str("version 2\n");
    }
    for reference in manifest.references() {
        text.push_str(&described("names", reference.descriptor()));
        if let Reference::Manifest(_, Some(platform)) = reference {
            let variant = platform.variant.as_deref().unwrap_or_default();
            let _ = writeln!(text, "for {} {} {}", hex(&platform.os), hex(&platform.architecture), hex(variant));
        }
    }
    if let Some(subject) = manifest.subject() {
        text.push_str(&described("about", subject));
    }
    let _ = writeln!(text, "type {}", hex(manifest.artifact_type().unwrap_or_default()));
    for (key, value) in manifest.annotations().into_iter().flatten() {
        let _ = writeln!(text, "annotation {} {}", hex(key), hex(value));
    }
    text
}
