//! What a chart says of itself, made fit for an index.
//!
//! Clients push it, and one client's chart must neither make the index unreadable for all nor say what only the registry may
//! say. So only the fields of Helm's `chart.Metadata` are listed, spelled as Helm spells them, each with the type Helm
//! reads: Helm ignores case, and refuses a whole index for one wrong type.

use serde_json::{Map, Value};

/// Fields that are texts.
const TEXTS: [&str; 11] = [
    "name",
    "home",
    "version",
    "description",
    "icon",
    "apiVersion",
    "condition",
    "tags",
    "appVersion",
    "kubeVersion",
    "type",
];

/// The members of the chart's entry in the index, without braces: the fields in `metadata` that an index may have.
pub(super) fn members(metadata: Map<String, Value>) -> String {
    let fit: Map<String, Value> = metadata
        .into_iter()
        .filter_map(|(key, value)| {
            let value = match key.as_str() {
                "deprecated" => Some(value).filter(Value::is_boolean),
                "sources" | "keywords" => Some(value).filter(is_texts),
                "annotations" => {
                    Some(value).filter(|value| value.as_object().is_some_and(|all| all.values().all(Value::is_string)))
                }
                "maintainers" => items(value, |key, value| match key {
                    "name" | "email" | "url" => value.is_string(),
                    _ => false,
                }),
                "dependencies" => items(value, |key, value| match key {
                    "name" | "version" | "repository" | "condition" | "alias" => value.is_string(),
                    "tags" => is_texts(value),
                    "enabled" => value.is_boolean(),
                    "import-values" => value.is_array(),
                    _ => false,
                }),
                key => Some(value).filter(|value| TEXTS.contains(&key) && value.is_string()),
            };
            Some((key, value?))
        })
        .collect();
    let object = Value::Object(fit).to_string();
    plain(object.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or_default())
}

fn is_texts(value: &Value) -> bool {
    value.as_array().is_some_and(|all| all.iter().all(Value::is_string))
}

/// The objects of a list, each with the members that are `fit`.
fn items(value: Value, fit: impl Fn(&str, &Value) -> bool) -> Option<Value> {
    let Value::Array(items) = value else { return None };
    let objects = items.into_iter().filter_map(|item| match item {
        Value::Object(all) => Some(Value::Object(all.into_iter().filter(|(key, value)| fit(key, value)).collect())),
        _ => None,
    });
    Some(objects.collect())
}

/// Makes JSON valid YAML: some characters, which only occur in strings, must be escaped.
pub(super) fn plain(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                text.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            _ => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn characters_that_yaml_does_not_take_are_escaped_and_stay_the_same_json() {
        let value = Value::from("é\u{7f}\u{85}\u{2028}\u{feff}\u{1f600}\"\\\n: #");
        let text = plain(&value.to_string());
        assert!(!text.contains(['\u{7f}', '\u{85}', '\u{2028}', '\u{feff}', '\n']), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }

    #[test]
    fn c03_only_helms_fields_with_helms_types_are_listed() {
        let read = |value: Value| -> Value {
            let Value::Object(metadata) = value else { panic!() };
            serde_json::from_str(&format!("{{{}}}", members(metadata))).unwrap()
        };
        let whole = json!({
            "name": "app", "version": "1.0.0", "apiVersion": "v2", "deprecated": true, "sources": ["a"], "keywords": [],
            "annotations": { "a": "b" }, "maintainers": [{ "name": "Jo", "email": "e", "url": "u" }],
            "dependencies": [{
                "name": "d", "version": "1", "repository": "", "condition": "c", "alias": "a", "tags": ["t"],
                "enabled": true, "import-values": ["x", { "child": "a", "parent": "b" }],
            }],
        });
        assert_eq!(read(whole.clone()), whole);
        let odd = json!({
            "name": "app", "version": "1.0.0", "URLS": ["http://evil"], "urls": ["http://evil"], "Name": "zenml",
            "created": "x", "digest": "x", "removed": true, "keywords": 3, "sources": [1], "annotations": { "a": 1 },
            "maintainers": [null, { "name": 1, "email": "e", "NAME": "x" }], "dependencies": {}, "deprecated": "yes",
            "description": {}, "appVersion": 1,
        });
        assert_eq!(read(odd), json!({ "name": "app", "version": "1.0.0", "maintainers": [{ "email": "e" }] }));
    }
}
