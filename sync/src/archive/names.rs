//! What content in an image layout is called (protocol notes 4.7): the full name that containerd and Docker write, else a
//! full name in `ref.name` as podman and skopeo write it, else a bare tag with the repository it was pulled from. Content
//! without a name goes beside the manifest it is about, in this ingest or in the registry; else under the base name; else
//! under `untagged`, by its digest.

use std::collections::{BTreeMap, HashSet};

use airdock_registry::oci::{Digest, Manifest, RepositoryName, Tag};
use serde::Deserialize;

use super::found::{FoundName, UNTAGGED};
use crate::reference::ImageReference;
use crate::text::printable;

pub(crate) const IMAGE_NAME: &str = "io.containerd.image.name";
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";
const BASE_NAME: &str = "org.opencontainers.image.base.name";
const SOURCE: &str = "containerd.io/distribution.source.";
/// A tool gives an image a few names; a hostile index could give it very many.
pub(crate) const MAX_NAMES: usize = 1000;

pub(crate) type Annotations = BTreeMap<String, String>;

/// The names of one manifest, as its archive states them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// Given by its path in the archive.
    own: Vec<FoundName>,
    /// Names whose host was cut off.
    pub(crate) cut: Vec<FoundName>,
    /// The manifest it belongs to, and its tag there.
    pub(crate) beside: Option<(Digest, Option<Tag>)>,
    /// `index.json` states all names; a `manifest.json` beside it states less.
    pub(crate) complete: bool,
    full: Vec<ImageReference>,
    bare: Vec<Tag>,
    sources: Vec<(String, String)>,
    unread: Vec<String>,
    /// There were more names than are used.
    more: bool,
}

/// The names that were decided on.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    pub(crate) names: Vec<FoundName>,
    pub(crate) notes: Vec<String>,
    pub(crate) beside: Option<(Digest, Option<Tag>)>,
    /// The names were only derived, or there is none.
    pub(crate) derived: bool,
}

impl Names {
    /// Names given by a path in the archive.
    pub(crate) fn given(own: impl IntoIterator<Item = FoundName>) -> Self {
        Self { own: own.into_iter().collect(), ..Self::default() }
    }

    /// Takes the annotations of one entry in `index.json`. `is_zarf`: the name may be where only zarf puts it. To others
    /// that is the name of another image, the base of this one.
    pub(crate) fn read(&mut self, annotations: &Annotations, is_zarf: bool) {
        for (key, repositories) in annotations {
            if let Some(host) = key.strip_prefix(SOURCE) {
                for repository in repositories.split(',').take(16) {
                    push_new(&mut self.sources, (host.to_owned(), repository.trim().to_owned()));
                }
            }
        }
        let image_name = annotations.get(IMAGE_NAME).filter(|name| !name.is_empty());
        let ref_name = annotations.get(REF_NAME).filter(|name| !name.is_empty());
        let base_name = annotations.get(BASE_NAME).filter(|name| is_zarf && !name.is_empty());
        let image_name = image_name.or(base_name.filter(|_| ref_name.is_none()));
        let Some(name) = image_name.or(ref_name).filter(|name| !is_id(name)) else { return };
        // A bare word in `ref.name` is a tag, though it would also parse as a name on Docker Hub.
        let full = image_name.is_some() || name.contains(['/', ':']);
        match (full, name.parse::<ImageReference>(), name.parse::<Tag>()) {
            (true, Ok(_), _) if self.full.len() >= MAX_NAMES => self.more = true,
            (true, Ok(reference), _) => push_new(&mut self.full, reference.or_latest()),
            (false, _, Ok(_)) if self.bare.len() >= MAX_NAMES => self.more = true,
            (false, _, Ok(tag)) => push_new(&mut self.bare, tag),
            _ => push_new(&mut self.unread, printable(name)),
        }
    }

    /// The name for messages.
    pub(crate) fn label(&self, digest: &Digest) -> String {
        match (self.full.first(), self.own.first().or_else(|| self.cut.first()), self.bare.first()) {
            (Some(reference), ..) => reference.to_string(),
            (None, Some(name), _) => name.shown.clone(),
            (None, None, Some(tag)) => tag.to_string(),
            (None, None, None) => digest.to_string(),
        }
    }

