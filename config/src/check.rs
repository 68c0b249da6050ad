//! Which keys exist: exactly those of the reference.

use std::collections::BTreeMap;

use toml::{Table, Value};

use crate::error::Wrong;

/// What a key of the reference holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    Value,
    Table,
    Tables,
}

/// Every key by its path; those of a list of tables are below it, without a position.
pub(crate) struct Known(BTreeMap<String, Holds>);

impl Known {
    pub(crate) fn new(reference: &Table) -> Self {
        let mut known = Self(BTreeMap::new());
        known.add("", reference);
        known
    }

    fn add(&mut self, path: &str, table: &Table) {
        for (key, value) in table {
            let path = join(path, key);
            let (holds, below) = match value {
                Value::Table(below) => (Holds::Table, Some(below)),
                Value::Array(items) => match items.first() {
                    Some(Value::Table(below)) => (Holds::Tables, Some(below)),
                    _ => (Holds::Value, None),
                },
                _ => (Holds::Value, None),
            };
            below.into_iter().for_each(|below| self.add(&path, below));
            self.0.insert(path, holds);
        }
    }

    /// Collects the values of a table by their paths, and reports every unknown key, and every table where a value belongs or
    /// the reverse. `at` is where the table is: with the positions in lists, and as the reference has it.
    pub(crate) fn collect<F: FnMut(String, Wrong)>(
        &self,
        table: Table,
        at: (&str, &str),
        values: &mut BTreeMap<String, Value>,
        wrong: &mut F,
    ) {
        for (key, value) in table {
            let (path, plain) = (join(at.0, &key), join(at.1, &key));
            // A dot within a quoted key leads nowhere.
            let (problem, cure) = match (self.0.get(&plain).filter(|_| !key.contains('.')), value) {
                (Some(Holds::Value), Value::Table(_)) => ("a value, not a table", format!("write `{key} = ...`")),
                (Some(Holds::Value), value) => {
                    values.insert(path, value);
                    continue;
                }
                (Some(Holds::Table), Value::Table(table)) => {
                    self.collect(table, (&path, &plain), values, wrong);
                    continue;
                }
                (Some(Holds::Table), _) => {
                    let below = quoted(self.below(&plain), ", ");
                    ("a table, not a value", format!("write it as `[{path}]`, with {below} below"))
                }
                (Some(Holds::Tables), Value::Array(items)) if items.iter().all(Value::is_table) => {
                    values.insert(path.clone(), Value::Array(items.clone()));
                    for (position, item) in items.into_iter().enumerate() {
                        let Value::Table(table) = item else { continue };
                        self.collect(table, (&format!("{path}[{position}]"), &plain), values, wrong);
                    }
                    continue;
                }
                (Some(Holds::Tables), value) => {
                    let values = "a list of tables, not of values";
                    let problem = if value.is_array() { values } else { "a list of tables, not a value" };
                    (problem, format!("write each entry as `[[{path}]]`"))
                }
                (None, _) => ("no such key", self.suggestion(&plain)),
            };
            wrong(path, (problem.to_owned(), cure));
        }
    }

    /// Whether a variable may set this key: it has to exist and to be a single value or a list of them.
    pub(crate) fn variable(&self, key: &str) -> Result<(), Wrong> {
        let first = key.split('.').next().unwrap_or_default();
        match (self.0.get(first), self.0.get(key)) {
            (Some(Holds::Tables), _) => {
                Err(("cannot be set by a variable".to_owned(), format!("write `[[{first}]]` in a file")))
            }
            (_, Some(Holds::Value)) => Ok(()),
            _ => Err(("no such key".to_owned(), self.suggestion(key))),
        }
    }

    /// The keys of the table at a path.
    fn below(&self, path: &str) -> impl Iterator<Item = &str> {
        self.0.keys().filter(move |key| parent(key) == path).map(|key| last(key))
    }

    /// The key that was probably meant: a similar one in its table, or the same one in another table.
    fn suggestion(&self, key: &str) -> String {
        let word = last(key);
        let mut path = parent(key);
        while self.below(path).next().is_none() {
            path = parent(path);
        }
        let near = self.below(path).map(|sibling| (distance(sibling, word), sibling)).min();
        if let Some((_, sibling)) = near.filter(|(distance, _)| *distance <= 2 && *distance < word.len()) {
            return format!("did you mean `{}`?", join(path, sibling));
        }
        let elsewhere = quoted(self.0.keys().filter(|known| last(known) == word), " or ");
        if !elsewhere.is_empty() {
            return format!("did you mean {elsewhere}?");
        }
        format!("the keys here are {}", quoted(self.below(path), ", "))
    }
}

fn parent(key: &str) -> &str {
    key.rsplit_once('.').map_or("", |(path, _)| path)
}

fn last(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or_default()
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn quoted(keys: impl Iterator<Item = impl std::fmt::Display>, separator: &str) -> String {
    keys.map(|key| format!("`{key}`")).collect::<Vec<_>>().join(separator)
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
