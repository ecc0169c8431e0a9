//! The platform's own keys: certificates that rotate (平台证书) and a public key per merchant (微信支付公钥), and which
//! of them signs what.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use rand::Rng;
use rcgen::{CertificateParams, IsCa, KeyPair, PKCS_RSA_SHA256, RsaKeySize, SerialNumber};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use super::keys::PrivateKey;
use crate::certs::{self, Authority};
use crate::lock;

/// What the ids of public keys begin with.
pub const PUBLIC_KEY_PREFIX: &str = "PUB_KEY_ID_";
/// How long a platform certificate is good unless told otherwise.
const CERTIFICATE_DAYS: i64 = 5 * 365;

/// How a merchant and the platform trust each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrustMode {
    /// Only the public key: every merchant opened since autumn 2024. `/v3/certificates` has nothing for it.
    #[default]
    PublicKey,
    /// Only platform certificates.
    Certificate,
    /// Moving over: answers follow the request's `Wechatpay-Serial`, notifications move share by share.
    Switching,
}

/// A key and the name it goes by in `Wechatpay-Serial`.
#[derive(Clone)]
pub struct Signer {
    pub serial: String,
    pub key: Arc<PrivateKey>,
}

/// One platform certificate.
#[derive(Clone)]
pub struct PlatformCertificate {
    pub signer: Signer,
    pub pem: String,
    pub effective_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
    /// Whether `/v3/certificates` shows it.
    pub listed: bool,
    /// Its share of the answers, from 0 to 1.
    pub answers: f64,
    /// Its share of the notifications, from 0 to 1.
    pub notifies: f64,
}

/// A merchant's platform public key.
#[derive(Clone)]
pub struct PublicKey {
    pub signer: Signer,
    pub pem: String,
}

/// How far one merchant has moved to the public key.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Switch {
    pub mode: TrustMode,
    /// The share of notifications signed with the public key while switching.
    pub notify_share: f64,
}

/// What is being signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Answer,
    Notify,
}

/// All keys of the platform. They are made when first asked for: an RSA key takes a while.
#[derive(Default)]
pub struct Trust {
    directory: Option<PathBuf>,
    certificates: Mutex<Vec<PlatformCertificate>>,
    public_keys: Mutex<HashMap<String, PublicKey>>,
    switches: Mutex<HashMap<String, Switch>>,
}

fn new_key() -> Result<KeyPair> {
    Ok(KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?)
}

/// Reads the key kept in a file, or makes one and keeps it there.
fn kept_key(path: Option<&Path>) -> Result<KeyPair> {
    let Some(path) = path else { return new_key() };
    if path.exists() {
        return KeyPair::from_pem(&fs::read_to_string(path)?)
            .with_context(|| format!("cannot read {}", path.display()));
    }
    let key = new_key()?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    certs::write_secret(path, key.serialize_pem().as_bytes())?;
    Ok(key)
}

fn certify(
    authority: &Authority,
    key: &KeyPair,
    serial: &[u8],
    from: OffsetDateTime,
    to: OffsetDateTime,
) -> Result<String> {
    let mut params: CertificateParams = certs::params("Tenpay.com sign (sandbox)", CERTIFICATE_DAYS);
    params.is_ca = IsCa::ExplicitNoCa;
    params.serial_number = Some(SerialNumber::from_slice(serial));
    params.not_before = from;
    params.not_after = to;
    authority.certify(&params, key)
}

/// Whole seconds, as a certificate keeps them.
fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc().replace_nanosecond(0).unwrap_or_else(|_| OffsetDateTime::now_utc())
}

impl Trust {
    pub fn new(directory: Option<PathBuf>) -> Self {
        Self { directory, ..Self::default() }
    }

    /// The certificates, of which there is always one.
    fn with_certificates<T>(
        &self,
        authority: &Authority,
        act: impl FnOnce(&mut Vec<PlatformCertificate>) -> T,
    ) -> Result<T> {
        let mut all = lock(&self.certificates);
        if all.is_empty() {
            all.push(self.first(authority)?);
        }
        Ok(act(&mut all))
    }