    /// Decides in the order of the protocol notes, 4.7. `base` is the repository for bare tags.
    pub(crate) fn settle(
        self,
        root: Digest,
        manifest: &Manifest,
        chart: Option<&[u8]>,
        base: Option<&RepositoryName>,
    ) -> Settled {
        let mut settled = Settled::default();
        let names = &mut settled.names;
        settled.notes.extend(self.more.then(too_many));
        for name in &self.unread {
            settled.notes.push(format!("its name `{name}` is no image reference and was not used"));
        }
        names.extend(self.own);
        names.extend(self.full.iter().map(of_reference));
        if names.is_empty() {
            names.extend(chart.and_then(of_chart));
        }
        if names.is_empty() {
            names.extend(self.cut);
        }
        settled.derived = names.is_empty();
        if let Some(base) = base.filter(|_| names.is_empty()) {
            let joined = self.bare.iter().filter(|tag| signed_digest(tag).is_none());
            names.extend(joined.map(|tag| FoundName::stored(base.clone(), Some(tag.clone()), &root)));
        }
        if names.is_empty() {
            for source in self.sources.iter().filter_map(|(host, path)| ImageReference::new(host, path, None).ok()) {
                let tags = self.bare.iter().map(Some).chain(self.bare.is_empty().then_some(None));
                let room = MAX_NAMES.saturating_sub(names.len());
                names.extend(tags.take(room).map(|tag| FoundName {
                    repository: source.repository().clone(),
                    tag: tag.cloned(),
                    shown: tag.map_or_else(|| format!("{source}@{root}"), |tag| format!("{source}:{tag}")),
                }));
            }
            if names.len() >= MAX_NAMES {
                settled.notes.push(too_many());
            }
        }
        if names.is_empty() {
            let signed = self.bare.iter().find_map(|tag| Some((signed_digest(tag)?, Some(tag.clone()))));
            settled.beside = self.beside.or(signed).or_else(|| Some((manifest.subject()?.digest, None)));
            match (base, &settled.beside) {
                // Where it goes if what it belongs to is nowhere.
                (Some(base), Some((_, tag))) => names.push(FoundName::stored(base.clone(), tag.clone(), &root)),
                _ => names.extend(untagged(&root, self.bare.first())),
            }
            if settled.beside.is_none() {
                settled.notes.push(no_name(self.bare.first()));
            }
        }
        settled
    }
}

/// The note for content with more names than are used.
pub(crate) fn too_many() -> String {
    format!("it has more names; only the first {MAX_NAMES} were used")
}

fn push_new<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if list.len() < MAX_NAMES && !list.contains(&item) {
        list.push(item);
    }
}

/// Whether a text is an image's digest alone, as the CRI and containerd write it beside the names. It is no name.
pub(crate) fn is_id(text: &str) -> bool {
    text.trim_start_matches('@').parse::<Digest>().is_ok()
}

/// Drops names by digest of what also has a tag in the same repository, and names that come twice: they say nothing more.
pub(crate) fn drop_repeats(names: &mut Vec<FoundName>) {
    let tagged = names.iter().filter(|name| name.tag.is_some()).map(|name| name.repository.clone());
    let tagged: HashSet<RepositoryName> = tagged.collect();
    let mut seen = HashSet::new();
    names.retain(|name| {
        (name.tag.is_some() || !tagged.contains(&name.repository))
            && seen.insert((name.repository.clone(), name.tag.clone()))
    });
}

/// A full reference as a name.
pub(crate) fn of_reference(reference: &ImageReference) -> FoundName {
    FoundName {
        repository: reference.repository().clone(),
        tag: reference.tag().cloned(),
        shown: reference.to_string(),
    }
}

/// A name without a host stands for itself; with one it is a full reference.
pub(crate) fn as_it_stands(text: &str) -> Option<FoundName> {
    let (name, rest) = text.rsplit_once('/').map_or(("", text), |(name, rest)| (name, rest));
    let first = text.split('/').next().filter(|_| !name.is_empty());
    if first.is_some_and(is_host) {
        return text.parse::<ImageReference>().ok().map(|reference| of_reference(&reference));
    }
    let end = rest.find(['@', ':']).unwrap_or(rest.len());
    let (last, version) = rest.split_at(end);
    let repository = if name.is_empty() { last.to_owned() } else { format!("{name}/{last}") };
    let repository: RepositoryName = repository.parse().ok()?;
    let (tag, digest) = match version.split_once('@') {
        Some((tag, digest)) => (tag, Some(digest)),
        None => (version, None),
    };
    if let Some(digest) = digest {
        digest.parse::<Digest>().ok()?;
    }
    let tag = tag.strip_prefix(':').map(str::parse).transpose().ok()?;
    Some(FoundName { repository, tag, shown: printable(text) })
}

/// A path as a name: from the first component that is a host, or all of it.
pub(crate) fn of_path(path: &str) -> Option<FoundName> {
    let mut from = 0;
    for component in path.split('/') {
        if is_host(component) && from + component.len() < path.len() {
            return as_it_stands(&path[from..]);
        }
        from += component.len() + 1;
    }
    as_it_stands(path)
}

/// Whether a component is a host and not a folder such as `bundle-0.93.2`: it has a port, is a domain whose last label
/// begins with a letter, or is an address.
fn is_host(component: &str) -> bool {
    let (name, port) = component.split_once(':').map_or((component, None), |(name, port)| (name, Some(port)));
    let named = name == "localhost" || name.parse::<std::net::Ipv4Addr>().is_ok();
    let domain = name.rsplit_once('.').is_some_and(|(_, last)| last.starts_with(|c: char| c.is_ascii_alphabetic()));
    match port {
        Some(port) => port.parse::<u16>().is_ok_and(|port| port > 0) && !name.is_empty(),
        None => named || domain,
    }
}

