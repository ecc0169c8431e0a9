//! RSA with SHA-256 (PKCS#1 v1.5), as several platforms sign.

use std::fmt;

use aws_lc_rs::digest;
use aws_lc_rs::rsa::{PublicEncryptingKey, PublicKey};
use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};

use crate::Proof;

/// A platform's public key, parsed once and used for every message.
#[derive(Clone)]
pub struct RsaPublicKey {
    parsed: ParsedPublicKey,
    spki: Vec<u8>,
}

impl RsaPublicKey {
    /// Reads a SubjectPublicKeyInfo in DER (what a PEM `PUBLIC KEY` and a certificate hold). `None`
    /// for anything but an RSA key of 2048 to 8192 bits.
    pub fn from_spki(spki: &[u8]) -> Option<Self> {
        // The parsers take other encodings too; only this one is the key's one spelling.
        PublicEncryptingKey::from_der(spki).ok()?;
        let parsed = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, spki).ok()?;
        Some(RsaPublicKey { parsed, spki: spki.to_owned() })
    }

    /// The SubjectPublicKeyInfo in DER.
    pub fn as_spki(&self) -> &[u8] {
        &self.spki
    }

    /// Whether this is the public half of a key pair.
    pub fn is_half_of(&self, pair: &PublicKey) -> bool {
        use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
        AsDer::<PublicKeyX509Der<'_>>::as_der(pair).is_ok_and(|der| der.as_ref() == self.spki)
    }
}

impl PartialEq for RsaPublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.spki == other.spki
    }
}

impl fmt::Debug for RsaPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RsaPublicKey").finish_non_exhaustive()
    }
}

impl Proof {
    /// Checks an RSA signature over the pieces of a message, one after the other. `None` when it
    /// does not hold.
    pub fn by_rsa_sha256(key: &RsaPublicKey, message: &[&[u8]], signature: &[u8]) -> Option<Proof> {
        let mut context = digest::Context::new(&digest::SHA256);
        message.iter().for_each(|piece| context.update(piece));
        key.parsed.verify_digest_sig(&context.finish(), signature).ok()?;
        Some(Proof::held())
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};

    use super::*;

    fn pair() -> (RsaKeyPair, RsaPublicKey) {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        let public = RsaPublicKey::from_spki(spki.as_ref()).unwrap();
        (pair, public)
    }

    #[test]
    fn only_the_keys_own_signature_over_all_pieces_is_a_proof() {
        let (pair, public) = pair();
        let (other_pair, other) = self::pair();
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), b"1\nn\nbody\n", &mut signature).unwrap();
        let holds = |key, message: &[&[u8]], signature: &[u8]| Proof::by_rsa_sha256(key, message, signature).is_some();
        assert!(holds(&public, &[b"1\n", b"n\n", b"body", b"\n"], &signature));
        assert!(holds(&public, &[b"1\nn\nbody\n"], &signature));
        assert!(!holds(&public, &[b"1\nn\nbody"], &signature));
        assert!(!holds(&other, &[b"1\nn\nbody\n"], &signature));
        assert!(!holds(&public, &[b"1\nn\nbody\n"], &signature[1..]));
        assert!(!holds(&public, &[b"1\nn\nbody\n"], b""));
        assert!(public.is_half_of(pair.public_key()) && !public.is_half_of(other_pair.public_key()));
    }

    #[test]
    fn only_an_rsa_key_of_a_good_length_is_read() {
        assert!(RsaPublicKey::from_spki(b"").is_none());
        let (pair, public) = pair();
        // PKCS#1, the key without its algorithm.
        assert!(RsaPublicKey::from_spki(pair.public_key().as_ref()).is_none());
        assert!(RsaPublicKey::from_spki(&public.as_spki()[1..]).is_none());
    }
}
