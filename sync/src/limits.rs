//! The bounds that untrusted archives are read under.

/// The largest window a stream may need to be unpacked, as a power of two: what `zstd -d` takes by default. xz calls the
/// window a dictionary.
pub(crate) const WINDOW_LOG: u32 = 27;

/// Image configs are read to learn the platform; `docker save` writes the whole build history into them.
pub(crate) const MAX_CONFIG: u64 = 8 * 1024 * 1024;

/// The bounds of an ingest. None of them limits the size of an honest image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest JSON or YAML document read into memory, in bytes. Image configs have a limit of their own.
    pub document: u64,
    /// The largest packed Helm chart, in bytes.
    pub chart: u64,
    /// The largest single layer, in bytes.
    pub layer: u64,
    /// Entries of all archives and files of all folders in one ingest.
    pub entries: u64,
    /// Images and charts in one ingest.
    pub images: usize,
    /// Archives and compressions within one another, and indexes within indexes.
    pub depth: usize,
    /// How many times its compressed size something may unpack to, once that is over `ratio_from`.
    pub ratio: u64,
    /// What anything may unpack to, in bytes.
    pub ratio_from: u64,
    /// Bytes to keep free on the disk of the data folder, so that the registry can go on writing. 0 disables the check.
    pub keep_free: u64,
}

impl Limits {
    pub(crate) const fn allowance(&self) -> Allowance {
        Allowance { ratio: self.ratio, from: self.ratio_from }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            document: 4 << 20,
            chart: 32 << 20,
            layer: 1 << 40,
            entries: 1_000_000,
            images: 10_000,
            depth: 8,
            ratio: 250,
            ratio_from: 1 << 30,
            keep_free: 64 << 20,
        }
    }
}

/// How far something may unpack. Images of zeros reach a ratio of a thousand, and so do decompression bombs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    /// Times the compressed size, once that is over `from`.
    pub(crate) ratio: u64,
    pub(crate) from: u64,
}

impl Allowance {
    /// How far something of `packed` bytes may unpack.
    pub(crate) fn of(self, packed: u64) -> u64 {
        self.from.max(packed.saturating_mul(self.ratio))
    }
}
