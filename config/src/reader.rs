//! From written values to typed ones. An invalid one is reported and replaced by its default, so that reading continues.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::error::{ConfigError, Place};
use crate::file::Layers;
use crate::raw::{Setting, Written};
use crate::units::{parse_duration, parse_size, render_duration, render_size};

/// Reads settings and collects their errors.
pub(crate) struct Reader<'a> {
    pub(crate) layers: &'a Layers,
    pub(crate) errors: &'a mut Vec<ConfigError>,
}

impl Reader<'_> {
    /// Reports an invalid value.
    pub(crate) fn wrong(&mut self, key: &str, problem: impl fmt::Display, cure: impl fmt::Display) {
        self.wrong_at(key, self.layers.place(key), problem, cure);
    }

    /// Reports an invalid value at a place other than the key's.
    pub(crate) fn wrong_at(&mut self, key: &str, place: Place, problem: impl fmt::Display, cure: impl fmt::Display) {
        self.errors.push(ConfigError {
            key: key.to_owned(),
            place,
            problem: problem.to_string(),
            cure: cure.to_string(),
        });
    }

    /// Whether a variable set this key: then the value is always text.
    fn is_variable(&self, key: &str) -> bool {
        self.layers.variables.contains_key(key)
    }

    /// Examples as they are to be written: in quotes in a file, without in a variable.
    fn examples(&self, key: &str, texts: [&str; 3]) -> String {
        let quote = if self.is_variable(key) { "" } else { "\"" };
        let [one, two, three] = texts.map(|text| format!("`{quote}{text}{quote}`"));
        format!("{one}, {two} or {three}")
    }

    pub(crate) fn text(&mut self, key: &str, setting: &Setting, default: &str) -> String {
        match setting {
            None => default.to_owned(),
            Some(Written::Text(text)) => text.clone(),
            Some(other) => {
                self.wrong(key, format!("`{other}` is not text"), "put it in double quotes");
                default.to_owned()
            }
        }
    }

    pub(crate) fn switch(&mut self, key: &str, setting: &Setting, default: bool) -> bool {
        match setting {
            None => default,
            Some(Written::Switch(value)) => *value,
            Some(Written::Text(text)) if self.is_variable(key) && text == "true" => true,
            Some(Written::Text(text)) if self.is_variable(key) && text == "false" => false,
            Some(other) => {
                self.wrong(key, format!("`{other}` is not a boolean"), "write `true` or `false`, without quotes");
                default
            }
        }
    }

    /// A whole number within a range that `T` holds.
    pub(crate) fn number<T>(&mut self, key: &str, setting: &Setting, default: T, range: RangeInclusive<u64>) -> T
    where
        T: TryFrom<u64>,
    {
        let value = match setting {
            None => return default,
            Some(Written::Number(value)) => u64::try_from(*value).ok(),
            Some(Written::Text(text)) if self.is_variable(key) => text.parse().ok(),
            Some(_) => None,
        };
        let taken = value.filter(|value| range.contains(value));
        if let Some(taken) = taken.and_then(|value| T::try_from(value).ok()) {
            return taken;
        }
        let given = setting.as_ref().map(ToString::to_string).unwrap_or_default();
        self.wrong(
            key,
            format!("`{given}` is not a valid number"),
            format!("write a whole number from {} to {}", range.start(), range.end()),
        );
        default
    }

    /// A size within a range; a number without a unit is refused.
    pub(crate) fn size(&mut self, key: &str, setting: &Setting, default: u64, range: RangeInclusive<u64>) -> u64 {
        let Some(given) = setting else { return default };
        let size = match given {
            Written::Text(text) => parse_size(text),
            _ => None,
        };
        match size {
            Some(size) if range.contains(&size) => return size,
            Some(_) => self.wrong(
                key,
                format!("`{given}` is out of range"),
                format!("write a size from `{}` to `{}`", render_size(*range.start()), render_size(*range.end())),
            ),
            None => self.wrong(
                key,
                format!("`{given}` is not a size"),
                format!("write a whole number and a unit, such as {}", self.examples(key, ["64KiB", "32MiB", "10GiB"])),
            ),
        }
        default
    }

    /// A duration within a range; a number without a unit is refused.
    pub(crate) fn duration(
        &mut self,
        key: &str,
        setting: &Setting,
        default: Duration,
        range: RangeInclusive<Duration>,
    ) -> Duration {
        let Some(given) = setting else { return default };
        let duration = match given {
            Written::Text(text) => parse_duration(text),
            _ => None,
        };
        match duration {
            Some(duration) if range.contains(&duration) => return duration,
            Some(_) => self.wrong(
                key,
                format!("`{given}` is out of range"),
                format!(
                    "write a duration from `{}` to `{}`",
                    render_duration(*range.start()),
                    render_duration(*range.end())
                ),
            ),
            None => self.wrong(
                key,
                format!("`{given}` is not a duration"),
                format!("write a whole number and a unit, such as {}", self.examples(key, ["30s", "15m", "24h"])),
            ),
        }
        default
    }

    /// A list of strings; a variable separates them by commas. `None` when it is not set or invalid.
    pub(crate) fn list(&mut self, key: &str, setting: &Setting) -> Option<Vec<String>> {
        let given = setting.as_ref()?;
        match given {
            Written::Text(text) if self.is_variable(key) => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                return Some(items.map(str::to_owned).collect());
            }
            Written::List(items) => {
                let texts: Option<Vec<String>> = items
                    .iter()
                    .map(|item| match item {
                        Written::Text(text) => Some(text.clone()),
                        _ => None,
                    })
                    .collect();
                if texts.is_some() {
                    return texts;
                }
            }
            _ => {}
        }
        self.wrong(key, format!("`{given}` is not a list of strings"), "write `[\"one\", \"two\"]`");
        None
    }

    /// One of a few words.
    pub(crate) fn choice<T: Copy>(&mut self, key: &str, setting: &Setting, default: T, choices: &[(&str, T)]) -> T {
        let Some(given) = setting else { return default };
        if let Written::Text(text) = given
            && let Some((_, value)) = choices.iter().find(|(word, _)| word == text)
        {
            return *value;
        }
        let words: Vec<String> = choices.iter().map(|(word, _)| format!("`\"{word}\"`")).collect();
        self.wrong(key, format!("`{given}` is not one of the choices"), format!("write {}", words.join(" or ")));
        default
    }
}
