//! The file and the environment: every value by its key.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use crate::check::Known;
use crate::error::{ConfigError, SetIn};
use crate::{FILE, FILE_VARIABLE, REFERENCE, VARIABLE_PREFIX};

/// The largest file that is read; the reference is a twentieth of it.
const MAX_FILE: u64 = 256 * 1024;

/// The settings of the file and the environment, and where each key was set.
#[derive(Debug, Default)]
pub(crate) struct Layers {
    pub(crate) file: Option<PathBuf>,
    /// By key; of a list of tables also the list itself.
    pub(crate) values: BTreeMap<String, Value>,
    /// Variables by the key they set.
    pub(crate) variables: BTreeMap<String, String>,
}

impl Layers {
    /// Where a key was set: by the last layer that sets it.
    pub(crate) fn set_in(&self, key: &str) -> SetIn {
        match (self.variables.get(key), &self.file) {
            (Some(variable), _) => SetIn::Variable(variable.clone()),
            (None, Some(file)) => SetIn::File(file.clone()),
            (None, None) => SetIn::Flags,
        }
    }
}

/// Reads the file and the environment. Invalid parts are reported and left out.
pub(crate) fn layers(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    errors: &mut Vec<ConfigError>,
) -> Layers {
    let reference: Table = REFERENCE.parse().expect("the reference is TOML: a test loads it");
    let known = Known::new(&reference);
    let (named, variables) = variables(environment, &known, errors);
    let mut layers = Layers::default();
    if let Some((path, text)) = read(file, named, errors) {
        let set_in = SetIn::File(path.clone());
        match text.parse::<Table>() {
            Ok(table) => known.collect(table, ("", ""), &mut layers.values, &mut |key, (problem, cure)| {
                errors.push(ConfigError { key, set_in: set_in.clone(), problem, cure });
            }),
            Err(error) => {
                let problem = format!("not TOML: {}", error.to_string().trim_end());
                errors.push(ConfigError::new("", set_in, problem, "see the reference for the form of every key"));
            }
        }
        layers.file = Some(path);
    }
    for (key, name, value) in variables {
        layers.values.insert(key.clone(), Value::String(value));
        layers.variables.insert(key, name);
    }
    layers
}

/// Finds and reads the file: the one asked for, else the one named by a variable, else the one in the working directory.
fn read(asked: Option<&Path>, named: Option<PathBuf>, errors: &mut Vec<ConfigError>) -> Option<(PathBuf, String)> {
    let (path, set_in) = match (asked, named) {
        (Some(path), _) => (path.to_owned(), Some(SetIn::Flags)),
        (None, Some(path)) => (path, Some(SetIn::Variable(FILE_VARIABLE.to_owned()))),
        (None, None) => (PathBuf::from(FILE), None),
    };
    match read_bounded(&path) {
        Ok(text) => Some((path, text)),
        Err(error) if set_in.is_none() && error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            let problem = format!("cannot read `{}`: {error}", path.display());
            let set_in = set_in.unwrap_or(SetIn::File(path));
            errors.push(ConfigError::new("", set_in, problem, "name a readable TOML file"));
            None
        }
    }
}

fn read_bounded(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = File::open(path)?.take(MAX_FILE + 1).read_to_string(&mut text)?;
    if read as u64 > MAX_FILE {
        return Err(io::Error::other(format!("larger than {MAX_FILE} bytes")));
    }
    Ok(text)
}

/// Picks Airdock's variables: the settings file, if one names it, and key, name and value of the others.
fn variables(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    known: &Known,
    errors: &mut Vec<ConfigError>,
) -> (Option<PathBuf>, Vec<(String, String, String)>) {
    let mut file = None;
    let mut found = Vec::new();
    for (name, value) in environment {
        if name == FILE_VARIABLE {
            file = (!value.is_empty()).then(|| PathBuf::from(value));
            continue;
        }
        // Airdock's variables are ASCII.
        let Some(name) = name.to_str() else { continue };
        let Some(key) = name.strip_prefix(VARIABLE_PREFIX) else { continue };
        let key = key.to_lowercase().replace("__", ".");
        let wrong = match (known.variable(&key), value.to_str()) {
            (Err(wrong), _) => wrong,
            (Ok(()), None) => (format!("`{}` is not text", value.to_string_lossy()), "variables are UTF-8".to_owned()),
            (Ok(()), Some(value)) => {
                found.push((key, name.to_owned(), value.to_owned()));
                continue;
            }
        };
        let (problem, cure) = wrong;
        errors.push(ConfigError { key, set_in: SetIn::Variable(name.to_owned()), problem, cure });
    }
    // The order of the environment is arbitrary; that of messages should not be.
    found.sort();
    errors.sort_by(|a, b| a.key.cmp(&b.key));
    (file, found)
}
