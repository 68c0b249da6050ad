//! The role of an archive's entry, judged by its name alone. Streams need it: the entry that explains the others
//! (`manifest.json`, `index.json`) comes last and nothing can be read twice.

use airdock_registry::oci::{Algorithm, Digest};

/// The inventory: the names and digests of everything in a bundle.
pub(crate) const INVENTORY: &str = "inventory.txt";
/// The inventory's detached signature.
pub(crate) const INVENTORY_SIGNATURE: &str = "inventory.txt.sig";

/// The role of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// `blobs/<algorithm>/<hex>` of an image layout, `blobs/<algorithm>/<xx>/<hex>/data` of a registry's storage, `<hex>`
    /// of a `dir:` folder: content with this digest.
    Blob(Digest),
    /// A layer of a `docker save` archive; tools name it by its own digest, by the digest of what it unpacks to, or by
    /// an identifier without meaning.
    Layer,
    /// A config or manifest named by its digest: `<hex>.json`, `sha256:<hex>`, `<hex>.manifest.json`.
    Config(Digest),
    /// `manifest.json`, `index.json`, `oci-layout`: the documents that explain an archive.
    Document,
    /// `link` in a registry's storage: the digest of a tag or a manifest.
    Link,
    /// Left over from Docker's first image format, or bookkeeping of a registry's storage.
    Legacy,
    /// `version` or `signature-1` of a `dir:` folder.
    Companion,
    /// `Chart.yaml` in a folder of the archive.
    Chart,
    /// `manifest.txt`.
    Text,
    /// `inventory.txt` or its signature.
    Inventory,
    /// A chart's provenance file.
    Provenance,
    /// Anything else; its content decides.
    Other,
}

impl Role {
    /// The role of a normalised path.
    pub(crate) fn of(path: &str) -> Self {
        let mut parts = path.rsplit('/');
        let name = parts.next().unwrap_or_default();
        let (parent, grandparent) = (parts.next(), parts.next());
        let digest = |algorithm: &str, hex: &str| format!("{algorithm}:{hex}").parse().ok();
        let blob = match (parts.next(), parts.next(), grandparent, parent) {
            (_, _, Some("blobs"), Some(algorithm)) => digest(algorithm, name),
            (Some(algorithm), Some("blobs"), Some(first), Some(hex)) if name == "data" && hex.starts_with(first) => {
                digest(algorithm, hex)
            }
            _ => None,
        };
        if let Some(digest) = blob {
            return Self::Blob(digest);
        }
        match name {
            "link" if path.contains("/_manifests/") => return Self::Link,
            "link" if path.contains("/_layers/") => return Self::Legacy,
            _ if path.contains("/_uploads/") => return Self::Legacy,
            "version" => return Self::Companion,
            "manifest.json" | "index.json" | "oci-layout" => return Self::Document,
            "layer.tar" if parent.is_some() => return Self::Layer,
            "manifest.txt" => return Self::Text,
            INVENTORY | INVENTORY_SIGNATURE => return Self::Inventory,
            "Chart.yaml" if parent.is_some() => return Self::Chart,
            "repositories" => return Self::Legacy,
            "json" | "VERSION" if parent.is_some_and(|parent| hex(parent).is_some()) => return Self::Legacy,
            _ => {}
        }
        if let Ok(digest) = name.parse::<Digest>() {
            return Self::Config(digest);
        }
        if let Some(digest) = hex(name).filter(|_| grandparent != Some("blobs")) {
            return Self::Blob(digest);
        }
        if let Some(digest) = name.strip_prefix("sha512-").and_then(|hex| digest("sha512", hex)) {
            return Self::Blob(digest);
        }
        let unsigned = name.rsplit_once("signature-").filter(|(_, number)| number.parse::<u16>().is_ok());
        match unsigned.map(|(before, _)| before.strip_suffix('.').map(hex)) {
            Some(None) if name.starts_with("signature-") => return Self::Companion,
            Some(Some(Some(_))) => return Self::Companion,
            _ => {}
        }
        match name.split_once('.') {
            Some((stem, "json" | "manifest.json")) => hex(stem).map_or(Self::Other, Self::Config),
            Some((stem, "tar" | "tar.gz" | "tar.zst" | "tgz" | "tar.gzip" | "tar.zstd")) if hex(stem).is_some() => {
                Self::Layer
            }
            _ if name.ends_with(".prov") => Self::Provenance,
            _ => Self::Other,
        }
    }
}

