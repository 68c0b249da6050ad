//! All paths of the data folder are made here. Every part of a path is a type that cannot escape its folder.
//!
//! ```text
//! <data>/
//!   lock                                  locked by the one process that uses the folder
//!   store.json                            what this folder is, and in which version
//!   sequence                              the numbers of tag changes handed out so far, in blocks
//!   blobs/sha256/<hex>  blobs/sha512/…    every blob and every manifest, once for all repositories
//!   damaged/<algorithm>-<hex>             quarantine: files that did not have their digest; never read again
//!   incoming/<uuid>                       a file being written; the folder is emptied at each start
//!   uploads/<uuid>/{upload.json,data}     an upload that its client can continue
//!   repositories/<name>/_manifests/<algorithm>/<hex>   link: this manifest is in this repository
//!   repositories/<name>/_blobs/<algorithm>/<hex>       link: this blob was pushed to or mounted in this repository
//!   repositories/<name>/_tags/<tag>                    link: where the tag points, since which change, and its source
//!   releases/pending/<sequence>           a release that is committed and not yet written to its tags
//!   releases/<sequence>                   the release log, which rollbacks read
//!   metadata/  metadata.seal              derived from the above; may be deleted at any moment
//!   control.sock                          administration socket of the process that holds the lock
//! ```
//!
//! A repository's name may have any depth; our folders below it begin with `_`, which no component of a name does.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::oci::{Algorithm, Digest, RepositoryName, Tag, UploadId};

/// The paths of one data folder. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    root: Arc<Path>,
}

impl Layout {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root: root.into() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    pub(crate) fn identity(&self) -> PathBuf {
        self.root.join("store.json")
    }

    pub(crate) fn sequence(&self) -> PathBuf {
        self.root.join("sequence")
    }

    pub(crate) fn blobs(&self, algorithm: Algorithm) -> PathBuf {
        self.root.join("blobs").join(algorithm.as_str())
    }

    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        self.blobs(digest.algorithm()).join(digest.encoded())
    }

    pub(crate) fn damaged(&self) -> PathBuf {
        self.root.join("damaged")
    }

    pub(crate) fn damaged_blob(&self, digest: &Digest) -> PathBuf {
        self.damaged().join(format!("{}-{}", digest.algorithm(), digest.encoded()))
    }

    pub(crate) fn incoming(&self) -> PathBuf {
        self.root.join("incoming")
    }

    pub(crate) fn uploads(&self) -> PathBuf {
        self.root.join("uploads")
    }

    pub(crate) fn upload(&self, id: UploadId) -> PathBuf {
        self.uploads().join(id.to_string())
    }

    pub(crate) fn upload_data(&self, id: UploadId) -> PathBuf {
        self.upload(id).join("data")
    }

    pub(crate) fn upload_record(&self, id: UploadId) -> PathBuf {
        self.upload(id).join("upload.json")
    }

    pub(crate) fn repositories(&self) -> PathBuf {
        self.root.join("repositories")
    }

    pub(crate) fn repository(&self, name: &RepositoryName) -> PathBuf {
        self.repositories().join(name.as_str())
    }

    /// The folder of the links to digests of one kind: [`MANIFESTS`] or [`BLOBS`].
    pub(crate) fn digest_links(&self, name: &RepositoryName, links: &str, algorithm: Algorithm) -> PathBuf {
        self.repository(name).join(links).join(algorithm.as_str())
    }

    pub(crate) fn digest_link(&self, name: &RepositoryName, links: &str, digest: &Digest) -> PathBuf {
        self.digest_links(name, links, digest.algorithm()).join(digest.encoded())
    }

    pub(crate) fn tag_links(&self, name: &RepositoryName) -> PathBuf {
        self.repository(name).join(TAGS)
    }

    pub(crate) fn tag_link(&self, name: &RepositoryName, tag: &Tag) -> PathBuf {
        self.tag_links(name).join(tag.as_str())
    }

    pub(crate) fn releases(&self) -> PathBuf {
        self.root.join("releases")
    }

    pub(crate) fn release(&self, sequence: u64) -> PathBuf {
        // Padded, so that a listing is in order.
        self.releases().join(format!("{sequence:020}"))
    }

    pub(crate) fn pending_releases(&self) -> PathBuf {
        self.releases().join("pending")
    }

    pub(crate) fn pending_release(&self, sequence: u64) -> PathBuf {
        self.pending_releases().join(format!("{sequence:020}"))
    }

    pub(crate) fn metadata(&self) -> PathBuf {
        self.root.join("metadata")
    }

    /// The database within [`Layout::metadata`].
    pub(crate) fn metadata_database(&self) -> PathBuf {
        self.root.join("metadata/db")
    }

    /// The path of a new temporary file.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.incoming().join(uuid::Uuid::new_v4().to_string())
    }

    /// The path of a file that is made and removed at once, to learn what the file system makes of it.
    pub(crate) fn probe(&self) -> PathBuf {
        self.root.join(uuid::Uuid::new_v4().to_string())
    }

    pub(crate) fn metadata_seal(&self) -> PathBuf {
        self.root.join("metadata.seal")
    }
}

/// The folders below a repository's that hold its links; none can be a component of a name.
pub(crate) const MANIFESTS: &str = "_manifests";
pub(crate) const BLOBS: &str = "_blobs";
pub(crate) const TAGS: &str = "_tags";
