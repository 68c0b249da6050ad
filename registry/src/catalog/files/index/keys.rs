//! The keys of the index: one byte for the table, the repository, a zero, and the rest. A repository's name holds no
//! zero, so a prefix finds one repository and none whose name begins the same.

use crate::oci::{Algorithm, Digest, RepositoryName, Tag};

/// Which table a row is in; the first byte of every key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Table {
    /// A blob was pushed to or mounted in the repository.
    Blob = b'b',
    /// A manifest and an index that lists it.
    Child = b'c',
    /// A manifest is in the repository.
    Manifest = b'm',
    /// A subject and a manifest about it.
    Referrer = b'r',
    /// A tag.
    Tag = b't',
    /// A manifest and a tag that points at it.
    Target = b'p',
    /// A blob and a manifest that names it; the value is the size it gives, eight bytes, the highest first.
    Use = b'u',
}

/// The prefix of all keys of a table in a repository.
pub(crate) fn in_repository(table: Table, name: &RepositoryName) -> Vec<u8> {
    let mut key = Vec::with_capacity(name.as_str().len() + 100);
    key.push(table as u8);
    key.extend_from_slice(name.as_str().as_bytes());
    key.push(0);
    key
}

/// A table, a repository and one digest: a key of its own, or the prefix of pairs.
pub(crate) fn with_digest(table: Table, name: &RepositoryName, digest: &Digest) -> Vec<u8> {
    let mut key = in_repository(table, name);
    push_digest(&mut key, digest);
    key
}

/// A table, a repository and two digests.
pub(crate) fn with_pair(table: Table, name: &RepositoryName, first: &Digest, second: &Digest) -> Vec<u8> {
    let mut key = with_digest(table, name, first);
    push_digest(&mut key, second);
    key
}

/// A tag's key; tags sort bytewise, as end-8 lists them.
pub(crate) fn with_tag(name: &RepositoryName, tag: &Tag) -> Vec<u8> {
    let mut key = in_repository(Table::Tag, name);
    key.extend_from_slice(tag.as_str().as_bytes());
    key
}

/// The key of a tag by what it points at; `target` is a digest as [`digest_bytes`] writes it.
pub(crate) fn with_target(name: &RepositoryName, target: &[u8], tag: &Tag) -> Vec<u8> {
    let mut key = in_repository(Table::Target, name);
    key.extend_from_slice(target);
    key.extend_from_slice(tag.as_str().as_bytes());
    key
}

/// A digest as a value, or as a key's part.
pub(crate) fn digest_bytes(digest: &Digest) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(65);
    push_digest(&mut bytes, digest);
    bytes
}

/// One byte says which algorithm and so how many follow: no digest is another's prefix.
fn push_digest(key: &mut Vec<u8>, digest: &Digest) {
    key.push(match digest.algorithm() {
        Algorithm::Sha256 => 2,
        Algorithm::Sha512 => 5,
    });
    key.extend_from_slice(digest.as_bytes());
}

/// Reads the digest at the end of a key.
pub(crate) fn digest_at(rest: &[u8]) -> Option<Digest> {
    let (algorithm, bytes) = rest.split_first()?;
    match algorithm {
        2 => Digest::from_bytes(Algorithm::Sha256, bytes),
        5 => Digest::from_bytes(Algorithm::Sha512, bytes),
        _ => None,
    }
}

/// Reads the second digest of a pair.
pub(crate) fn second_digest_at(rest: &[u8]) -> Option<Digest> {
    let first = match rest.first()? {
        2 => 33,
        _ => 65,
    };
    digest_at(rest.get(first..)?)
}

/// Reads the tag at the end of a key.
pub(crate) fn tag_at(rest: &[u8]) -> Option<Tag> {
    std::str::from_utf8(rest).ok()?.parse().ok()
}

/// The repository of a key.
pub(crate) fn repository_of(key: &[u8]) -> Option<RepositoryName> {
    name_and_rest(key.get(1..)?)?.0.parse().ok()
}

/// The repository, as text, and the digest of a key of [`Table::Manifest`] behind its first byte.
pub(crate) fn manifest_of(behind: &[u8]) -> Option<(&str, Digest)> {
    let (name, rest) = name_and_rest(behind)?;
    Some((name, digest_at(rest)?))
}

fn name_and_rest(behind: &[u8]) -> Option<(&str, &[u8])> {
    let end = behind.iter().position(|byte| *byte == 0)?;
    Some((std::str::from_utf8(&behind[..end]).ok()?, &behind[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_repository_whose_name_begins_like_another_is_not_found_with_it() {
        let (short, long): (RepositoryName, RepositoryName) = ("a/b".parse().unwrap(), "a/b-c".parse().unwrap());
        let digest = Algorithm::Sha256.digest(b"x");
        assert!(!with_digest(Table::Blob, &long, &digest).starts_with(&in_repository(Table::Blob, &short)));
    }

    proptest! {
        #[test]
        fn keys_are_reversible(name in "[a-z0-9]{1,8}(/[a-z0-9]{1,8}){0,2}", content: Vec<u8>, long: bool) {
            let name: RepositoryName = name.parse().unwrap();
            let digest = if long { Algorithm::Sha512 } else { Algorithm::Sha256 }.digest(&content);
            let key = with_pair(Table::Use, &name, &digest, &digest);
            prop_assert_eq!(repository_of(&key), Some(name.clone()));
            let prefix = with_digest(Table::Use, &name, &digest);
            prop_assert_eq!(digest_at(&key[prefix.len()..]), Some(digest));
            prop_assert_eq!(second_digest_at(&key[in_repository(Table::Use, &name).len()..]), Some(digest));
        }
    }
}
