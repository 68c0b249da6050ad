//! From the name in a request to the repositories it may mean.
//!
//! Mirrored content is stored as `<upstream host>/<path>`, with a port written `_5000`. A first component with a dot
//! belongs to an upstream; every other repository is internal. Pure: the caller looks up what is stored.

mod namespace;
mod requested;
mod settings;

pub use namespace::{InvalidNamespace, Namespace};
pub use requested::{RequestedName, resolve};
pub use settings::Settings;
