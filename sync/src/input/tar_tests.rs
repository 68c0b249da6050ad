//! Tests of the tar reader. Whole archives are tested in `tests/it/hostile_archives.rs`.

use proptest::prelude::*;

use super::*;

/// Every entry as `path size offset`, or the problem.
fn entries(archive: &[u8]) -> Result<Vec<String>> {
    let mut source = archive;
    let mut tar = TarReader::new(&mut source, 10_000);
    let mut seen = Vec::new();
    while let Some(entry) = tar.next()? {
        seen.push(format!("{} {} {}", entry.path, entry.size, entry.offset));
    }
    Ok(seen)
}

/// The same, as the `tar` crate sees it.
fn entries_of_the_crate(archive: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries().unwrap().map(Result::unwrap);
    let shown = |entry: tar::Entry<'_, &[u8]>| {
        let path = entry.path().unwrap().to_string_lossy().trim_start_matches("./").trim_end_matches('/').to_owned();
        format!("{path} {} {}", entry.size(), entry.raw_file_position())
    };
    entries.map(shown).collect()
}

fn build(files: &[(String, Vec<u8>)], mode: fn() -> Header) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = mode();
        header.set_size(content.len() as u64);
        header.set_mtime(1_700_000_000);
        builder.append_data(&mut header, path, content.as_slice()).unwrap();
    }
    builder.into_inner().unwrap()
}

#[test]
fn it_sees_what_the_tar_crate_sees() {
    let long = "folder/".repeat(30) + "file";
    let files =
        [("a".into(), b"x".to_vec()), (long, vec![7; 1000]), ("./b/c".into(), Vec::new()), ("d".into(), vec![1; 512])];
    for mode in [Header::new_gnu as fn() -> Header, Header::new_ustar] {
        let archive = build(&files, mode);
        assert_eq!(entries(&archive).unwrap(), entries_of_the_crate(&archive));
    }
}

#[test]
fn a01_it_sees_what_gnu_tar_sees_in_each_of_its_formats() {
    let folder = tempfile::tempdir().unwrap();
    let long = "n".repeat(200);
    std::fs::create_dir(folder.path().join("d")).unwrap();
    std::fs::write(folder.path().join("d").join(&long), [1; 700]).unwrap();
    std::fs::write(folder.path().join("f"), b"content").unwrap();
    std::os::unix::fs::symlink("f", folder.path().join("link")).unwrap();
    for format in ["gnu", "pax", "oldgnu"] {
        let run = |arguments: &[&str]| {
            let output = std::process::Command::new("tar").current_dir(folder.path()).args(arguments).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        run(&["--format", format, "--sort=name", "-cf", "x.tar", "d", "f", "link"]);
        let archive = std::fs::read(folder.path().join("x.tar")).unwrap();
        let theirs: Vec<String> =
            run(&["-tf", "x.tar"]).lines().map(|line| line.trim_end_matches('/').to_owned()).collect();
        let ours: Vec<String> =
            entries(&archive).unwrap().iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
        assert_eq!(ours, theirs, "{format}");
    }
}

#[test]
fn a_size_beyond_eight_gibibytes_is_taken_from_base_256_and_from_pax() {
    let size = 9_u64 << 30;
    let mut header = Header::new_gnu();
    header.set_path("huge").unwrap();
    header.set_size(size);
    header.set_cksum();
    let mut source = header.as_bytes().as_slice();
    assert_eq!(TarReader::new(&mut source, 9).next().unwrap().unwrap().size, size);
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_pax_extensions([("size", size.to_string().as_bytes())]).unwrap();
    let mut archive = builder.into_inner().unwrap();
    archive.truncate(1024);
    header.set_size(0);
    header.set_cksum();
    archive.extend_from_slice(header.as_bytes());
    let mut source = archive.as_slice();
    assert_eq!(TarReader::new(&mut source, 9).next().unwrap().unwrap().size, size);
}

#[test]
fn a_body_that_is_not_read_is_passed_over_and_one_half_read_too() {
    let archive = build(
        &[("a".into(), vec![1; 2000]), ("b".into(), vec![2; 2000]), ("c".into(), b"end".to_vec())],
        Header::new_gnu,
    );
    let mut source = archive.as_slice();
    let mut tar = TarReader::new(&mut source, 9);
    tar.next().unwrap().unwrap();
    tar.next().unwrap().unwrap();
    let mut half = [0; 700];
    let body: &mut dyn Source = &mut tar.body();
    body.read_exact(&mut half).unwrap();
    assert_eq!(tar.next().unwrap().unwrap().path, "c");
    assert_eq!(read_all(&mut tar.body()).unwrap(), b"end");
    assert!(tar.next().unwrap().is_none());
}

proptest! {
    #[test]
    fn archives_of_any_files_read_back_as_the_crate_wrote_them(
        files in proptest::collection::btree_map("[a-z]{1,9}(/[a-z]{1,60}){0,4}", proptest::collection::vec(any::<u8>(), 0..1500), 0..6)
    ) {
        let files: Vec<(String, Vec<u8>)> = files.into_iter().collect();
        let archive = build(&files, Header::new_gnu);
        prop_assert_eq!(entries(&archive).unwrap(), entries_of_the_crate(&archive));
        // Cut short anywhere, it is never read as complete.
        for end in (0..archive.len()).step_by(256) {
            prop_assert!(entries(&archive[..end]).is_err());
        }
    }

    #[test]
    fn bytes_changed_at_will_are_read_or_refused_without_panic(
        at in proptest::collection::vec((0_usize..3072, any::<u8>()), 1..40), keep_sum: bool
    ) {
        let mut archive = build(&[("a".into(), b"x".to_vec()), ("b".repeat(150), vec![3; 9])], Header::new_gnu);
        for (at, byte) in at {
            let at = at % archive.len();
            archive[at] = byte;
        }
        if keep_sum {
            let (first, _) = archive.split_at_mut(512);
            let mut header = Header::from_byte_slice(first).clone();
            header.set_cksum();
            first.copy_from_slice(header.as_bytes());
        }
        let _ = entries(&archive);
    }

    #[test]
    fn any_bytes_are_read_or_refused_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
        let _ = entries(&bytes);
        let _ = Extension::parse(&bytes);
    }
}

