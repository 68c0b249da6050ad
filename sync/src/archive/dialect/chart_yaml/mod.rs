//! `Chart.yaml` and `requirements.yaml`, and the JSON Helm makes of them: the config of a chart's manifest, and the manifest's
//! annotations.
//!
//! Fields and their order are those of Helm's `chart.Metadata` (pkg/chart): Go writes them in the order of declaration, and
//! the digest of the config depends on it. What Helm's loader refuses is refused here, in words of our own.

mod document;
mod fault;
mod fields;
mod number;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use super::made::go_json;
use crate::text::printable;
pub(crate) use fault::Fault;
use fields::{Any, Field, Fields};

/// The longest version Helm reads.
const MAX_VERSION: usize = 256;

/// Helm's `chart.Metadata`.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Metadata {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    home: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sources: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    keywords: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    maintainers: Vec<Option<Maintainer>>,
    #[serde(skip_serializing_if = "String::is_empty")]
    icon: String,
    #[serde(rename = "apiVersion", skip_serializing_if = "String::is_empty")]
    api_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    condition: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    tags: String,
    #[serde(rename = "appVersion", skip_serializing_if = "String::is_empty")]
    app_version: String,
    #[serde(skip_serializing_if = "is_false")]
    deprecated: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
    #[serde(rename = "kubeVersion", skip_serializing_if = "String::is_empty")]
    kube_version: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dependencies: Vec<Option<Dependency>>,
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    kind: String,
}

impl Fields for Metadata {
    const NAMES: &'static [&'static str] = &[
        "name",
        "home",
        "sources",
        "version",
        "description",
        "keywords",
        "maintainers",
        "icon",
        "apiVersion",
        "condition",
        "tags",
        "appVersion",
        "deprecated",
        "annotations",
        "kubeVersion",
        "dependencies",
        "type",
    ];

    fn field(&mut self, name: &str) -> Option<&mut dyn Field> {
        Some(match name {
            "name" => &mut self.name,
            "home" => &mut self.home,
            "sources" => &mut self.sources,
            "version" => &mut self.version,
            "description" => &mut self.description,
            "keywords" => &mut self.keywords,
            "maintainers" => &mut self.maintainers,
            "icon" => &mut self.icon,
            "apiVersion" => &mut self.api_version,
            "condition" => &mut self.condition,
            "tags" => &mut self.tags,
            "appVersion" => &mut self.app_version,
            "deprecated" => &mut self.deprecated,
            "annotations" => &mut self.annotations,
            "kubeVersion" => &mut self.kube_version,
            "dependencies" => &mut self.dependencies,
            "type" => &mut self.kind,
            _ => return None,
        })
    }
}

/// Helm's `chart.Maintainer`.
#[derive(Debug, Default, Serialize)]
struct Maintainer {
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    email: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    url: String,
}

impl Fields for Maintainer {
    const NAMES: &'static [&'static str] = &["name", "email", "url"];

    fn field(&mut self, name: &str) -> Option<&mut dyn Field> {
        Some(match name {
            "name" => &mut self.name,
            "email" => &mut self.email,
            "url" => &mut self.url,
            _ => return None,
        })
    }
}

/// Helm's `chart.Dependency`.
#[derive(Debug, Default, Serialize)]
struct Dependency {
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    version: String,
    repository: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    condition: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "is_false")]
    enabled: bool,
    #[serde(rename = "import-values", skip_serializing_if = "Vec::is_empty")]
    import_values: Vec<Any>,
    #[serde(skip_serializing_if = "String::is_empty")]
    alias: String,
}

