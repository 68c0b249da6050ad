//! end-8 and Docker's catalog: complete lists and pages.

use testkit::client::Client;
use testkit::content::digest;
use testkit::manifest::image;
use testkit::process::Airdock;
use testkit::push::{push_blob, push_image, put_manifest};

/// Follows the links from `target` to the end. Returns all entries of `key` and the number of pages.
fn all(client: &Client, target: &str, key: &str) -> (Vec<String>, usize) {
    let (mut found, mut pages, mut next) = (Vec::new(), 0, Some(target.to_owned()));
    while let Some(target) = next {
        let answer = client.get(&target).expect(200);
        let entries = answer.json()[key].as_array().expect("a list, never null").clone();
        found.extend(entries.iter().map(|entry| entry.as_str().unwrap().to_owned()));
        pages += 1;
        next = answer.next_page();
    }
    (found, pages)
}

#[test]
fn end_8_h25_tags_come_in_bytewise_order_and_each_once() {
    let airdock = Airdock::start();
    let client = airdock.client();
    push_blob(&client, "a", b"{}");
    let manifest = image(&[], "");
    let mut tags: Vec<_> = (0..300).map(|number| format!("v{number}")).collect();
    tags.extend(["1", "1.0", "1.0.0", "1.0.0-rc", "latest", "Latest", "_", "A", "a", "Z", "z"].map(str::to_owned));
    for some in tags.chunks(100) {
        put_manifest(&client, "a", &format!("{}?tag={}", digest(&manifest), some.join("&tag=")), &manifest).expect(201);
    }
    tags.sort();
    assert_eq!(all(&client, "/v2/a/tags/list", "tags"), (tags.clone(), 1), "one page unless asked otherwise");
    assert_eq!(all(&client, "/v2/a/tags/list?n=7", "tags"), (tags.clone(), tags.len().div_ceil(7)));
    assert_eq!(all(&client, &format!("/v2/a/tags/list?n={}", tags.len()), "tags").0, tags);
    let after = |last: &str| all(&client, &format!("/v2/a/tags/list?last={last}"), "tags").0;
    assert_eq!(after("1.0"), tags.iter().filter(|tag| &***tag > "1.0").cloned().collect::<Vec<_>>());
    assert_eq!(
        after("b%20is%20no%20tag"),
        tags.iter().filter(|tag| &***tag > "b is no tag").cloned().collect::<Vec<_>>()
    );
    assert_eq!(after("zz"), Vec::<String>::new());
    let none = client.get("/v2/a/tags/list?n=0").expect(200);
    assert_eq!((none.text(), none.header("link")), (r#"{"name":"a","tags":[]}"#.into(), None));
}

#[test]
fn end_8_a_repository_that_is_not_is_404_and_one_without_tags_is_an_empty_list() {
    let airdock = Airdock::start();
    let client = airdock.client();
    assert_eq!(client.get("/v2/a/tags/list").expect(404).error_code(), "NAME_UNKNOWN");
    push_blob(&client, "a", b"{}");
    let manifest = image(&[], "");
    put_manifest(&client, "a", &digest(&manifest), &manifest).expect(201);
    assert_eq!(client.get("/v2/a/tags/list").expect(200).text(), r#"{"name":"a","tags":[]}"#);
}

#[test]
fn h24_the_catalog_in_pages_is_complete_while_repositories_come() {
    let airdock = Airdock::start();
    let client = airdock.client();
    let mut names = vec!["a".to_owned(), "a/b".into(), "a/b/c".into(), "ab".into(), "docker.io/library/x".into()];
    names.extend((0..20).map(|number| format!("team/r{number}")));
    for name in &names {
        push_image(&client, name, "v1", &[]);
    }
    names.sort();
    for n in [1, 3, 1000] {
        assert_eq!(all(&client, &format!("/v2/_catalog?n={n}"), "repositories").0, names, "{n}");
    }
    let first = client.get("/v2/_catalog?n=10").expect(200);
    push_image(&client, "a/a", "v1", &[]);
    let link = first.header("link").unwrap();
    let rest = all(&client, link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap(), "repositories").0;
    assert_eq!(rest, names[10..]);
    for n in ["-1", "abc", "1e3", ""] {
        assert_eq!(client.get(&format!("/v2/_catalog?n={n}")).expect(400).error_code(), "PAGINATION_NUMBER_INVALID");
    }
    client.get("/v2/_catalog?n=9223372036854775808").expect(200);
    client.get("/v2/_catalog?last=%00").expect(200);
    assert_eq!(client.get("/v2/_catalog?n=0").expect(200).text(), r#"{"repositories":[]}"#);
}
