//! The commands, each from checked settings to an exit code.

pub(crate) mod config_check;
pub(crate) mod ingest;
pub(crate) mod inspect;
pub(crate) mod inventory;
pub(crate) mod ls;
pub(crate) mod rebuild;
pub(crate) mod releases;
pub(crate) mod rm;
pub(crate) mod serve;
pub(crate) mod uploads;
pub(crate) mod verify;
pub(crate) mod worker;
