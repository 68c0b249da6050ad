//! Tests of the inventory format.

use airdock_registry::oci::Algorithm;
use proptest::prelude::*;

use super::*;

const A: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn digest(seed: u8) -> Digest {
    Algorithm::Sha256.digest(&[seed])
}

fn problem(text: &str) -> String {
    Inventory::parse(text.as_bytes()).unwrap_err().to_string()
}

#[test]
fn every_kind_of_name_is_read_and_written_the_same() {
    let text = format!(
        "# airdock inventory 1\n# expires 2027-03-01T00:00:00Z\n{A}  -\n{A}  :sha256-ab.sig\n{A}  @{A}\n{A}  charts/a\n\
         {A}  docker.io/zenmldocker/zenml:0.93.2\n"
    );
    let read = Inventory::parse(text.as_bytes()).unwrap();
    assert_eq!(read.to_string(), text);
    let tagged: Vec<_> = read.entries.iter().filter(|entry| entry.is_tagged()).map(Entry::name).collect();
    assert_eq!(tagged, [":sha256-ab.sig", "docker.io/zenmldocker/zenml:0.93.2"]);
    assert!(read.is_expired("2027-03-01T00:00:00Z".parse().unwrap()));
    assert!(!read.is_expired("2027-02-28T23:59:59Z".parse().unwrap()));
}

#[test]
fn what_could_be_read_two_ways_is_refused_with_its_line() {
    for (after, said) in [
        ("\n", "line 2: `` is not"),
        ("# made by somebody\n", "line 2: `# made by somebody` is not known"),
        ("# expires tomorrow\n", "line 2: `tomorrow` is no time"),
        ("# expires 2027-03-01T00:00:00+01:00\n", "line 2"),
        ("# expires 2027-03-01T00:00:00Z\n# expires 2028-03-01T00:00:00Z\n", "line 3: `# expires` belongs"),
        ("sha256:00  a:1\n", "line 2: `sha256:00`"),
        ("AA a:1\n", "` is not `DIGEST  NAME`"),
        ("AA   a:1\n", "line 2: ` a:1` is no name"),
        ("AA  a:1 \n", "line 2: `a:1 ` is no name"),
        ("AA  a:1\r\n", "line 2: `a:1\u{fffd}` is no name"),
        ("AA  A:1\n", "line 2: `A:1` is no name"),
        ("AA  a:\n", "line 2: `a:` is no name"),
        ("AA  @b\n", "line 2: `@b` is no name"),
        ("AA  \n", "line 2: `` is no name"),
        ("AA  a:1\nAA  a:1\n", "line 3: `a:1` is in line 2 already"),
        ("AA  a:1\nBB  a:1\n", "line 3: `a:1` is in line 2 already"),
        ("AA  -\nAA  -\n", "twice"),
        ("AA  a\n# expires 2027-03-01T00:00:00Z\n", "line 3: `# expires` belongs"),
    ] {
        let after = after.replace("AA", A).replace("BB", &digest(1).to_string());
        let told = problem(&format!("# airdock inventory 1\n{after}"));
        assert!(told.contains(said), "{after}: {told}");
    }
    assert!(problem("# airdock inventory 2\n").contains("line 1: version 2 is not read here"));
    for first in ["", "\n", "sha256:", "# airdock inventory", "#airdock inventory 1", "\u{feff}# airdock inventory 1"] {
        assert!(problem(first).starts_with("line 1: "), "{first}");
    }
    let error = Inventory::parse(b"# airdock inventory 1\n\xff").unwrap_err();
    assert_eq!(error.to_string(), "line 2: it is not UTF-8");
}

#[test]
fn the_same_digest_and_the_same_repository_may_be_there_often() {
    let text = format!("# airdock inventory 1\n{A}  a:1\n{A}  a:2\n{A}  b\n{}  b\n{A}  -\n{}  -", digest(1), digest(2));
    let read = Inventory::parse(text.as_bytes()).unwrap();
    assert_eq!((read.entries.len(), read.contested()), (6, Vec::new()));
}

#[test]
fn an_expiry_is_a_day_a_time_or_a_duration_to_come() {
    let now: Timestamp = "2026-11-21T12:00:00.5Z".parse().unwrap();
    for (text, until) in [
        ("2027-03-01", "2027-03-01T00:00:00Z"),
        ("2027-03-01T08:30:00Z", "2027-03-01T08:30:00Z"),
        ("90d", "2027-02-19T12:00:00Z"),
        ("12h", "2026-11-22T00:00:00Z"),
        ("2w", "2026-12-05T12:00:00Z"),
    ] {
        assert_eq!(expiry(text, now).unwrap().to_string(), until, "{text}");
    }
    for text in ["", "soon", "90", "0d", "2 days ago", "2026-11-21", "2020-01-01", "1mo", "99999999999d", "2027-13-01"]
    {
        assert!(expiry(text, now).is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        names in proptest::collection::btree_set("[a-z]{1,8}(/[a-z0-9]{1,8}){0,2}(:[A-Za-z0-9_][A-Za-z0-9._-]{0,8})?", 0..20),
        nameless in proptest::collection::btree_set(any::<u8>(), 0..5),
        seconds in proptest::option::of(0_i64..4_000_000_000),
    ) {
        let mut entries: BTreeSet<Entry> = nameless.into_iter().map(|seed| Entry::nameless(digest(seed))).collect();
        entries.extend(names.iter().enumerate().map(|(n, name)| Entry { name: name.clone(), digest: digest(n as u8) }));
        let expires = seconds.map(|seconds| Timestamp::from_second(seconds).unwrap());
        let inventory = Inventory { expires, entries };
        prop_assert_eq!(Inventory::parse(inventory.to_string().as_bytes()).unwrap(), inventory);
    }

    #[test]
    fn any_text_is_read_or_refused_and_what_is_read_says_itself_again(
        lines in proptest::collection::vec(
            prop_oneof![
                Just("# expires 2027-03-01T00:00:00Z".to_owned()),
                "(sha256:[0-9a-f]{64})?  ?[-:@a-z0-9/.]{0,20}",
                any::<String>(),
            ],
            0..8,
        ),
        headed: bool,
    ) {
        let text = format!("{}{}", if headed { "# airdock inventory 1\n" } else { "" }, lines.join("\n"));
        if let Ok(read) = Inventory::parse(text.as_bytes()) {
            prop_assert_eq!(Inventory::parse(read.to_string().as_bytes()).unwrap(), read);
        }
    }
}