#[test]
fn a01_what_it_takes_of_a_header_that_was_changed_anywhere_gnu_tar_takes_the_same_way() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.tar");
    let files = [("d/one".into(), vec![b'1'; 700]), ("two".into(), b"2".to_vec()), ("three".into(), vec![b'3'; 512])];
    let (mut compared, mut refused) = (0, 0);
    for mode in [Header::new_gnu as fn() -> Header, Header::new_ustar] {
        let honest = build(&files, mode);
        // Each byte of the second file's header in turn is set to values that matter in some field.
        let header = 512 + 1024..512 + 1024 + 512;
        for (turn, place) in header.clone().enumerate() {
            let value = [0, b' ', b'/', b'0', b'7', b'x', 0x80][turn % 7];
            let mut archive = honest.clone();
            archive[place] = value;
            let mut changed = Header::from_byte_slice(&archive[header.clone()]).clone();
            changed.set_cksum();
            archive[header.clone()].copy_from_slice(changed.as_bytes());
            let Ok(ours) = entries(&archive) else {
                refused += 1;
                continue;
            };
            // Entries after a block of zeros are not listed; beyond names and numbers every third position is enough.
            if turn > 160 && turn % 3 > 0 {
                continue;
            }
            std::fs::write(&path, &archive).unwrap();
            let mut tar = std::process::Command::new("tar");
            // GNU tar also complains about owners and times, which do not matter here; its list shows what it accepts.
            let theirs = tar.args(["--quoting-style=literal", "-tf"]).arg(&path).output().unwrap().stdout;
            let theirs: Vec<_> = String::from_utf8_lossy(&theirs).lines().map(str::to_owned).collect();
            let name = |line: &String| line.rsplitn(3, ' ').nth(2).unwrap().to_owned();
            assert_eq!(ours.iter().map(name).collect::<Vec<_>>(), theirs, "byte {turn} is {value}");
            compared += 1;
        }
    }
    assert!(compared > 300 && refused > 10, "{compared} compared, {refused} refused");
}

#[test]
fn a01_a_name_that_go_reads_otherwise_than_gnu_tar_is_refused() {
    // Go's archive/tar, `Reader.readHeader`: a GNU header without valid times has the first part of the path there.
    let archive = |atime: &[u8], mode: fn() -> Header| {
        let mut header = mode();
        header.set_path("manifest.json").unwrap();
        header.set_size(0);
        header.as_mut_bytes()[345..345 + atime.len()].copy_from_slice(atime);
        header.set_cksum();
        [header.as_bytes().as_slice(), &[0; 1024]].concat()
    };
    for time in [&b""[..], b"14524770400\0", b"14524770400 14524770400\0", b"  14524770400"] {
        assert_eq!(entries(&archive(time, Header::new_gnu)).unwrap(), ["manifest.json 0 512"], "{time:?}");
    }
    for prefix in [&b"x"[..], b"/", b"a/b", &[0x80; 12], b"14524770400\0other"] {
        let told = entries(&archive(prefix, Header::new_gnu)).unwrap_err().to_string();
        assert!(told.contains("manifest.json") && told.contains("disagree about its name"), "{told}");
    }
    assert_eq!(entries(&archive(b"a/b", Header::new_ustar)).unwrap(), ["a/b/manifest.json 0 512"], "there it is one");
    // star's own header, recognised by its end, has a shorter prefix.
    let star = |length: usize| [&[b'p'].repeat(length), &[0].repeat(163 - length)[..], b"tar\0"].concat();
    assert!(entries(&archive(&star(130), Header::new_ustar)).is_ok());
    assert!(entries(&archive(&star(131), Header::new_ustar)).unwrap_err().to_string().contains("disagree"));
}