/// The name for content without one.
pub(crate) fn untagged(root: &Digest, tag: Option<&Tag>) -> Option<FoundName> {
    let shown = tag.map_or_else(|| format!("{UNTAGGED}@{root}"), ToString::to_string);
    Some(FoundName { repository: UNTAGGED.parse().ok()?, tag: None, shown })
}

/// The note for content without a name.
pub(crate) fn no_name(tag: Option<&Tag>) -> String {
    let what = tag.map_or_else(|| "no name".to_owned(), |tag| format!("only the tag `{tag}` and no name"));
    format!("the archive gives it {what}; pull it as `{UNTAGGED}@<digest>`, or save it again by name and tag")
}

/// The image that a tag such as `sha256-<hex>.sig` is about, as cosign writes it; without an ending it is the fallback of
/// the referrers API.
fn signed_digest(tag: &Tag) -> Option<Digest> {
    let (algorithm, rest) = tag.as_str().split_once('-')?;
    format!("{algorithm}:{}", rest.split('.').next()?).parse().ok()
}

/// A chart's name from the config of its manifest.
fn of_chart(config: &[u8]) -> Option<FoundName> {
    #[derive(Deserialize)]
    struct Config {
        name: String,
        version: String,
    }
    let Config { name, version } = serde_json::from_slice(config).ok()?;
    chart(&name, &version).ok()
}

/// The name of a chart. A tag cannot have a plus sign; Helm writes and reads an underscore instead.
pub(crate) fn chart(name: &str, version: &str) -> Result<FoundName, String> {
    let repository = format!("charts/{name}").parse();
    let repository = repository.map_err(|error| format!("its name cannot be a repository: {error}"))?;
    let tag = version.replace('+', "_").parse().map_err(|error| format!("its version cannot be a tag: {error}"))?;
    Ok(FoundName { repository, tag: Some(tag), shown: format!("{name} {version}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(pairs: &[(&str, &str)]) -> Names {
        let mut names = Names::default();
        names.read(&pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(), false);
        names
    }

    fn settled(names: Names) -> Vec<String> {
        let empty = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        let text =
            format!(r#"{{"schemaVersion":2,"config":{{"mediaType":"a/b","digest":"{empty}","size":2}},"layers":[]}}"#);
        let manifest = Manifest::parse(text.into_bytes().into(), None).unwrap();
        let settled = names.settle(empty.parse().unwrap(), &manifest, None, None);
        settled.names.iter().map(|name| format!("{} {:?}", name.repository, name.tag)).collect()
    }

    #[test]
    fn the_full_name_goes_before_the_tag_beside_it() {
        let docker = names(&[(IMAGE_NAME, "docker.io/library/alpine:3"), (REF_NAME, "3")]);
        assert_eq!(settled(docker), ["docker.io/library/alpine Some(3)"]);
    }

    #[test]
    fn podman_and_skopeo_write_the_full_name_as_ref_name() {
        assert_eq!(settled(names(&[(REF_NAME, "localhost/app:1")])), ["localhost/app Some(1)"]);
        assert_eq!(settled(names(&[(REF_NAME, "alpine:3")])), ["docker.io/library/alpine Some(3)"]);
    }

    #[test]
    fn a_bare_tag_needs_the_repository_it_came_from() {
        let source = "containerd.io/distribution.source.registry.example:5000";
        assert_eq!(
            settled(names(&[(REF_NAME, "v1"), (source, "team/app")])),
            ["registry.example_5000/team/app Some(v1)"]
        );
        assert_eq!(settled(names(&[(source, "team/app,team/other")])).len(), 2);
        assert_eq!(settled(names(&[(REF_NAME, "v1")])), ["untagged None"]);
        assert_eq!(settled(names(&[])), ["untagged None"]);
        assert_eq!(settled(names(&[(IMAGE_NAME, "../../etc:x")])), ["untagged None"]);
    }

    #[test]
    fn sources_and_tags_without_number_make_a_bounded_number_of_names() {
        let repositories: Vec<_> = (0..16).map(|at| format!("r{at}")).collect();
        let mut many = Names::default();
        for at in 0..100 {
            let source = (format!("{SOURCE}h{at}.example"), repositories.join(","));
            many.read(&[source, (REF_NAME.to_owned(), format!("v{at}"))].into(), false);
        }
        assert_eq!(settled(many).len(), MAX_NAMES);
    }

    #[test]
    fn a_signature_goes_beside_what_it_signs() {
        let hex = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        for tag in [format!("sha256-{hex}.sig"), format!("sha256-{hex}")] {
            assert_eq!(signed_digest(&tag.parse().unwrap()).unwrap().encoded(), hex);
        }
        assert_eq!(signed_digest(&"v1-rc".parse().unwrap()), None);
    }
}
