//! The file and the environment, merged into one [`Raw`].

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use config::builder::DefaultState;
use config::{Config, ConfigBuilder, Environment, FileFormat, Map, Value};

use crate::error::{ConfigError, Place};
use crate::raw::Raw;
use crate::{FILE, FILE_VARIABLE, REFERENCE, VARIABLE_PREFIX, check};

/// The largest file that is read; the reference is a twentieth of it.
const MAX_FILE: u64 = 256 * 1024;

/// The settings of the file and the environment, and where each key was set.
#[derive(Debug, Default)]
pub(crate) struct Layers {
    pub(crate) raw: Raw,
    pub(crate) file: Option<PathBuf>,
    /// Variables by the key they set.
    pub(crate) variables: BTreeMap<String, String>,
}

impl Layers {
    /// Where a key was set: by the last layer that sets it.
    pub(crate) fn place(&self, key: &str) -> Place {
        match (self.variables.get(key), &self.file) {
            (Some(variable), _) => Place::Variable(variable.clone()),
            (None, Some(file)) => Place::File(file.clone()),
            (None, None) => Place::Flags,
        }
    }
}

/// Reads the file and the environment. Invalid parts are reported and left out.
pub(crate) fn layers(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    errors: &mut Vec<ConfigError>,
) -> Layers {
    let schema = parse(REFERENCE).expect("the reference is TOML: a test loads it");
    let (named, variables) = variables(environment, &schema, errors);
    let mut layers = Layers::default();
    let mut builder = Config::builder();
    if let Some((path, text)) = read(file, named, errors) {
        match parse(&text) {
            Ok(mut tree) => {
                check::prune(&mut tree, &schema, &path, errors);
                builder = add_tree(builder, tree);
            }
            Err(problem) => errors.push(ConfigError {
                key: String::new(),
                place: Place::File(path.clone()),
                problem: format!("not TOML: {problem}"),
                cure: "see the reference for the form of every key".to_owned(),
            }),
        }
        layers.file = Some(path);
    }
    let texts = variables.iter().map(|(_, name, value)| (name.clone(), value.clone())).collect();
    layers.variables = variables.into_iter().map(|(key, name, _)| (key, name)).collect();
    let environment = Environment::with_prefix(VARIABLE_PREFIX.trim_end_matches('_'))
        .prefix_separator("__")
        .separator("__")
        .source(Some(texts));
    match builder.add_source(environment).build().and_then(Config::try_deserialize) {
        Ok(raw) => layers.raw = raw,
        // Keys and types were checked one by one before; what is left is reported as it is.
        Err(error) => errors.push(ConfigError {
            key: String::new(),
            place: layers.place(""),
            problem: error.to_string(),
            cure: "see the reference for the form of every key".to_owned(),
        }),
    }
    layers
}

/// Parses TOML into the tree the `config` crate merges.
fn parse(text: &str) -> Result<Map<String, Value>, String> {
    Config::builder()
        .add_source(config::File::from_str(text, FileFormat::Toml))
        .build()
        .and_then(|config| config.cache.into_table())
        .map_err(|error| match error {
            config::ConfigError::FileParse { cause, .. } => cause.to_string().trim_end().to_owned(),
            other => other.to_string(),
        })
}

fn add_tree(builder: ConfigBuilder<DefaultState>, tree: Map<String, Value>) -> ConfigBuilder<DefaultState> {
    let mut config = Config::default();
    config.cache = Value::new(None, tree);
    builder.add_source(config)
}

/// Finds and reads the file: the one asked for, else the one named by a variable, else the one in the working directory.
fn read(asked: Option<&Path>, named: Option<PathBuf>, errors: &mut Vec<ConfigError>) -> Option<(PathBuf, String)> {
    let (path, place) = match (asked, named) {
        (Some(path), _) => (path.to_owned(), Some(Place::Flags)),
        (None, Some(path)) => (path, Some(Place::Variable(FILE_VARIABLE.to_owned()))),
        (None, None) => (PathBuf::from(FILE), None),
    };
    match read_bounded(&path) {
        Ok(text) => Some((path, text)),
        Err(error) if place.is_none() && error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            errors.push(ConfigError {
                key: String::new(),
                place: place.unwrap_or_else(|| Place::File(path.clone())),
                problem: format!("cannot read `{}`: {error}", path.display()),
                cure: "name a readable TOML file".to_owned(),
            });
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
    schema: &Map<String, Value>,
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
        let wrong = match (check::variable(&key, schema), value.to_str()) {
            (Err(wrong), _) => wrong,
            (Ok(()), None) => (format!("`{}` is not text", value.to_string_lossy()), "variables are UTF-8".to_owned()),
            (Ok(()), Some(value)) => {
                found.push((key, name.to_owned(), value.to_owned()));
                continue;
            }
        };
        let (problem, cure) = wrong;
        errors.push(ConfigError { key, place: Place::Variable(name.to_owned()), problem, cure });
    }
    // The order of the environment is arbitrary; that of messages should not be.
    found.sort();
    errors.sort_by(|a, b| a.key.cmp(&b.key));
    (file, found)
}
