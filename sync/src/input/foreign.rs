//! What a file is that is no archive, by its first bytes, with what to do: file systems, and what is found where an archive
//! was expected.

/// How many bytes tell all of them apart.
pub(crate) const HEAD: usize = 0x1_0050;

macro_rules! holds {
    ($what:literal) => {
        concat!("it holds ", $what, "; mount it and give the folder")
    };
}

/// File systems and the like, by the bytes at an offset.
const CONTENTS: [(usize, &[u8], &str); 13] = [
    (0x438, &[0x53, 0xef], holds!("an ext4 file system")),
    (0, b"XFSB", holds!("an XFS file system")),
    (0x1_0040, b"_BHRfS_M", holds!("a btrfs file system")),
    (0x8001, b"CD001", holds!("an ISO 9660 file system")),
    (0x8001, b"BEA01", holds!("a UDF file system")),
    (3, b"NTFS    ", holds!("an NTFS file system")),
    (3, b"EXFAT   ", holds!("an exFAT file system")),
    (0x36, b"FAT", holds!("a FAT file system")),
    (0x52, b"FAT32", holds!("a FAT file system")),
    (0, b"hsqs", holds!("a squashfs file system")),
    (0, b"LUKS\xba\xbe", holds!("an encrypted volume (LUKS)")),
    (0x200, b"EFI PART", holds!("a partition table")),
    (0x1fe, &[0x55, 0xaa], holds!("a partition table")),
];

const LFS_POINTER: &str =
    "it is a pointer of Git LFS and not the file itself; fetch that with `git lfs pull`, and copy the bundle again";
const UTF_16: &str = "it is text in UTF-16, which PowerShell's `>` makes of what a program prints, so that an archive is lost; save \
                      it again with `docker save -o FILE`";
const WEB_PAGE: &str =
    "it is a web page, such as a login or an error page, and not the file that was to be downloaded; download it again";
const XML: &str = "it is an XML document, such as the error of an object store, and not the file that was to be downloaded; \
                   download it again";

/// What `head`, the first [`HEAD`] bytes of a file, belongs to, if that is known.
pub(crate) fn content(head: &[u8]) -> Option<&'static str> {
    if head.starts_with(b"version https://git-lfs.github.com/spec/") {
        return Some(LFS_POINTER);
    }
    let holds =
        |(at, expected, _): &&(usize, &[u8], &str)| head.get(*at..).is_some_and(|rest| rest.starts_with(expected));
    CONTENTS.iter().find(holds).map(|(.., what)| *what)
}

/// The same for what may be in a bundle, and is wrong where an archive should be.
pub(crate) fn in_place_of_an_archive(head: &[u8]) -> Option<&'static str> {
    if head.starts_with(&[0xff, 0xfe]) || head.starts_with(&[0xfe, 0xff]) {
        return Some(UTF_16);
    }
    let text = head.strip_prefix("\u{feff}".as_bytes()).unwrap_or(head).trim_ascii_start();
    let begins = |with: &[u8]| text.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    match () {
        () if begins(b"<!doctype html") || begins(b"<html") => Some(WEB_PAGE),
        () if begins(b"<?xml") => Some(XML),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b18_what_is_found_in_place_of_an_archive_is_named() {
        let mut iso = vec![0; 0x8001];
        iso.extend(b"CD001\x01");
        assert!(content(&iso).unwrap().contains("ISO 9660"));
        assert!(
            content(b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\n").unwrap().contains("git lfs pull")
        );
        for (head, told) in [
            (&b"\xff\xfe1\x002\x00"[..], "UTF-16"),
            (b"\n<!DOCTYPE HTML>\n<html>", "web page"),
            (b"<html><head>", "web page"),
            (b"\xef\xbb\xbf<html>", "web page"),
            (b"<?xml version=\"1.0\"?><Error>", "XML"),
        ] {
            assert!(in_place_of_an_archive(head).unwrap().contains(told), "{told}");
        }
        for head in [&b""[..], b"{}", b"plain text", &[0; 600]] {
            assert_eq!((content(head), in_place_of_an_archive(head)), (None, None));
        }
    }
}
