//! RSA 2048 with PKCS#1 v1.5 and SHA-256: what signs requests, answers and notifications of the v3 API.

use anyhow::{Context, Result, anyhow};
use base64::prelude::{BASE64_STANDARD, Engine};
use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;

/// A private key, kept as read and as PKCS#8.
pub struct PrivateKey {
    pair: KeyPair,
    pkcs8: Vec<u8>,
}

impl PrivateKey {
    /// Reads PKCS#8.
    ///
    /// # Errors
    /// If it is not an RSA key of 2048 bits or more.
    pub fn from_pkcs8(der: Vec<u8>) -> Result<Self> {
        let pair = KeyPair::from_pkcs8(&der).map_err(|rejected| anyhow!("not an RSA key: {rejected}"))?;
        Ok(Self { pair, pkcs8: der })
    }

    /// Reads a PEM file with PKCS#8 in it.
    ///
    /// # Errors
    /// If it is something else.
    pub fn from_pem(pem: &str) -> Result<Self> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).context("not a PKCS#8 key in PEM")?;
        Self::from_pkcs8(der.secret_pkcs8_der().to_vec())
    }

    pub fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The public half as PKCS#1.
    pub fn public(&self) -> &[u8] {
        self.pair.public().as_ref()
    }

    /// The signature in base64: 344 characters for 2048 bits.
    pub fn sign(&self, message: &[u8]) -> String {
        let mut signature = vec![0; self.pair.public().modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
            .expect("a key that was read signs a digest into room of its own length");
        BASE64_STANDARD.encode(signature)
    }
}

/// Whether `signature` (base64) is the message's under a public key in PKCS#1.
pub fn verify(public: &[u8], message: &[u8], signature: &str) -> bool {
    let Ok(signature) = BASE64_STANDARD.decode(signature) else { return false };
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public).verify(message, &signature).is_ok()
}