/// Whether the name of a file says that it is an archive.
pub(crate) fn is_named_as_archive(file: &str) -> bool {
    const ENDINGS: [&str; 10] = [".tar", ".tgz", ".gz", ".zst", ".tzst", ".xz", ".txz", ".bz2", ".tbz2", ".oci"];
    let file = file.to_ascii_lowercase();
    ENDINGS.iter().any(|ending| file.ends_with(ending))
}

fn hex(text: &str) -> Option<Digest> {
    (text.len() == 64).then(|| format!("{}:{text}", Algorithm::Sha256).parse().ok()).flatten()
}

/// The digest in a layer's file name: of what it unpacks to (podman), or its own (kaniko, crane). A hint, never trusted.
pub(crate) fn digest_in_name(path: &str) -> Option<Digest> {
    let name = path.rsplit('/').next()?;
    match Role::of(path) {
        Role::Blob(digest) | Role::Config(digest) => Some(digest),
        _ => hex(name.split('.').next()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dialect_names_its_parts() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let digest: Digest = format!("sha256:{hex}").parse().unwrap();
        for (path, role) in [
            (format!("blobs/sha256/{hex}"), Role::Blob(digest)),
            (format!("bundle/images/app/blobs/sha256/{hex}"), Role::Blob(digest)),
            (format!("{hex}/layer.tar"), Role::Layer),
            (format!("{hex}.tar"), Role::Layer),
            (format!("x/{hex}.tar.gz"), Role::Layer),
            (format!("sha256:{hex}"), Role::Config(digest)),
            (format!("{hex}.json"), Role::Config(digest)),
            (format!("{hex}/json"), Role::Legacy),
            (format!("{hex}/VERSION"), Role::Legacy),
            ("repositories".into(), Role::Legacy),
            ("index.json".into(), Role::Document),
            ("a/oci-layout".into(), Role::Document),
            ("zenml/Chart.yaml".into(), Role::Chart),
            ("Chart.yaml".into(), Role::Other),
            ("charts/zenml-1.tgz.prov".into(), Role::Provenance),
            ("zenml-air-gapped-bundle/manifest.txt".into(), Role::Text),
            ("bundle/inventory.txt".into(), Role::Inventory),
            ("inventory.txt.sig".into(), Role::Inventory),
            ("my-inventory.txt".into(), Role::Other),
            ("images/zenml-client.tar".into(), Role::Other),
            ("layer.tar".into(), Role::Other),
            (format!("blobs/md5/{hex}"), Role::Other),
            (format!("{}.tar", &hex[1..]), Role::Other),
            (format!("docker/registry/v2/blobs/sha256/e3/{hex}/data"), Role::Blob(digest)),
            (format!("docker/registry/v2/blobs/sha256/ff/{hex}/data"), Role::Other),
            ("v2/repositories/a/_manifests/tags/1/current/link".into(), Role::Link),
            (format!("v2/repositories/a/_layers/sha256/{hex}/link"), Role::Legacy),
            ("v2/repositories/a/_uploads/x/data".into(), Role::Legacy),
            ("a/link".into(), Role::Other),
            (format!("busybox:1/{hex}"), Role::Blob(digest)),
            (format!("busybox:1/{hex}.manifest.json"), Role::Config(digest)),
            ("busybox:1/version".into(), Role::Companion),
            ("busybox:1/signature-1".into(), Role::Companion),
            (format!("busybox:1/{hex}.signature-12"), Role::Companion),
            ("my-signature-1".into(), Role::Other),
            ("signature-x".into(), Role::Other),
            (String::new(), Role::Other),
        ] {
            assert_eq!(Role::of(&path), role, "{path}");
        }
        assert_eq!(digest_in_name(&format!("a/{hex}.tar.gz")), Some(digest));
        assert_eq!(digest_in_name("v1/layer.tar"), None);
    }
}
