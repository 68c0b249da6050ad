//! Publish rules and host names. Their syntax is checked by the crates that use them, here pattern by pattern, so that each
//! invalid one is reported.

use airdock_registry::names::Namespace;
use airdock_sync::publish::{PublishRules, Rule};

use crate::raw;
use crate::reader::Reader;

/// The most rules; each is tried for every name of an ingest.
const MAX_RULES: usize = 1000;

/// Reads `[[publish]]`. Written rules replace the built-in table; an empty list turns publishing off.
pub(crate) fn rules(reader: &mut Reader<'_>, written: Option<&[raw::Rule]>) -> PublishRules {
    let Some(written) = written else { return PublishRules::default() };
    if written.len() > MAX_RULES {
        let problem = format!("{} rules", written.len());
        reader.wrong("publish", problem, format!("use a `*` in `from`; {MAX_RULES} rules are the most"));
        return PublishRules::default();
    }
    PublishRules(written.iter().enumerate().map(|(position, rule)| one(reader, position, rule)).collect())
}

fn one(reader: &mut Reader<'_>, position: usize, raw: &raw::Rule) -> Rule {
    let key = |name: &str| format!("publish[{position}].{name}");
    let (from_key, to_key) = (key("from"), key("to"));
    let rule = Rule {
        from: reader.list(&from_key, &raw.from).unwrap_or_default(),
        to: reader.text(&to_key, &raw.to, ""),
        alias: reader.switch(&key("alias"), &raw.alias, false),
    };
    let mut from_fits = true;
    for pattern in &rule.from {
        let alone = Rule { from: vec![pattern.clone()], to: "any".to_owned(), alias: false };
        if let Err(problem) = PublishRules(vec![alone]).check() {
            from_fits = false;
            reader.wrong(&from_key, problem, "write host and path, such as `docker.io/zenmldocker/*`");
        }
    }
    if rule.from.is_empty() {
        from_fits = false;
        reader.wrong(&from_key, "nothing to publish", "write `from = [\"<host>/<path>\"]`");
    }
    if raw.to.is_none() {
        reader.wrong(&to_key, "missing", "write `to = \"<internal name>\"`");
    } else if from_fits && let Err(problem) = PublishRules(vec![rule.clone()]).check() {
        reader.wrong(&to_key, problem, "write an internal name, such as `zenml/{name}`");
    }
    rule
}

/// Reads the host of an upstream, or reports why the text is none.
pub(crate) fn host(reader: &mut Reader<'_>, key: &str, host: &str) -> Option<Namespace> {
    let wrong = |problem| {
        reader.wrong(key, problem, "write a host as image names have it, such as `docker.io` or `registry.local:5000`");
    };
    host.parse().map_err(wrong).ok()
}
