//! What an image of a layout is called (protocol notes 4.7): the full name containerd and Docker write, else a full name
//! in `ref.name` as podman and skopeo write it, else a bare tag with the repository it was pulled from. What has no name
//! goes beside what it is about, or under `untagged`, by its digest.

use std::collections::BTreeMap;

use airdock_registry::oci::{Digest, Manifest, MediaType, RepositoryName, Tag};
use serde::Deserialize;

use super::hauler::{Kind, Subjects};
use super::intake::Place;
use super::problem::printable;
use crate::reference::ImageReference;

/// The repository for what has no name: it can be pulled from there by its digest.
pub(crate) const UNTAGGED: &str = "untagged";

const IMAGE_NAME: &str = "io.containerd.image.name";
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";
const SOURCE: &str = "containerd.io/distribution.source.";

pub(crate) type Annotations = BTreeMap<String, String>;

/// The names one digest has in `index.json`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// Said by where it lies.
    own: Vec<Place>,
    /// hauler wrote them.
    haul: bool,
    /// Names whose host it cut off.
    cut: Vec<Place>,
    /// What it is known to belong to.
    beside: Option<(Digest, Option<Tag>)>,
    full: Vec<ImageReference>,
    bare: Vec<Tag>,
    sources: Vec<(String, String)>,
    unread: Vec<String>,
}

/// Where an image goes.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    pub(crate) places: Vec<Place>,
    pub(crate) notes: Vec<String>,
    pub(crate) beside: Option<(Digest, Option<Tag>)>,
    /// The places were only derived, or are the one for what has no name.
    pub(crate) derived: bool,
}

impl Names {
    /// The names of what says them by where it lies.
    pub(crate) fn of_places(places: impl IntoIterator<Item = Place>) -> Self {
        Self { own: places.into_iter().collect(), ..Self::default() }
    }

    /// Takes in the annotations of one `index.json` entry.
    pub(crate) fn read(&mut self, annotations: &Annotations) {
        for (key, repositories) in annotations {
            if let Some(host) = key.strip_prefix(SOURCE) {
                let sources =
                    repositories.split(',').take(16).map(|repository| (host.to_owned(), repository.trim().to_owned()));
                self.sources.extend(sources);
            }
        }
        let image_name = annotations.get(IMAGE_NAME).filter(|name| !name.is_empty());
        let ref_name = annotations.get(REF_NAME).filter(|name| !name.is_empty());
        let Some(name) = image_name.or(ref_name) else { return };
        // A bare word in `ref.name` is a tag, though it would also read as a name on Docker Hub.
        let full = image_name.is_some() || name.contains(['/', ':']);
        match (full, name.parse::<ImageReference>(), name.parse::<Tag>()) {
            (true, Ok(reference), _) => push_new(&mut self.full, reference.or_latest()),
            (false, _, Ok(tag)) => push_new(&mut self.bare, tag),
            _ => push_new(&mut self.unread, printable(name)),
        }
    }

    /// Takes in the annotations hauler gives an entry: without a full name, the name stands for itself.
    pub(crate) fn read_hauler(&mut self, annotations: &Annotations, kind: Kind, subjects: &Subjects) {
        self.haul = true;
        match kind {
            Kind::Content if annotations.contains_key(IMAGE_NAME) => self.read(annotations),
            Kind::Content => self.cut.extend(annotations.get(REF_NAME).and_then(|name| as_it_stands(name))),
            Kind::Tagged(_) | Kind::Referrer => self.beside = kind.beside(annotations, subjects),
        }
    }

    /// Whether `index.json` says all there is to say: the names in hauler's `manifest.json` have lost their hosts.
    pub(crate) const fn are_complete(&self) -> bool {
        self.haul
    }

    /// What to call it in messages.
    pub(crate) fn label(&self, digest: &Digest) -> String {
        match (self.full.first(), self.own.first().or_else(|| self.cut.first()), self.bare.first()) {
            (Some(reference), ..) => reference.to_string(),
            (None, Some(place), _) => place.shown.clone(),
            (None, None, Some(tag)) => tag.to_string(),
            (None, None, None) => digest.to_string(),
        }
    }

    /// In the order of the protocol notes, 4.7; `base` is the repository that bare tags are tags of.
    pub(crate) fn settle(
        self,
        root: Digest,
        manifest: &Manifest,
        chart: Option<&[u8]>,
        base: Option<&RepositoryName>,
    ) -> Settled {
        let mut settled = Settled::default();
        for name in &self.unread {
            settled.notes.push(format!("its name `{name}` is no image reference and was not used"));
        }
        settled.places.extend(self.own);
        settled.places.extend(self.full.iter().map(place));
        if settled.places.is_empty()
            && let Some(chart) = chart.and_then(chart_place)
        {
            settled.places.push(chart);
        }
        if settled.places.is_empty() {
            settled.places.extend(self.cut);
        }
        settled.derived = settled.places.is_empty();
        if let Some(base) = base.filter(|_| settled.places.is_empty()) {
            let joined = self.bare.iter().filter(|tag| signed_digest(tag).is_none());
            settled.places.extend(joined.map(|tag| Place {
                repository: base.clone(),
                tag: Some(tag.clone()),
                shown: format!("{base}:{tag}"),
            }));
        }
        let sources = self.sources.iter().filter_map(|(host, path)| ImageReference::new(host, path, None).ok());
        for source in sources.filter(|_| settled.places.is_empty()).collect::<Vec<_>>() {
            let tags = self.bare.iter().map(Some).chain(self.bare.is_empty().then_some(None));
            settled.places.extend(tags.map(|tag| Place {
                repository: source.repository().clone(),
                tag: tag.cloned(),
                shown: tag.map_or_else(|| format!("{source}@{root}"), |tag| format!("{source}:{tag}")),
            }));
        }
        if settled.places.is_empty() {
            let signed = self.bare.iter().find_map(|tag| Some((signed_digest(tag)?, Some(tag.clone()))));
            settled.beside = self.beside.or(signed).or_else(|| Some((manifest.subject()?.digest, None)));
            settled.places.extend(untagged(&root, self.bare.first()));
            if settled.beside.is_none() {
                settled.notes.push(no_name(self.bare.first()));
            }
        }
        settled
    }
}

