//! How the name in a request finds the name content is stored under.
//!
//! Mirrored content is stored as `<upstream host>/<path>`, a port written `_5000`; a first component with a dot belongs
//! to upstreams, everything else is internal. Pure: what is stored is the caller's to look up.

mod namespace;
mod requested;
mod settings;

pub use namespace::{InvalidNamespace, Namespace};
pub use requested::RequestedName;
pub use settings::Settings;
