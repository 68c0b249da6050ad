//! Why a description of a chart is not one.

/// What is wrong with a `Chart.yaml` or a `requirements.yaml`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("it is neither UTF-8 nor UTF-16")]
    Encoding,
    #[error("line {line} has a control character")]
    Character { line: usize },
    #[error("line {line} is no YAML; check its quotes, brackets and indentation")]
    Syntax { line: usize },
    #[error("it has too many or too deeply nested values")]
    TooMuch,
    #[error("its aliases make too much of it")]
    Aliases,
    #[error("line {line} has an alias to what it is part of")]
    Cycle { line: usize },
    #[error("line {line} has a value that is not of the type its tag says")]
    Tag { line: usize },
    #[error("line {line} has a key that is empty, a list, a mapping or too large a number")]
    Key { line: usize },
    #[error("line {line} merges (`<<`) something else than mappings")]
    Merge { line: usize },
    #[error("it has a number that is not finite")]
    Infinite,
    #[error("its `{field}` is {found} where Helm reads {wanted}")]
    Type { field: &'static str, wanted: &'static str, found: &'static str },
    #[error("{0}")]
    Invalid(String),
}
