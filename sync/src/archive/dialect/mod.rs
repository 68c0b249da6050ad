//! The formats that images and charts come in, one file each.

mod arrangement;
pub(crate) mod chart;
pub(crate) mod chart_yaml;
pub(crate) mod directory;
pub(crate) mod docker;
mod hauler;
mod layers;
pub(crate) mod layout;
pub(crate) mod layout_index;
pub(crate) mod made;
pub(crate) mod storage;
