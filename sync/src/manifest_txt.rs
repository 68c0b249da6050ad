//! `manifest.txt`: free text for people, compared with the content of the bundle. It only causes warnings.
//!
//! Recognised: references with a tag or digest (alone on a line, with a path or a version, or to something that the bundle
//! holds), chart files `name-version.tgz`, and lines with a known name and a version. Everything else (dates, registry URLs,
//! prose) is ignored.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use airdock_registry::oci::Digest;

use crate::reference::ImageReference;

/// The longest text that is read, in bytes; the rest of a longer one is ignored.
pub const MAX_SIZE: usize = 1024 * 1024;
const MAX_WARNINGS: usize = 50;

/// One name of an image or chart that a bundle holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Held {
    /// The last component of its name, such as `zenml-pro-api`.
    pub name: String,
    /// Its tag, such as `0.10.1`, if it has one.
    pub version: Option<String>,
    /// Its manifests.
    pub digests: BTreeSet<Digest>,
}

/// The text in these bytes: UTF-8, or UTF-16 as editors of Windows write it, with or without a byte order mark.
#[must_use]
pub fn decode(bytes: &[u8]) -> String {
    let wide = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
        char::decode_utf16(units).map(|read| read.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    };
    // Of ASCII text every other byte is zero, and no line of UTF-8 has any.
    let zeros = |from: usize| bytes.len() > 3 && bytes.iter().skip(from).step_by(2).take(16).all(|byte| *byte == 0);
    match bytes {
        [0xFF, 0xFE, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => wide(rest, u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        _ if zeros(1) => wide(bytes, u16::from_le_bytes),
        _ if zeros(0) => wide(bytes, u16::from_be_bytes),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// The differences between `text` and the bundle, as sentences.
#[must_use]
pub fn cross_check(text: &str, held: &[Held]) -> Vec<String> {
    let holds = Holds::new(held);
    let mut warnings = Warnings::default();
    // What is mentioned: names with their versions, and names by themselves or by digest.
    let (mut pairs, mut alone): (BTreeSet<(String, String)>, BTreeSet<String>) = Default::default();
    let mut differing: BTreeSet<String> = BTreeSet::new();
    for line in text.lines() {
        let said = Line::read(line, &holds);
        for Said { name, version, shown } in &said.references {
            match (version, holds.versions.get(name.as_str())) {
                (Version::Tag(tag), held) => {
                    pairs.insert((name.clone(), tag.clone()));
                    match held {
                        Some(held) if held.contains(tag.as_str()) => {}
                        Some(held) if !held.is_empty() => {
                            differing.insert(name.clone());
                            warnings.push(differs(name, tag, held));
                        }
                        _ => warnings.push(format!("it names {shown}, which the bundle does not hold")),
                    }
                }
                (Version::Digest(digest), _) => {
                    alone.insert(name.clone());
                    if !holds.digests.contains(&(name.as_str(), *digest)) {
                        warnings.push(format!("it names {shown}, which the bundle does not hold"));
                    }
                }
            }
        }
        // `zenml-pro-api   0.10.1`: name and version apart on one line.
        let known = said.names.iter().filter(|name| holds.versions.contains_key(name.as_str()));
        if said.references.is_empty()
            && let [version] = said.versions.as_slice()
            && let [name] = known.collect::<Vec<_>>().as_slice()
            && let Some(held) = holds.versions.get(name.as_str())
            && !held.iter().any(|held| held.trim_start_matches('v') == version)
        {
            differing.insert((*name).clone());
            warnings.push(differs(name, version, held));
        }
        alone.extend(said.names);
    }
    for (name, held) in &holds.versions {
        if alone.contains(*name) || differing.contains(*name) {
            continue;
        }
        let unsaid = held.iter().filter(|version| !pairs.contains(&((*name).to_owned(), (**version).to_owned())));
        let unsaid: BTreeSet<&str> = unsaid.copied().collect();
        if !unsaid.is_empty() {
            warnings.push(format!("it does not mention `{name}` {}, which the bundle holds", list(&unsaid)));
        }
    }
    warnings.list()
}

/// What a bundle holds, for looking up.
struct Holds<'h> {
    /// The tags of each name that has any.
    versions: BTreeMap<&'h str, BTreeSet<&'h str>>,
    digests: HashSet<(&'h str, Digest)>,
}

impl<'h> Holds<'h> {
    fn new(held: &'h [Held]) -> Self {
        let mut holds = Self { versions: BTreeMap::new(), digests: HashSet::new() };
        for item in held {
            if let Some(version) = &item.version {
                holds.versions.entry(item.name.as_str()).or_default().insert(version.as_str());
            }
            holds.digests.extend(item.digests.iter().map(|digest| (item.name.as_str(), *digest)));
        }
        holds
    }
}

/// Sentences, each once, and only so many.
#[derive(Default)]
struct Warnings {
    all: Vec<String>,
    more: usize,
}

impl Warnings {
    fn push(&mut self, warning: String) {
        if self.all.contains(&warning) {
        } else if self.all.len() < MAX_WARNINGS {
            self.all.push(warning);
        } else {
            self.more += 1;
        }
    }

    fn list(mut self) -> Vec<String> {
        if self.more > 0 {
            self.all.push(format!("and it differs in {} more lines", self.more));
        }
        self.all
    }
}

fn differs(name: &str, version: &str, held: &BTreeSet<&str>) -> String {
    format!("it says `{name}` is {version}, the bundle holds {}", list(held))
}

fn list(versions: &BTreeSet<&str>) -> String {
    versions.iter().copied().collect::<Vec<_>>().join(", ")
}

/// A reference in a text.
struct Said {
    name: String,
    version: Version,
    /// As a sentence has it.
    shown: String,
}

enum Version {
    Tag(String),
    Digest(Digest),
}

#[derive(Default)]
struct Line {
    references: Vec<Said>,
    names: Vec<String>,
    versions: Vec<String>,
}

impl Line {
    fn read(line: &str, holds: &Holds<'_>) -> Self {
        let mut said = Self::default();
        let separators = |c: char| c.is_whitespace() || "\"'`,;()[]{}<>|*=".contains(c);
        let tokens = line.split(separators).map(|token| token.trim_matches(|c: char| ".:!?-".contains(c)));
        let tokens =
            tokens.map(|token| token.strip_prefix("oci://").unwrap_or(token)).filter(|token| !token.is_empty());
        let is_list = tokens.clone().count() == 1;
        for token in tokens {
            // A URL is an address, not content of the bundle.
            if token.len() > 600 || token.contains("://") {
                continue;
            }
            if is_version(token) {
                said.versions.push(token.strip_prefix('v').unwrap_or(token).to_owned());
                said.versions.dedup();
            } else if let Some(reference) = chart_file(token).or_else(|| reference(token, is_list, holds)) {
                said.references.push(reference);
            } else if let Some(name) = token.rsplit('/').next().filter(|name| is_name(name)) {
                said.names.push(name.trim_end_matches(".tar").to_owned());
            }
        }
        said
    }
}

/// `zenml-pro-0.10.1.tgz`, with or without a folder in front.
fn chart_file(token: &str) -> Option<Said> {
    let stem = token.rsplit('/').next()?.strip_suffix(".tgz")?;
    stem.match_indices('-').find_map(|(at, _)| {
        let (name, version) = (&stem[..at], &stem[at + 1..]);
        let version = version.replace('+', "_");
        let shown = format!("`{name}` {version}");
        (is_version(&version) && is_name(name)).then(|| Said {
            name: name.to_owned(),
            version: Version::Tag(version),
            shown,
        })
    })
}

/// `docker.io/zenmldocker/zenml:0.93.2`, whatever its tag, but not a time of day or a host's port. `is_list`: it is alone on
/// its line.
fn reference(token: &str, is_list: bool, holds: &Holds<'_>) -> Option<Said> {
    let reference: ImageReference = token.parse().ok()?;
    let name = reference.short_name();
    if !is_name(name) {
        return None;
    }
    let shown = format!("`{token}`");
    if let Some(digest) = reference.digest() {
        return Some(Said { name: name.to_owned(), version: Version::Digest(*digest), shown });
    }
    let tag = reference.tag()?.as_str();
    let has_path = token.contains('/');
    let is_port = !has_path && name.contains('.') && tag.bytes().all(|byte| byte.is_ascii_digit());
    let first = token.split('/').next().unwrap_or_default();
    let has_host = has_path && first.contains('.');
    let is_known = holds.versions.contains_key(name);
    let is_it = is_list || has_host || is_known || tag == "latest" || is_version(tag);
    (is_it && !is_port).then(|| Said { name: name.to_owned(), version: Version::Tag(tag.to_owned()), shown })
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.len() > 1
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c))
}

/// At least `1.2`, because a single number is more often a date or a size.
fn is_version(text: &str) -> bool {
    let text = text.strip_prefix('v').unwrap_or(text);
    let core = text.split(['-', '+', '_']).next().unwrap_or_default();
    let parts: Vec<&str> = core.split('.').collect();
    let number = |part: &&str| !part.is_empty() && part.len() < 9 && part.bytes().all(|byte| byte.is_ascii_digit());
    (2..=3).contains(&parts.len())
        && parts.iter().take(2).all(number)
        && parts.iter().all(|part| part.starts_with(|c: char| c.is_ascii_digit()))
        && text.len() < 129
        && text.chars().all(|c| c.is_ascii_alphanumeric() || ".-+_".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn held(items: &[(&str, &str)]) -> Vec<Held> {
        let one = |(name, version): &(&str, &str)| Held {
            name: (*name).into(),
            version: Some((*version).into()),
            digests: BTreeSet::new(),
        };
        items.iter().map(one).collect()
    }

    const TEXT: &str = "ZenML Pro air-gapped bundle, 2026-11-20 12:30
Images (registry https://registry.corp:5000/zenml, mirror registry.corp:5000):
 - 715803424590.dkr.ecr.eu-west-1.amazonaws.com/zenml-pro-api:0.10.1
 - zenml-pro-dashboard   0.10.1
 - zenmldocker/zenml:0.93.2.
Charts: charts/zenml-pro-0.10.1.tgz, zenml-0.93.2.tgz
";

    #[test]
    fn a_text_that_agrees_says_nothing() {
        let held = held(&[
            ("zenml-pro-api", "0.10.1"),
            ("zenml-pro-dashboard", "0.10.1"),
            ("zenml", "0.93.2"),
            ("zenml-pro", "0.10.1"),
        ]);
        assert_eq!(cross_check(TEXT, &held), Vec::<String>::new());
    }

    #[test]
    fn another_version_a_missing_and_an_unmentioned_image_are_each_named() {
        let held = held(&[
            ("zenml-pro-api", "0.10.2"),
            ("zenml-pro-dashboard", "0.10.2"),
            ("zenml", "0.93.2"),
            ("extra", "1.0"),
        ]);
        let warnings = cross_check(TEXT, &held);
        assert_eq!(warnings.len(), 4, "{warnings:?}");
        assert!(warnings[0].contains("`zenml-pro-api` is 0.10.1") && warnings[0].contains("0.10.2"), "{warnings:?}");
        assert!(warnings[1].contains("`zenml-pro-dashboard` is 0.10.1"), "{warnings:?}");
        assert!(warnings[2].contains("`zenml-pro` 0.10.1") && warnings[2].contains("does not hold"), "{warnings:?}");
        assert!(warnings[3].contains("`extra`"), "{warnings:?}");
    }

    #[test]
    fn dates_times_ports_and_sizes_are_no_images() {
        let prose = "made 2026-11-20 at 12:30 on host:5000, 4.2 GB, http://a.b:80/c:1.0, see README: sizes 3:2\n";
        assert_eq!(cross_check(prose, &[]), Vec::<String>::new());
    }

    #[test]
    fn warnings_are_bounded() {
        let long: String = (0..1000).map(|n| format!("a/image{n}:1.0\n")).collect();
        assert_eq!(cross_check(&long, &[]).len(), MAX_WARNINGS + 1);
    }

    #[test]
    fn b6_a_reference_is_one_whatever_its_tag_and_each_that_is_missing_is_named() {
        let digest = airdock_registry::oci::Algorithm::Sha256.digest(b"busybox");
        let text = format!(
            "docker.io/library/nginx:alpine\ndocker.io/library/postgres:16\nquay.io/argo/argocd:v3\nghcr.io/x/tool:sha-1a2b3c4\n\
             registry.k8s.io/pause:3.9\nredis:latest\ndocker.io/library/busybox@{digest}\n"
        );
        let names = [
            ("nginx", "alpine"),
            ("postgres", "16"),
            ("argocd", "v3"),
            ("tool", "sha-1a2b3c4"),
            ("pause", "3.9"),
            ("redis", "latest"),
        ];
        let mut all = held(&names);
        all.push(Held { name: "busybox".into(), version: None, digests: [digest].into() });
        assert_eq!(cross_check(&text, &all), Vec::<String>::new());
        let missing = cross_check(&text, &held(&[("pause", "3.9")]));
        assert_eq!(missing.len(), 6, "{missing:?}");
        for line in text.lines().filter(|line| !line.contains("pause")) {
            assert!(missing.iter().any(|told| told.contains(line)), "{line}: {missing:?}");
        }
        let extra = cross_check(&text, &[all, held(&[("nginx", "1.25"), ("extra", "stable")])].concat());
        assert_eq!(extra.len(), 2, "{extra:?}");
        assert!(extra[0].contains("`extra` stable") && extra[1].contains("`nginx` 1.25"), "{extra:?}");
    }

    #[test]
    fn b6_text_of_windows_is_read() {
        let text = "docker.io/library/nginx:alpine\r\nü\r\n";
        let wide = |unit: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(unit).collect::<Vec<u8>>();
        let (little, big) = (wide(u16::to_le_bytes), wide(u16::to_be_bytes));
        for bytes in [
            text.as_bytes().to_vec(),
            [b"\xEF\xBB\xBF", text.as_bytes()].concat(),
            [b"\xFF\xFE", little.as_slice()].concat(),
            [b"\xFE\xFF", big.as_slice()].concat(),
            little,
            big,
        ] {
            assert_eq!(decode(&bytes), text);
        }
        assert_eq!(decode(b""), "");
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text: String, near in "[a-z0-9:./@ \n-]{0,200}") {
            let held = held(&[("zenml", "1.0")]);
            let _ = cross_check(&text, &held);
            let _ = cross_check(&near, &held);
            prop_assert_eq!(decode(text.as_bytes()), text.strip_prefix('\u{feff}').unwrap_or(&text));
        }
    }
}
