//! The path of a blob, in each way of laying out blobs by digest.

use airdock_registry::oci::{Algorithm, Digest};

use crate::archive::parts::join;

/// One way of laying out blobs, below a folder of an archive.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Arrangement<'a> {
    /// `blobs/<algorithm>/<encoded>` (image-spec `image-layout.md`).
    Layout(&'a str),
    /// skopeo's `dir:`: blobs by what encodes their digest, the root as `manifest.json`, its children beside it.
    Directory {
        /// The folder.
        folder: &'a str,
        /// The digest of its `manifest.json`.
        root: Digest,
    },
    /// `blobs/<algorithm>/<first two>/<encoded>/data` in the storage of a registry (distribution's `registry:2`).
    Storage(&'a str),
}

impl Arrangement<'_> {
    /// The path of a blob.
    pub(crate) fn blob(self, digest: &Digest) -> String {
        let (algorithm, encoded) = (digest.algorithm(), digest.encoded());
        match self {
            Self::Layout(folder) => join(folder, &format!("blobs/{algorithm}/{encoded}")),
            Self::Directory { folder, .. } if algorithm == Algorithm::Sha256 => join(folder, &encoded),
            Self::Directory { folder, .. } => join(folder, &format!("{algorithm}-{encoded}")),
            Self::Storage(folder) => {
                let first = encoded.get(..2).unwrap_or_default();
                join(folder, &format!("blobs/{algorithm}/{first}/{encoded}/data"))
            }
        }
    }

    /// The path of a manifest.
    pub(crate) fn manifest(self, digest: &Digest) -> String {
        match self {
            Self::Directory { folder, root } if root == *digest => join(folder, "manifest.json"),
            Self::Directory { folder, .. } => join(folder, &format!("{}.manifest.json", digest.encoded())),
            _ => self.blob(digest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_leads_to_its_file() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let digest: Digest = format!("sha256:{hex}").parse().unwrap();
        let other = Algorithm::Sha256.digest(b"other");
        assert_eq!(Arrangement::Layout("").blob(&digest), format!("blobs/sha256/{hex}"));
        assert_eq!(Arrangement::Storage("v2").manifest(&digest), format!("v2/blobs/sha256/e3/{hex}/data"));
        let directory = Arrangement::Directory { folder: "a:1", root: digest };
        assert_eq!(directory.blob(&digest), format!("a:1/{hex}"));
        assert_eq!(directory.manifest(&digest), "a:1/manifest.json");
        assert_eq!(directory.manifest(&other), format!("a:1/{}.manifest.json", other.encoded()));
        let long = Algorithm::Sha512.digest(b"");
        assert_eq!(directory.blob(&long), format!("a:1/sha512-{}", long.encoded()));
    }
}