    /// The certificate a sandbox starts with, kept in the directory if there is one.
    fn first(&self, authority: &Authority) -> Result<PlatformCertificate> {
        let file = |end: &str| self.directory.as_ref().map(|folder| folder.join(format!("platform_{end}")));
        let key = kept_key(file("key.pem").as_deref())?;
        let kept = [file("cert.pem"), file("serial_no")];
        let from = now() - Duration::days(1);
        let made = |serial: Vec<u8>, pem: String| -> Result<PlatformCertificate> {
            Ok(PlatformCertificate {
                signer: Signer {
                    serial: hex::encode_upper(serial),
                    key: Arc::new(PrivateKey::from_pkcs8(key.serialize_der())?),
                },
                pem,
                effective_at: from,
                expires_at: from + Duration::days(CERTIFICATE_DAYS),
                listed: true,
                answers: 1.0,
                notifies: 1.0,
            })
        };
        if let [_, Some(number)] = &kept
            && number.exists()
        {
            // Certified anew under the same number, so that it never runs out.
            let serial = hex::decode(fs::read_to_string(number)?.trim()).context("the kept serial number")?;
            let pem = certify(authority, &key, &serial, from, from + Duration::days(CERTIFICATE_DAYS))?;
            return made(serial, pem);
        }
        let serial = certs::serial_number().to_vec();
        let pem = certify(authority, &key, &serial, from, from + Duration::days(CERTIFICATE_DAYS))?;
        if let [Some(certificate), Some(number)] = kept {
            fs::write(certificate, &pem)?;
            fs::write(number, hex::encode_upper(&serial))?;
        }
        made(serial, pem)
    }

    /// All platform certificates, in the order they were made.
    pub fn certificates(&self, authority: &Authority) -> Result<Vec<PlatformCertificate>> {
        self.with_certificates(authority, |all| all.clone())
    }

    /// Adds a certificate that signs nothing yet.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn add(&self, authority: &Authority, starts_in: Duration, lasts: Duration, listed: bool) -> Result<String> {
        let key = new_key()?;
        let serial = certs::serial_number();
        let effective_at = now() + starts_in;
        let expires_at = effective_at + lasts;
        let certificate = PlatformCertificate {
            signer: Signer {
                serial: hex::encode_upper(serial),
                key: Arc::new(PrivateKey::from_pkcs8(key.serialize_der())?),
            },
            pem: certify(authority, &key, &serial, effective_at, expires_at)?,
            effective_at,
            expires_at,
            listed,
            answers: 0.0,
            notifies: 0.0,
        };
        let serial = certificate.signer.serial.clone();
        self.with_certificates(authority, |all| all.push(certificate))?;
        Ok(serial)
    }

    /// Changes one certificate; `None` if there is none of that serial.
    pub fn change<T>(
        &self,
        authority: &Authority,
        serial: &str,
        act: impl FnOnce(&mut PlatformCertificate) -> T,
    ) -> Result<Option<T>> {
        self.with_certificates(authority, |all| all.iter_mut().find(|one| one.signer.serial == serial).map(act))
    }

    /// Gives one certificate its shares; what is left goes to the others in proportion to what they had.
    pub fn share(&self, authority: &Authority, serial: &str, answers: f64, notifies: f64) -> Result<()> {
        self.with_certificates(authority, |all| {
            spread(all, serial, answers, |one| &mut one.answers);
            spread(all, serial, notifies, |one| &mut one.notifies);
        })
    }

    /// Certifies the same key and serial again with an end that has passed.
    pub fn expire(&self, authority: &Authority, serial: &str) -> Result<bool> {
        let ended = now() - Duration::seconds(1);
        let done = self.change(authority, serial, |one| -> Result<()> {
            let key = KeyPair::try_from(one.signer.key.pkcs8())?;
            one.effective_at = one.effective_at.min(ended - Duration::days(1));
            one.expires_at = ended;
            one.pem = certify(authority, &key, &hex::decode(&one.signer.serial)?, one.effective_at, ended)?;
            Ok(())
        })?;
        done.transpose().map(|done| done.is_some())
    }

    /// The public key the platform shows this merchant, kept in the merchant's folder if there is a directory.
    pub fn public_key(&self, mch_id: &str) -> Result<PublicKey> {
        let mut all = lock(&self.public_keys);
        if let Some(known) = all.get(mch_id) {
            return Ok(known.clone());
        }
        let file = self.directory.as_ref().map(|folder| folder.join(mch_id).join("platform_pub_key_private.pem"));
        let key = kept_key(file.as_deref())?;
        // The digits are the platform's habit; the number at the end is this key's own.
        let own = PrivateKey::from_pkcs8(key.serialize_der())?;
        let number = own.public().iter().rev().take(6).fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
        let made = PublicKey {
            signer: Signer { serial: format!("{PUBLIC_KEY_PREFIX}01{mch_id:0>10}{:022}", number), key: Arc::new(own) },
            pem: key.public_key_pem(),
        };
        all.insert(mch_id.to_owned(), made.clone());
        Ok(made)
    }

    /// How far the merchant is; `initial` until it was changed.
    pub fn switch(&self, mch_id: &str, initial: TrustMode) -> Switch {
        lock(&self.switches).get(mch_id).copied().unwrap_or(Switch { mode: initial, notify_share: 0.0 })
    }

    pub fn set_switch(&self, mch_id: &str, switch: Switch) {
        lock(&self.switches).insert(mch_id.to_owned(), switch);
    }

    /// Forgets how far merchants are and all certificates but the first, which is whole again.
    pub fn reset(&self, authority: &Authority) -> Result<()> {
        lock(&self.switches).clear();
        let mut all = lock(&self.certificates);
        all.truncate(1);
        if let Some(first) = all.first_mut() {
            let key = KeyPair::try_from(first.signer.key.pkcs8())?;
            (first.listed, first.answers, first.notifies) = (true, 1.0, 1.0);
            first.expires_at = first.effective_at + Duration::days(CERTIFICATE_DAYS);
            let serial = hex::decode(&first.signer.serial)?;
            first.pem = certify(authority, &key, &serial, first.effective_at, first.expires_at)?;
        }
        Ok(())
    }

    /// The key for an answer to a request that named `wanted`, or for a notification.
    pub fn signer(
        &self,
        authority: &Authority,
        mch_id: &str,
        initial: TrustMode,
        purpose: Purpose,
        wanted: Option<&str>,
    ) -> Result<Signer> {
        let switch = self.switch(mch_id, initial);
        let public = match (switch.mode, purpose) {
            (TrustMode::PublicKey, _) => true,
            (TrustMode::Certificate, _) => false,
            (TrustMode::Switching, Purpose::Answer) => {
                wanted.is_some_and(|serial| serial.starts_with(PUBLIC_KEY_PREFIX))
            }
            (TrustMode::Switching, Purpose::Notify) => rand::rng().random_bool(switch.notify_share),
        };
        if public {
            return Ok(self.public_key(mch_id)?.signer);
        }
        self.with_certificates(authority, |all| choose(all, purpose).signer.clone())
    }

    /// The key of that name if this merchant may encrypt for it now: the public key once the move to it has begun, a
    /// certificate while it is good and the merchant has not left certificates behind.
    pub fn encrypted_for(
        &self,
        authority: &Authority,
        mch_id: &str,
        initial: TrustMode,
        serial: &str,
    ) -> Result<Option<Signer>> {
        let mode = self.switch(mch_id, initial).mode;
        if serial.starts_with(PUBLIC_KEY_PREFIX) {
            let open = mode != TrustMode::Certificate;
            return if open { self.named(authority, mch_id, serial) } else { Ok(None) };
        }
        let open = mode != TrustMode::PublicKey;
        let good = |one: &mut PlatformCertificate| (open && now() < one.expires_at).then(|| one.signer.clone());
        Ok(self.change(authority, serial, good)?.flatten())
    }

    /// The key of that name, while the platform stands by what it signs for this merchant. Makes none: one that is not
    /// there yet has signed nothing.
    pub fn in_force(&self, mch_id: &str, serial: &str) -> Option<Signer> {
        if serial.starts_with(PUBLIC_KEY_PREFIX) {
            let known = lock(&self.public_keys);
            return known.get(mch_id).map(|key| key.signer.clone()).filter(|signer| signer.serial == serial);
        }
        let now = now();
        let all = lock(&self.certificates);
        let found = all.iter().find(|one| one.signer.serial == serial)?;
        (found.effective_at <= now && now < found.expires_at).then(|| found.signer.clone())
    }

    /// The key of that name, whatever signs at the moment.
    pub fn named(&self, authority: &Authority, mch_id: &str, serial: &str) -> Result<Option<Signer>> {
        if serial.starts_with(PUBLIC_KEY_PREFIX) {
            return Ok(Some(self.public_key(mch_id)?.signer).filter(|signer| signer.serial == serial));
        }
        self.change(authority, serial, |one| one.signer.clone())
    }
}

