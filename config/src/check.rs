//! Which keys exist: exactly those of the reference.

use std::path::Path;

use config::{Map, Value, ValueKind};

use crate::error::{ConfigError, Place};

type Tree = Map<String, Value>;

/// Removes every unknown key from `tree`, and every table where a value belongs or the reverse, reporting each.
pub(crate) fn prune(tree: &mut Tree, schema: &Tree, file: &Path, errors: &mut Vec<ConfigError>) {
    let pruner = Pruner { root: schema, file, errors };
    pruner.prune(tree, schema, "");
}

struct Pruner<'a> {
    root: &'a Tree,
    file: &'a Path,
    errors: &'a mut Vec<ConfigError>,
}

impl Pruner<'_> {
    fn prune(mut self, tree: &mut Tree, schema: &Tree, path: &str) {
        self.table(tree, schema, path);
    }

    fn table(&mut self, tree: &mut Tree, schema: &Tree, path: &str) {
        let mut keys: Vec<String> = tree.keys().cloned().collect();
        keys.sort();
        for key in keys {
            let full = join(path, &key);
            let known = schema.get(&key).map(|value| &value.kind);
            let wrong = match (known, tree.get_mut(&key).map(|value| &mut value.kind)) {
                (Some(ValueKind::Table(schema)), Some(ValueKind::Table(tree))) => {
                    self.table(tree, schema, &full);
                    continue;
                }
                (Some(ValueKind::Array(items)), Some(ValueKind::Array(given))) if tables(items).is_some() => {
                    let schema = tables(items).expect("just seen");
                    self.tables(given, schema, &full)
                }
                (Some(ValueKind::Table(schema)), Some(_)) => Some((
                    "a table, not a value".to_owned(),
                    format!("write it as `[{full}]`, with {} below", listed(schema)),
                )),
                (Some(ValueKind::Array(items)), Some(_)) if tables(items).is_some() => {
                    Some(("a list of tables, not a value".to_owned(), format!("write each entry as `[[{full}]]`")))
                }
                (Some(_), Some(ValueKind::Table(_))) => {
                    Some(("a value, not a table".to_owned(), format!("write `{key} = ...`")))
                }
                (Some(_), _) => None,
                (None, _) => Some(("no such key".to_owned(), suggestion(&full, self.root))),
            };
            if let Some((problem, cure)) = wrong {
                tree.remove(&key);
                let place = Place::File(self.file.to_owned());
                self.errors.push(ConfigError { key: full, place, problem, cure });
            }
        }
    }

    fn tables(&mut self, given: &mut [Value], schema: &Tree, path: &str) -> Option<(String, String)> {
        for (position, item) in given.iter_mut().enumerate() {
            let ValueKind::Table(table) = &mut item.kind else {
                return Some((
                    "a list of tables, not of values".to_owned(),
                    format!("write each entry as `[[{path}]]`"),
                ));
            };
            self.table(table, schema, &format!("{path}[{position}]"));
        }
        None
    }
}

/// Whether a variable may set this key: it has to exist and to be a single value or a list of them.
///
/// # Errors
/// Problem and cure.
pub(crate) fn variable(key: &str, schema: &Tree) -> Result<(), (String, String)> {
    let mut tree = schema;
    let mut parts = key.split('.').peekable();
    while let Some(part) = parts.next() {
        match tree.get(part).map(|value| &value.kind) {
            Some(ValueKind::Table(below)) if parts.peek().is_some() => tree = below,
            Some(ValueKind::Array(items)) if tables(items).is_some() => {
                return Err(("cannot be set by a variable".to_owned(), format!("write `[[{part}]]` in a file")));
            }
            Some(kind) if parts.peek().is_none() && !matches!(kind, ValueKind::Table(_)) => {
                return Ok(());
            }
            _ => break,
        }
    }
    Err(("no such key".to_owned(), suggestion(key, schema)))
}

/// The key that was probably meant: a similar one in its table, or the same one in another table.
fn suggestion(key: &str, root: &Tree) -> String {
    let key = without_positions(key);
    let (path, last) = key.rsplit_once('.').unwrap_or(("", &key));
    let siblings = table_at(root, path);
    let near = siblings
        .iter()
        .map(|sibling| (distance(sibling, last), sibling))
        .min()
        .filter(|(distance, _)| *distance <= 2 && *distance < last.len());
    if let Some((_, sibling)) = near {
        return format!("did you mean `{}`?", join(path, sibling));
    }
    let mut known = Vec::new();
    collect(root, "", &mut known);
    let same_word = |candidate: &&String| candidate.rsplit('.').next() == Some(last);
    let elsewhere: Vec<String> = known.iter().filter(same_word).map(|candidate| format!("`{candidate}`")).collect();
    if !elsewhere.is_empty() {
        return format!("did you mean {}?", elsewhere.join(" or "));
    }
    let siblings: Vec<String> = siblings.iter().map(|sibling| format!("`{sibling}`")).collect();
    format!("the keys here are {}", siblings.join(", "))
}

/// `publish[0].to` as the reference spells it, `publish.to`.
fn without_positions(key: &str) -> String {
    let mut plain = String::new();
    let mut within = false;
    for c in key.chars() {
        match c {
            '[' => within = true,
            ']' => within = false,
            c if !within => plain.push(c),
            _ => {}
        }
    }
    plain
}

/// The keys of the table at a path, or of the last table on the way to it.
fn table_at(root: &Tree, path: &str) -> Vec<String> {
    let mut tree = root;
    for part in path.split('.').filter(|part| !part.is_empty()) {
        match tree.get(part).map(|value| &value.kind) {
            Some(ValueKind::Table(below)) => tree = below,
            Some(ValueKind::Array(items)) => match tables(items) {
                Some(below) => tree = below,
                None => break,
            },
            _ => break,
        }
    }
    let mut keys: Vec<String> = tree.keys().cloned().collect();
    keys.sort();
    keys
}

fn collect(tree: &Tree, path: &str, into: &mut Vec<String>) {
    let mut keys: Vec<_> = tree.iter().collect();
    keys.sort_by_key(|(key, _)| *key);
    for (key, value) in keys {
        let full = join(path, key);
        match &value.kind {
            ValueKind::Table(below) => collect(below, &full, into),
            ValueKind::Array(items) => {
                if let Some(below) = tables(items) {
                    collect(below, &full, into);
                }
            }
            _ => {}
        }
        into.push(full);
    }
}

/// The table a list of tables consists of, if it is one.
fn tables(items: &[Value]) -> Option<&Tree> {
    match items.first().map(|item| &item.kind) {
        Some(ValueKind::Table(table)) => Some(table),
        _ => None,
    }
}

fn listed(tree: &Tree) -> String {
    let mut keys: Vec<String> = tree.keys().map(|key| format!("`{key}`")).collect();
    keys.sort();
    keys.join(", ")
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The Levenshtein distance of two words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_single_letters() {
        assert_eq!(distance("limits", "limits"), 0);
        assert_eq!(distance("limts", "limits"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
