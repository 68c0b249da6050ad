//! Reading untrusted bytes: files, pipes, folders and block devices, compression, and tar. Knows no image formats.

pub(crate) mod compression;
pub(crate) mod device;
pub(crate) mod diff_id;
mod entry_name;
pub(crate) mod fifo;
pub(crate) mod folder;
pub(crate) mod foreign;
pub(crate) mod leftovers;
pub(crate) mod links;
mod pax;
pub(crate) mod regular;
pub(crate) mod source;
pub(crate) mod tar;
