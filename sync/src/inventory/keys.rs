//! Public keys and detached signatures, as `openssl` and `cosign` write them.
//!
//! Two types: ECDSA on P-256 with SHA-256, and Ed25519. Each has exactly one DER form, which is compared byte by byte, so no
//! ASN.1 parser is needed.

use std::path::Path;

use airdock_registry::oci::{Algorithm, Digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ED25519, UnparsedPublicKey, VerificationAlgorithm};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use rustls_pki_types::pem::{PemObject as _, SectionKind};

use crate::input::regular;

/// The largest signature file, in bytes. A P-256 signature in base64 has about a hundred.
pub(crate) const MAX_SIGNATURE: u64 = 4096;

/// The largest key file, in bytes.
const MAX_KEY: u64 = 64 * 1024;

/// The bytes before the point of a P-256 key, and its first byte, which means that it is not compressed.
const P256: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];
const P256_POINT: usize = 65;
/// The bytes before the 32 bytes of an Ed25519 key.
const ED25519_KEY: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Key types that are not supported, by the object identifier in their files.
const OTHERS: [(&[u8], &str); 6] = [
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01], "an RSA key"),
    (&[0x2b, 0x81, 0x04, 0x00, 0x22], "an ECDSA key on P-384"),
    (&[0x2b, 0x81, 0x04, 0x00, 0x23], "an ECDSA key on P-521"),
    (&[0x2b, 0x65, 0x71], "an Ed448 key"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01], "an ECDSA key on another curve, or in a compressed form"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x38, 0x04, 0x01], "a DSA key"),
];

/// A key that bundles may be signed with.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    /// The name of its file.
    pub(crate) file: String,
    /// The SHA-256 of the key in DER.
    pub(crate) fingerprint: Digest,
    key: UnparsedPublicKey<Vec<u8>>,
}

impl Key {
    /// Reads a PEM file with one public key.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let invalid = |problem| format!("the key `{}` cannot be used: {problem}", path.display());
        let pem = regular::named(path).and_then(|opened| regular::read(opened, MAX_KEY));
        let pem = pem.map_err(|error| invalid(error.to_string()))?;
        let file = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Self::of_pem(file, &pem).map_err(invalid)
    }

    pub(crate) fn of_pem(file: String, pem: &[u8]) -> Result<Self, String> {
        let wanted = "give a public key in PEM, as `openssl pkey -pubout` or `cosign generate-key-pair` writes it";
        let sections: Result<Vec<(SectionKind, Vec<u8>)>, _> =
            <(SectionKind, Vec<u8>)>::pem_slice_iter(pem).take(2).collect();
        let sections = sections.map_err(|error| format!("it is damaged ({error:?}); {wanted}"))?;
        let der = match sections.as_slice() {
            [(SectionKind::PublicKey, der)] => der,
            [] => return Err(format!("there is no key in it; {wanted}")),
            [(SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey, _), ..] => {
                return Err(format!("it holds a private key, which belongs where bundles are made; {wanted}"));
            }
            [_] => return Err(format!("it holds something else than a public key; {wanted}")),
            _ => return Err("it holds more than one key; write each to a file of its own".to_owned()),
        };
        let (algorithm, key): (&'static dyn VerificationAlgorithm, _) =
            if der.starts_with(P256) && der.len() == P256.len() - 1 + P256_POINT {
                (&ECDSA_P256_SHA256_ASN1, &der[P256.len() - 1..])
            } else if der.starts_with(ED25519_KEY) && der.len() == ED25519_KEY.len() + 32 {
                (&ED25519, &der[ED25519_KEY.len()..])
            } else {
                let holds = |oid: &[u8]| der.windows(oid.len()).take(32).any(|window| window == oid);
                let other = OTHERS.iter().find(|(oid, _)| holds(oid)).map_or("a key of another kind", |(_, name)| name);
                return Err(format!("it is {other}; use ECDSA on P-256 or Ed25519"));
            };
        let key = UnparsedPublicKey::new(algorithm, key.to_vec());
        // Not every value is a point on the curve.
        key.parse().map_err(|error| format!("it is damaged ({error}); {wanted}"))?;
        Ok(Self { file, fingerprint: Algorithm::Sha256.digest(der), key })
    }

    /// Whether `signature`, raw or in base64, is this key's over `text`.
    pub(crate) fn has_signed(&self, text: &[u8], signature: &[u8]) -> bool {
        let packed: Vec<u8> = signature.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let unpacked = BASE64_STANDARD.decode(packed).ok();
        let mut signatures = std::iter::once(signature).chain(unpacked.as_deref());
        signatures.any(|signature| self.key.verify(text, signature).is_ok())
    }
}
