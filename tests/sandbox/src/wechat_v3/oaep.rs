//! Sensitive fields (敏感信息加密): RSAES-OAEP with SHA-1, MGF1 over SHA-1 and an empty label (RFC 8017, section 7.1).
//!
//! ring has no RSA encryption, and the providers' library must not be used here, so this is the standard over a
//! big-integer library. It takes no care of timing: its keys are thrown away and guard nothing.

use base64::prelude::{BASE64_STANDARD, Engine};
use der_parser::ber::BerObject;
use der_parser::der::parse_der;
use num_bigint::BigUint;
use sha1_smol::Sha1;

const HASH: usize = 20;

/// Decrypts base64 with a private key in PKCS#8; `None` if it was not encrypted so, or is not UTF-8.
pub fn decrypt(pkcs8: &[u8], ciphertext: &str) -> Option<String> {
    let (modulus, exponent) = private_parts(pkcs8)?;
    let length = usize::try_from(modulus.bits().div_ceil(8)).ok()?;
    let sealed = BASE64_STANDARD.decode(ciphertext).ok()?;
    let number = BigUint::from_bytes_be(&sealed);
    if sealed.len() != length || number >= modulus {
        return None;
    }
    let block = number.modpow(&exponent, &modulus).to_bytes_be();
    let mut padded = vec![0; length.checked_sub(block.len())?];
    padded.extend_from_slice(&block);

    let (first, rest) = padded.split_first()?;
    let (masked_seed, masked_data) = rest.split_at_checked(HASH)?;
    let seed = xor(masked_seed, &mask(masked_data, HASH));
    let data = xor(masked_data, &mask(&seed, masked_data.len()));
    let (label_hash, text) = data.split_at_checked(HASH)?;
    let end = text.iter().position(|byte| *byte != 0)?;
    if *first != 0 || label_hash != sha1(b"") || text[end] != 1 {
        return None;
    }
    String::from_utf8(text[end + 1..].to_vec()).ok()
}

/// Encrypts for a public key in PKCS#1; `None` if the text is too long for it (214 bytes with 2048 bits).
#[cfg(test)]
pub fn encrypt(public: &[u8], plain: &str) -> Option<String> {
    let (_, key) = parse_der(public).ok()?;
    let [modulus, exponent] = numbers(&key, [0, 1])?;
    let length = usize::try_from(modulus.bits().div_ceil(8)).ok()?;
    let room = length.checked_sub(2 * HASH + 2)?;
    let zeros = room.checked_sub(plain.len())?;
    let mut data = sha1(b"").to_vec();
    data.extend(std::iter::repeat_n(0, zeros));
    data.push(1);
    data.extend_from_slice(plain.as_bytes());
    let seed: [u8; HASH] = rand::random();
    let masked_data = xor(&data, &mask(&seed, data.len()));
    let masked_seed = xor(&seed, &mask(&masked_data, HASH));
    let block = BigUint::from_bytes_be(&[masked_seed, masked_data].concat()).modpow(&exponent, &modulus).to_bytes_be();
    let mut sealed = vec![0; length.checked_sub(block.len())?];
    sealed.extend(block);
    Some(BASE64_STANDARD.encode(sealed))
}

fn sha1(bytes: &[u8]) -> [u8; HASH] {
    Sha1::from(bytes).digest().bytes()
}

/// MGF1.
fn mask(seed: &[u8], length: usize) -> Vec<u8> {
    let blocks = u32::try_from(length.div_ceil(HASH)).unwrap_or(u32::MAX);
    let mut bytes: Vec<u8> = (0..blocks).flat_map(|n| sha1(&[seed, &n.to_be_bytes()].concat())).collect();
    bytes.truncate(length);
    bytes
}

fn xor(left: &[u8], right: &[u8]) -> Vec<u8> {
    left.iter().zip(right).map(|(left, right)| left ^ right).collect()
}

fn numbers<const N: usize>(sequence: &BerObject<'_>, at: [usize; N]) -> Option<[BigUint; N]> {
    let items = sequence.as_sequence().ok()?;
    let found: Vec<BigUint> = at.iter().filter_map(|&at| items.get(at)?.as_biguint().ok()).collect();
    found.try_into().ok()
}

/// Modulus and private exponent out of PKCS#8.
fn private_parts(pkcs8: &[u8]) -> Option<(BigUint, BigUint)> {
    let (_, outer) = parse_der(pkcs8).ok()?;
    let inner = outer.as_sequence().ok()?.get(2)?.as_slice().ok()?;
    let (_, key) = parse_der(inner).ok()?;
    let [modulus, exponent] = numbers(&key, [1, 3])?;
    Some((modulus, exponent))
}
