//! One pass over the settings: reading what was set, or writing what is in effect. Each kind of value has one function that
//! does both. An invalid value is reported and left as it was, so that reading continues.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use toml::Value;

use crate::error::{ConfigError, Wrong};
use crate::file::Layers;
use crate::units::{parse_duration, parse_size, render_duration, render_size};

/// What happens to each key.
pub(crate) enum Pass<'a> {
    Read { layers: &'a Layers, errors: &'a mut Vec<ConfigError> },
    Write { text: &'a mut String, table: String },
}

impl Pass<'_> {
    /// Reports an invalid value.
    pub(crate) fn wrong(&mut self, key: &str, problem: impl Display, cure: impl Display) {
        self.wrong_beside(key, key, problem, cure);
    }

    /// Reports an invalid value where another key was set.
    pub(crate) fn wrong_beside(&mut self, key: &str, beside: &str, problem: impl Display, cure: impl Display) {
        if let Self::Read { layers, errors } = self {
            errors.push(ConfigError::new(key, layers.set_in(beside), problem, cure));
        }
    }

    /// Reads or writes one key. Returns whether a value was read.
    fn key<T>(
        &mut self,
        key: &str,
        value: &mut T,
        write: impl FnOnce(&T) -> Value,
        read: impl FnOnce(&Written<'_>) -> Result<T, Wrong>,
    ) -> bool {
        match self {
            Self::Read { layers, .. } => {
                let Some(given) = layers.values.get(key) else { return false };
                let written = Written { value: given, is_variable: layers.variables.contains_key(key) };
                match read(&written) {
                    Ok(read) => *value = read,
                    Err((problem, cure)) => {
                        self.wrong(key, problem, cure);
                        return false;
                    }
                }
                true
            }
            Self::Write { text, table } => {
                let (path, name) = key.rsplit_once('.').expect("every key is in a table");
                if table != path {
                    path.clone_into(table);
                    let gap = if text.is_empty() { "" } else { "\n" };
                    text.push_str(&match path.split_once('[') {
                        Some((list, _)) => format!("{gap}[[{list}]]\n"),
                        None => format!("{gap}[{path}]\n"),
                    });
                }
                text.push_str(&format!("{name} = {}\n", write(value)));
                false
            }
        }
    }

    /// A value that is written as text.
    pub(crate) fn parsed<T>(
        &mut self,
        key: &str,
        value: &mut T,
        write: impl FnOnce(&T) -> String,
        parse: impl FnOnce(&str) -> Result<T, Wrong>,
    ) {
        self.key(
            key,
            value,
            |value| Value::String(write(value)),
            |written| match written.value {
                Value::String(text) => parse(text),
                _ => Err((format!("`{}` is not text", written.shown()), "put it in double quotes".to_owned())),
            },
        );
    }

    pub(crate) fn text(&mut self, key: &str, value: &mut String) {
        self.parsed(key, value, String::clone, |text| Ok(text.to_owned()));
    }

    /// A path; empty text means none. Paths that are not UTF-8 are written lossily.
    pub(crate) fn path(&mut self, key: &str, value: &mut Option<PathBuf>) {
        let write = |path: &Option<PathBuf>| path.iter().map(|path| path.display().to_string()).collect();
        self.parsed(key, value, write, |text| Ok((!text.is_empty()).then(|| text.into())));
    }

    pub(crate) fn switch(&mut self, key: &str, value: &mut bool) {
        self.key(
            key,
            value,
            |value| Value::Boolean(*value),
            |written| match written.value {
                Value::Boolean(value) => Ok(*value),
                Value::String(text) if written.is_variable && text == "true" => Ok(true),
                Value::String(text) if written.is_variable && text == "false" => Ok(false),
                _ => {
                    let cure = "write `true` or `false`, without quotes";
                    Err((format!("`{}` is not a boolean", written.shown()), cure.to_owned()))
                }
            },
        );
    }

    /// A whole number within a range that `T` holds.
    pub(crate) fn number<T>(&mut self, key: &str, value: &mut T, range: RangeInclusive<u64>)
    where
        T: Copy + TryFrom<u64> + TryInto<i64>,
    {
        let write = |value: &T| Value::Integer((*value).try_into().unwrap_or(i64::MAX));
        self.key(key, value, write, |written| {
            let number = match written.value {
                Value::Integer(number) => u64::try_from(*number).ok(),
                Value::String(text) if written.is_variable => text.parse().ok(),
                _ => None,
            };
            let taken = number.filter(|number| range.contains(number)).and_then(|number| T::try_from(number).ok());
            let cure = || format!("write a whole number from {} to {}", range.start(), range.end());
            taken.ok_or_else(|| (format!("`{}` is not a valid number", written.shown()), cure()))
        });
    }

    pub(crate) fn size(&mut self, key: &str, value: &mut u64, range: RangeInclusive<u64>) {
        self.measured(key, value, "size", ["64KiB", "32MiB", "10GiB"], range, parse_size, render_size);
    }

    pub(crate) fn duration(&mut self, key: &str, value: &mut Duration, range: RangeInclusive<Duration>) {
        self.measured(key, value, "duration", ["30s", "15m", "24h"], range, parse_duration, render_duration);
    }

    /// A number with a unit, within a range; one without a unit is refused.
    #[expect(clippy::too_many_arguments, reason = "what sizes and durations differ in")]
    fn measured<T: Copy + PartialOrd>(
        &mut self,
        key: &str,
        value: &mut T,
        what: &str,
        examples: [&str; 3],
        range: RangeInclusive<T>,
        parse: fn(&str) -> Option<T>,
        render: fn(T) -> String,
    ) {
        self.key(
            key,
            value,
            |value| Value::String(render(*value)),
            |written| {
                let shown = written.shown();
                match written.value.as_str().and_then(parse) {
                    Some(value) if range.contains(&value) => Ok(value),
                    Some(_) => {
                        let (least, most) = (render(*range.start()), render(*range.end()));
                        Err((
                            format!("`{shown}` is out of range"),
                            format!("write a {what} from `{least}` to `{most}`"),
                        ))
                    }
                    None => {
                        // As they are to be written: in quotes in a file, without in a variable.
                        let quote = if written.is_variable { "" } else { "\"" };
                        let [one, two, three] = examples.map(|example| format!("`{quote}{example}{quote}`"));
                        let cure = format!("write a whole number and a unit, such as {one}, {two} or {three}");
                        Err((format!("`{shown}` is not a {what}"), cure))
                    }
                }
            },
        );
    }

    /// A list of strings; a variable separates them by commas. Returns whether it was read.
    pub(crate) fn list(&mut self, key: &str, values: &mut Vec<String>) -> bool {
        let write = |values: &Vec<String>| Value::Array(values.iter().cloned().map(Value::String).collect());
        self.key(key, values, write, |written| {
            let texts = match written.value {
                Value::String(text) if written.is_variable => {
                    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                    Some(items.map(str::to_owned).collect())
                }
                Value::Array(items) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
                _ => None,
            };
            let problem = || format!("`{}` is not a list of strings", written.shown());
            texts.ok_or_else(|| (problem(), "write `[\"one\", \"two\"]`".to_owned()))
        })
    }

    /// A list of paths. Returns whether it was read.
    pub(crate) fn paths(&mut self, key: &str, values: &mut Vec<PathBuf>) -> bool {
        let mut texts = values.iter().map(|path| path.display().to_string()).collect();
        let read = self.list(key, &mut texts);
        if read {
            *values = texts.into_iter().map(PathBuf::from).collect();
        }
        read
    }

    /// One of a few words.
    pub(crate) fn choice<T: Copy + PartialEq>(&mut self, key: &str, value: &mut T, choices: &[(&str, T)]) {
        let word = |value: &T| choices.iter().find(|(_, known)| known == value).map_or("", |(word, _)| word);
        self.key(
            key,
            value,
            |value| Value::String(word(value).to_owned()),
            |written| {
                let found = choices.iter().find(|(word, _)| written.value.as_str() == Some(word));
                found.map(|(_, value)| *value).ok_or_else(|| {
                    let words: Vec<String> = choices.iter().map(|(word, _)| format!("`\"{word}\"`")).collect();
                    let problem = format!("`{}` is not one of the choices", written.shown());
                    (problem, format!("write {}", words.join(" or ")))
                })
            },
        );
    }
}

/// The value of a key as it was set; that of a variable is always text.
struct Written<'a> {
    value: &'a Value,
    is_variable: bool,
}

impl Written<'_> {
    /// Text without its quotes.
    fn shown(&self) -> String {
        fn shown(value: &Value) -> String {
            match value {
                Value::String(text) => text.clone(),
                Value::Array(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", ")),
                other => other.to_string(),
            }
        }
        shown(self.value)
    }
}
