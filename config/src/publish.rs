//! Publish rules and host names. Their syntax is checked by the crates that use them, here pattern by pattern, so that each
//! invalid one is reported.

use airdock_registry::names::Namespace;
use airdock_sync::publish::{PublishRules, Rule};

use crate::error::Wrong;
use crate::pass::Pass;

/// The most rules; each is tried for every name of an ingest.
const MAX_RULES: usize = 1000;

/// Reads or writes `[[publish]]`. Rules that are set replace the built-in table; an empty list turns publishing off.
pub(crate) fn rules(pass: &mut Pass<'_>, rules: &mut PublishRules) {
    if let Pass::Read { layers, .. } = pass {
        let Some(given) = layers.values.get("publish").and_then(toml::Value::as_array) else { return };
        if given.len() > MAX_RULES {
            let cure = format!("use a `*` in `from`; {MAX_RULES} rules are the most");
            return pass.wrong("publish", format!("{} rules", given.len()), cure);
        }
        rules.0 = vec![Rule { from: Vec::new(), to: String::new(), alias: false }; given.len()];
    }
    rules.0.iter_mut().enumerate().for_each(|(position, rule)| one(pass, position, rule));
}

fn one(pass: &mut Pass<'_>, position: usize, rule: &mut Rule) {
    let key = |name: &str| format!("publish[{position}].{name}");
    let (from_key, to_key) = (key("from"), key("to"));
    pass.list(&from_key, &mut rule.from);
    pass.text(&to_key, &mut rule.to);
    pass.switch(&key("alias"), &mut rule.alias);
    let Pass::Read { layers, .. } = pass else { return };
    let has_name = layers.values.contains_key(&to_key);
    let mut from_fits = true;
    for pattern in &rule.from {
        let alone = Rule { from: vec![pattern.clone()], to: "any".to_owned(), alias: false };
        if let Err(problem) = PublishRules(vec![alone]).check() {
            from_fits = false;
            pass.wrong(&from_key, problem, "write host and path, such as `docker.io/zenmldocker/*`");
        }
    }
    if rule.from.is_empty() {
        from_fits = false;
        pass.wrong(&from_key, "nothing to publish", "write `from = [\"<host>/<path>\"]`");
    }
    if !has_name {
        pass.wrong(&to_key, "missing", "write `to = \"<internal name>\"`");
    } else if from_fits && let Err(problem) = PublishRules(vec![rule.clone()]).check() {
        pass.wrong(&to_key, problem, "write an internal name, such as `zenml/{name}`");
    }
}

/// Reads the host of an upstream.
pub(crate) fn host(text: &str) -> Result<Namespace, Wrong> {
    let cure = "write a host as image names have it, such as `docker.io` or `registry.local:5000`";
    text.parse().map_err(|problem: <Namespace as std::str::FromStr>::Err| (problem.to_string(), cure.to_owned()))
}
