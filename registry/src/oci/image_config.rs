//! The config of a container image (image-spec `config.md`), as far as it is read: its platform and its layers.

use serde::Deserialize;

use super::{Digest, MediaType, Platform};

/// What an image's config says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ImageConfig {
    architecture: String,
    os: String,
    variant: String,
    rootfs: Option<RootFs>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct RootFs {
    diff_ids: Option<Vec<Digest>>,
}

impl ImageConfig {
    /// Whether a config of this type belongs to a container image, which has layers and a platform.
    #[must_use]
    pub fn is(media_type: &MediaType) -> bool {
        matches!(media_type.as_str(), MediaType::IMAGE_CONFIG | "application/vnd.docker.container.image.v1+json")
    }

    /// Reads a config.
    pub fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// The platform, if the config names an operating system and an architecture.
    #[must_use]
    pub fn platform(&self) -> Option<Platform> {
        let variant = Some(self.variant.clone()).filter(|variant| !variant.is_empty());
        let platform = Platform { architecture: self.architecture.clone(), os: self.os.clone(), variant };
        (!self.os.is_empty() && !self.architecture.is_empty()).then_some(platform)
    }

    /// Whether it says which layers the image has.
    #[must_use]
    pub const fn states_layers(&self) -> bool {
        self.rootfs.is_some()
    }

    /// The digests of what the layers unpack to, lowest layer first.
    #[must_use]
    pub fn diff_ids(&self) -> &[Digest] {
        self.rootfs.as_ref().and_then(|rootfs| rootfs.diff_ids.as_deref()).unwrap_or_default()
    }
}