fn push_new<T: PartialEq>(list: &mut Vec<T>, item: T) {
    // A name per tag of an honest image; a hostile index has no use for more.
    if list.len() < 1000 && !list.contains(&item) {
        list.push(item);
    }
}

/// Where a full reference puts an image.
pub(crate) fn place(reference: &ImageReference) -> Place {
    Place { repository: reference.repository().clone(), tag: reference.tag().cloned(), shown: reference.to_string() }
}

/// Where a name without a host puts content: there, as it stands. With a host it is a full reference.
pub(crate) fn as_it_stands(text: &str) -> Option<Place> {
    let (name, rest) = text.rsplit_once('/').map_or(("", text), |(name, rest)| (name, rest));
    let first = text.split('/').next().filter(|_| !name.is_empty());
    if first.is_some_and(is_host) {
        return text.parse::<ImageReference>().ok().map(|reference| place(&reference));
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
    Some(Place { repository, tag, shown: printable(text) })
}

/// What a path says as a name: from the first folder on that is a host, or all of it.
pub(crate) fn of_path(path: &str) -> Option<Place> {
    let mut from = 0;
    for component in path.split('/') {
        if is_host(component) && from + component.len() < path.len() {
            return as_it_stands(&path[from..]);
        }
        from += component.len() + 1;
    }
    as_it_stands(path)
}

/// Whether a component is a host and no `bundle-0.93.2`: a port, or a domain that ends in a word, or an address.
fn is_host(component: &str) -> bool {
    let (name, port) = component.split_once(':').map_or((component, None), |(name, port)| (name, Some(port)));
    let named = name == "localhost" || name.parse::<std::net::Ipv4Addr>().is_ok();
    let domain = name.rsplit_once('.').is_some_and(|(_, last)| last.starts_with(|c: char| c.is_ascii_alphabetic()));
    match port {
        Some(port) => port.parse::<u16>().is_ok_and(|port| port > 0) && !name.is_empty(),
        None => named || domain,
    }
}

/// Where what has no name goes.
pub(crate) fn untagged(root: &Digest, tag: Option<&Tag>) -> Option<Place> {
    let shown = tag.map_or_else(|| format!("{UNTAGGED}@{root}"), ToString::to_string);
    Some(Place { repository: UNTAGGED.parse().ok()?, tag: None, shown })
}

/// The note for what has no name.
pub(crate) fn no_name(tag: Option<&Tag>) -> String {
    let what = tag.map_or_else(|| "no name".to_owned(), |tag| format!("only the tag `{tag}` and no name"));
    format!("the archive gives it {what}; pull it as `{UNTAGGED}@<digest>`, or save it again by name and tag")
}

/// `sha256-<hex>.sig`, as cosign tags what belongs to an image, or without an ending as the referrers fallback.
fn signed_digest(tag: &Tag) -> Option<Digest> {
    let (algorithm, rest) = tag.as_str().split_once('-')?;
    format!("{algorithm}:{}", rest.split('.').next()?).parse().ok()
}

fn chart_place(config: &[u8]) -> Option<Place> {
    #[derive(Deserialize)]
    struct Chart {
        name: String,
        version: String,
    }
    let chart: Chart = serde_json::from_slice(config).ok()?;
    let repository: RepositoryName = format!("charts/{}", chart.name).parse().ok()?;
    let tag = chart.version.replace('+', "_").parse().ok()?;
    Some(Place { repository, tag: Some(tag), shown: format!("{} {}", chart.name, chart.version) })
}

/// Whether a config is that of a container image, which has layers and a platform.
pub(crate) fn is_image_config(media_type: &MediaType) -> bool {
    matches!(media_type.as_str(), MediaType::IMAGE_CONFIG | "application/vnd.docker.container.image.v1+json")
}

/// A list for a sentence, cut where nobody would read on.
pub(crate) fn list(items: &[String]) -> String {
    const SHOWN: usize = 12;
    let mut text = items.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if items.len() > SHOWN {
        text.push_str(&format!(" and {} more", items.len() - SHOWN));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(pairs: &[(&str, &str)]) -> Names {
        let mut names = Names::default();
        names.read(&pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect());
        names
    }

    fn settled(names: Names) -> Vec<String> {
        let empty = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        let text =
            format!(r#"{{"schemaVersion":2,"config":{{"mediaType":"a/b","digest":"{empty}","size":2}},"layers":[]}}"#);
        let manifest = Manifest::parse(text.into_bytes().into(), None).unwrap();
        let settled = names.settle(empty.parse().unwrap(), &manifest, None, None);
        settled.places.iter().map(|place| format!("{} {:?}", place.repository, place.tag)).collect()
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
    fn a_signature_goes_beside_what_it_signs() {
        let hex = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        for tag in [format!("sha256-{hex}.sig"), format!("sha256-{hex}")] {
            assert_eq!(signed_digest(&tag.parse().unwrap()).unwrap().encoded(), hex);
        }
        assert_eq!(signed_digest(&"v1-rc".parse().unwrap()), None);
    }
}
