//! What people see: progress, tables, sentences.

pub(crate) mod hints;
pub(crate) mod progress;
pub(crate) mod releases;
pub(crate) mod report;
pub(crate) mod table;
pub(crate) mod text;
