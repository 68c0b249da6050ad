//! What can be wrong with a setting, and how to correct it.

use std::fmt;
use std::path::PathBuf;

/// One thing wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The key's path, such as `server.limits.idle`; empty when the file as a whole is invalid.
    pub key: String,
    /// Where the value was set.
    pub set_in: SetIn,
    /// What is wrong, with the value in it.
    pub problem: String,
    /// What to do instead.
    pub cure: String,
}

/// What is wrong with a value, and what to write instead.
pub(crate) type Wrong = (String, String);

/// Where a value was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetIn {
    /// In this file.
    File(PathBuf),
    /// In this environment variable.
    Variable(String),
    /// On the command line.
    Flags,
}

impl fmt::Display for SetIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "in `{}`", path.display()),
            Self::Variable(name) => write!(f, "in the variable `{name}`"),
            Self::Flags => f.write_str("on the command line"),
        }
    }
}

impl ConfigError {
    pub(crate) fn new(key: &str, set_in: SetIn, problem: impl fmt::Display, cure: impl fmt::Display) -> Self {
        Self { key: key.to_owned(), set_in, problem: problem.to_string(), cure: cure.to_string() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "`{}` ", self.key)?;
        }
        write!(f, "{}: {}; {}", self.set_in, self.problem, self.cure)
    }
}

impl std::error::Error for ConfigError {}

/// Everything wrong with the settings, in the order of the reference; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errors(pub(crate) Vec<ConfigError>);

impl Errors {
    /// The errors, one by one.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.0.iter()
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("1 setting cannot be used:")?,
            count => write!(f, "{count} settings cannot be used:")?,
        }
        self.0.iter().try_for_each(|error| write!(f, "\n  {error}"))
    }
}

impl std::error::Error for Errors {}