impl Fields for Dependency {
    const NAMES: &'static [&'static str] =
        &["name", "version", "repository", "condition", "tags", "enabled", "import-values", "alias"];

    fn field(&mut self, name: &str) -> Option<&mut dyn Field> {
        Some(match name {
            "name" => &mut self.name,
            "version" => &mut self.version,
            "repository" => &mut self.repository,
            "condition" => &mut self.condition,
            "tags" => &mut self.tags,
            "enabled" => &mut self.enabled,
            "import-values" => &mut self.import_values,
            "alias" => &mut self.alias,
            _ => return None,
        })
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde calls")]
const fn is_false(value: &bool) -> bool {
    !*value
}

impl Metadata {
    /// Reads a `Chart.yaml` over what is there: of several in a chart Helm reads each.
    pub(crate) fn read(&mut self, yaml: &[u8]) -> Result<(), Fault> {
        Field::read(self, &*document::parse(yaml)?, "Chart.yaml")?;
        if self.api_version.is_empty() {
            "v1".clone_into(&mut self.api_version);
        }
        Ok(())
    }

    /// Reads a `requirements.yaml`, where charts of the first version have their dependencies. Helm reads every field of it.
    pub(crate) fn read_requirements(&mut self, yaml: &[u8]) -> Result<(), Fault> {
        Field::read(self, &*document::parse(yaml)?, "requirements.yaml")
    }

    /// Makes every text one line, as Helm does, and checks what Helm checks. To be called last.
    pub(crate) fn finish(mut self) -> Result<Self, Fault> {
        for text in [
            &mut self.name,
            &mut self.description,
            &mut self.home,
            &mut self.icon,
            &mut self.condition,
            &mut self.tags,
            &mut self.app_version,
            &mut self.kube_version,
        ] {
            one_line(text);
        }
        self.sources.iter_mut().chain(&mut self.keywords).for_each(one_line);
        let invalid = |why: String| Err(Fault::Invalid(why));
        let shown = printable(&self.name);
        if self.name.is_empty() {
            return invalid("it has no name".into());
        }
        // It becomes part of paths and of a repository.
        if matches!(self.name.as_str(), "." | "..") || self.name.contains('/') {
            return invalid(format!("its name `{shown}` is a path"));
        }
        if self.version.is_empty() {
            return invalid("it has no version".into());
        }
        if !is_version(&self.version) {
            let version = printable(&self.version);
            return invalid(format!("its version `{version}` is no semantic version, so it cannot be a tag"));
        }
        if !matches!(self.kind.as_str(), "" | "application" | "library") {
            return invalid(format!("its type `{}` is neither `application` nor `library`", printable(&self.kind)));
        }
        for maintainer in &mut self.maintainers {
            let Some(Maintainer { name, email, url }) = maintainer else {
                return invalid("a maintainer of it is empty".into());
            };
            [name, email, url].into_iter().for_each(one_line);
        }
        let mut seen = HashSet::new();
        for dependency in &mut self.dependencies {
            let Some(Dependency { name, version, repository, condition, tags, alias, .. }) = dependency else {
                return invalid("a dependency of it is empty".into());
            };
            [&mut *name, version, repository, condition].into_iter().chain(tags).for_each(one_line);
            let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
            if !alias.bytes().all(legal) {
                let (name, alias) = (printable(name), printable(alias));
                return invalid(format!(
                    "the alias `{alias}` of its dependency `{name}` is not letters, digits, `_` and `-`"
                ));
            }
            let key = if alias.is_empty() { name } else { alias };
            if !seen.insert(key.clone()) {
                return invalid(format!("two dependencies of it are called `{}`", printable(key)));
            }
        }
        Ok(self)
    }

    /// The config of the chart's manifest, as Go's `json.Marshal` writes it.
    pub(crate) fn config(&self) -> Result<Vec<u8>, serde_json::Error> {
        go_json(self)
    }

    /// The annotations of the manifest, as `helm push` makes them.
    pub(crate) fn oci_annotations(&self, created: &str) -> BTreeMap<String, String> {
        const PREFIX: &str = "org.opencontainers.image.";
        let author = |Maintainer { name, email, .. }: &Maintainer| {
            if email.is_empty() { name.clone() } else { format!("{name} ({email})") }
        };
        let authors = self.maintainers.iter().flatten().map(author).collect::<Vec<_>>().join(", ");
        let mut annotations: BTreeMap<String, String> = [
            ("description", self.description.as_str()),
            ("title", &self.name),
            ("version", &self.version),
            ("url", &self.home),
            ("created", created),
            ("source", self.sources.first().map_or("", String::as_str)),
            ("authors", &authors),
        ]
        .into_iter()
        .filter(|(_, value)| !value.trim().is_empty())
        .map(|(key, value)| (format!("{PREFIX}{key}"), value.to_owned()))
        .collect();
        // A chart's own annotations must not change its name or version.
        let own = |(key, _): &(&String, _)| !matches!(key.strip_prefix(PREFIX), Some("title" | "version"));
        annotations.extend(self.annotations.iter().filter(own).map(|(key, value)| (key.clone(), value.clone())));
        annotations
    }
}

/// A text as one line: white space as spaces, and nothing that cannot be printed.
fn one_line(text: &mut String) {
    let printed = text.chars().filter_map(|c| match c {
        c if c.is_whitespace() => Some(' '),
        c => is_printed(c).then_some(c),
    });
    *text = printed.collect();
}

/// Whether a character is a letter, mark, number, sign or symbol. What the standard library escapes for developers is all
/// else; behind another character it leaves marks as they are.
fn is_printed(c: char) -> bool {
    let mut buffer = [0; 5];
    buffer[0] = b'a';
    let end = 1 + c.encode_utf8(&mut buffer[1..]).len();
    c.is_ascii_graphic() || std::str::from_utf8(&buffer[..end]).is_ok_and(|text| text.escape_debug().eq(text.chars()))
}

/// Whether Helm takes a text for a version: semantic versions, with a `v` in front or with parts missing.
fn is_version(text: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let fits = |text: &str| text.parse::<u64>().is_ok();
    let identifiers = |text: &str, numbers: bool| {
        text.split('.').all(|part| {
            let legal = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            let is_odd = numbers && is_number(part) && part.len() > 1 && part.starts_with('0');
            legal && !is_odd
        })
    };
    let rest = text.strip_prefix('v').unwrap_or(text);
    let (rest, build) = rest.split_once('+').map_or((rest, None), |(rest, build)| (rest, Some(build)));
    let (core, prerelease) = rest.split_once('-').map_or((rest, None), |(core, rest)| (core, Some(rest)));
    text.len() <= MAX_VERSION
        && core.split('.').count() <= 3
        && core.split('.').all(|part| is_number(part) && fits(part))
        && prerelease.is_none_or(|text| identifiers(text, true))
        && build.is_none_or(|text| identifiers(text, false))
}