#[expect(clippy::float_arithmetic, reason = "shares of chance, not money")]
fn spread(
    all: &mut [PlatformCertificate],
    serial: &str,
    share: f64,
    of: impl Fn(&mut PlatformCertificate) -> &mut f64,
) {
    let mut others = 0.0;
    let mut count = 0.0;
    for one in all.iter_mut().filter(|one| one.signer.serial != serial) {
        others += *of(one);
        count += 1.0;
    }
    for one in all.iter_mut() {
        let mine = one.signer.serial == serial;
        let value = of(one);
        *value = match mine {
            true => share,
            false if others > 0.0 => *value / others * (1.0 - share),
            false => (1.0 - share) / count,
        };
    }
}

/// One certificate by chance, according to the shares; the last one with any share if the chances leave none.
#[expect(clippy::float_arithmetic, reason = "shares of chance, not money")]
fn choose(all: &[PlatformCertificate], purpose: Purpose) -> &PlatformCertificate {
    let share = |one: &PlatformCertificate| if purpose == Purpose::Answer { one.answers } else { one.notifies };
    let mut left: f64 = rand::rng().random_range(0.0..1.0);
    for one in all {
        if left < share(one) {
            return one;
        }
        left -= share(one);
    }
    all.iter().rev().find(|one| share(one) > 0.0).unwrap_or(&all[0])
}
