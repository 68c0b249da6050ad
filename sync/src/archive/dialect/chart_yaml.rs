//! `Chart.yaml`, and the JSON Helm makes of it: the config of a chart's manifest, and the manifest's annotations.
//!
//! Fields and their order are those of Helm's `chart.Metadata` (pkg/chart): Go writes them in the order of declaration, and
//! the digest of the config depends on it. The YAML parser has a budget, because a chart is untrusted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::made::go_json;
use crate::text::printable;

/// Helm's `chart.Metadata`.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Metadata {
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub(crate) name: String,
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    home: String,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    sources: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub(crate) version: String,
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    description: String,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    keywords: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    maintainers: Vec<Maintainer>,
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    icon: String,
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    api_version: String,
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    condition: String,
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    tags: String,
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    app_version: String,
    #[serde(skip_serializing_if = "is_false")]
    deprecated: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "or_default")]
    annotations: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    kube_version: String,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    dependencies: Vec<Dependency>,
    #[serde(skip_serializing_if = "String::is_empty", rename = "type", deserialize_with = "or_default")]
    kind: String,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct Maintainer {
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    email: String,
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    url: String,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct Dependency {
    #[serde(deserialize_with = "or_default")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    version: String,
    #[serde(deserialize_with = "or_default")]
    repository: String,
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    condition: String,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "is_false")]
    enabled: bool,
    #[serde(rename = "import-values", skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    import_values: Vec<serde_json::Value>,
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    alias: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde calls")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// `appVersion: 1.10` is a number in YAML and a text for Helm; an empty value is an empty text.
fn or_default<'de, D: serde::Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl Metadata {
    /// Reads a `Chart.yaml`.
    pub(crate) fn parse(yaml: &[u8]) -> Result<Self, String> {
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! {
                max_events: 100_000,
                max_nodes: 50_000,
                max_depth: 64,
                max_aliases: 1_000,
                max_anchors: 1_000,
                max_documents: 1,
                max_total_scalar_bytes: 4 * 1024 * 1024,
            },
            alias_limits: serde_saphyr::alias_limits! {
                max_total_replayed_events: 100_000,
                max_replay_stack_depth: 16,
            },
            with_snippet: false,
        };
        let text = std::str::from_utf8(yaml).map_err(|_| "it is not UTF-8".to_owned())?;
        let metadata: Self = serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())?;
        // Helm's own rule: the name becomes part of paths and of a repository.
        let named = !metadata.name.is_empty()
            && metadata.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
            && !matches!(metadata.name.as_str(), "." | "..");
        if !named {
            return Err(format!("its name `{}` is not letters, digits, `.`, `_` and `-`", printable(&metadata.name)));
        }
        if !metadata.version.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit()) {
            return Err(format!("its version `{}` is not a version", printable(&metadata.version)));
        }
        if metadata.dependencies.iter().any(|dependency| dependency.name.is_empty()) {
            return Err("a dependency of it is empty or has no name".into());
        }
        Ok(metadata)
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
        let authors = self.maintainers.iter().map(author).collect::<Vec<_>>().join(", ");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_config_is_what_go_would_write() {
        let yaml = "apiVersion: v2\nname: app\nversion: 1.2.3+build\nappVersion: 1.10\ndescription: a <b> & c\ntype: application\n\
                    maintainers: [{name: Jo, email: jo@example.com}, {name: Al}]\nsources: [https://a, https://b]\nunknown: {x: 1}\n\
                    dependencies: [{name: d, version: 1.x.x, repository: '', import-values: [data, {child: a, parent: b}]}]\n\
                    annotations: {org.opencontainers.image.title: other, z: '1', a: '2'}\nkeywords:\nhome:\n";
        let metadata = Metadata::parse(yaml.as_bytes()).unwrap();
        assert_eq!(
            String::from_utf8(metadata.config().unwrap()).unwrap(),
            r#"{"name":"app","sources":["https://a","https://b"],"version":"1.2.3+build","description":"a \u003cb\u003e \u0026 c","maintainers":[{"name":"Jo","email":"jo@example.com"},{"name":"Al"}],"apiVersion":"v2","appVersion":"1.10","annotations":{"a":"2","org.opencontainers.image.title":"other","z":"1"},"dependencies":[{"name":"d","version":"1.x.x","repository":"","import-values":["data",{"child":"a","parent":"b"}]}],"type":"application"}"#
        );
        let annotations = metadata.oci_annotations("2026-11-01T00:00:00Z");
        let shown: Vec<_> = annotations.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(
            shown,
            [
                "a=2",
                "org.opencontainers.image.authors=Jo (jo@example.com), Al",
                "org.opencontainers.image.created=2026-11-01T00:00:00Z",
                "org.opencontainers.image.description=a <b> & c",
                "org.opencontainers.image.source=https://a",
                "org.opencontainers.image.title=app",
                "org.opencontainers.image.version=1.2.3+build",
                "z=1",
            ]
        );
    }

    #[test]
    fn a17_hostile_charts_are_refused() {
        let chart = |rest: &str| format!("apiVersion: v2\nname: app\nversion: 1.0.0\n{rest}");
        let laughs: String =
            (1..12).map(|n| format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 10].join(","))).collect();
        for (bad, why) in [
            ("name: ..\nversion: 1.0.0".to_owned(), "traversal"),
            ("name: .\nversion: 1.0.0".into(), "dot"),
            ("name: a/b\nversion: 1.0.0".into(), "slash"),
            ("version: 1.0.0".into(), "no name"),
            ("name: app".into(), "no version"),
            ("name: app\nversion: latest".into(), "no version"),
            (chart("dependencies: [null]"), "null dependency"),
            (chart("name: twice"), "duplicate key"),
            (chart(&format!("a0: &a0 [x]\n{laughs}")), "billion laughs"),
            (chart(&format!("x: {}{}", "[".repeat(5000), "]".repeat(5000))), "deep nesting"),
            (chart("---\nname: other"), "two documents"),
            ("[]".into(), "no mapping"),
            (String::new(), "empty"),
            ("\u{0}".into(), "zero byte"),
        ] {
            assert!(Metadata::parse(bad.as_bytes()).is_err(), "{why}");
        }
        assert!(Metadata::parse(b"name: \xff").is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_without_panic(bytes: Vec<u8>, text in "(name: [a-z]{1,3}|version: [0-9.]{1,4}|[a-z:&*\\[\\]{} \\-]{0,20}|\n){0,10}") {
            let _ = Metadata::parse(&bytes);
            let _ = Metadata::parse(text.as_bytes());
        }
    }
}
