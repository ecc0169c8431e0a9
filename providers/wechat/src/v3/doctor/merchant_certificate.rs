//! The merchant's own certificate, which a section need not name: whether it ends soon, and whether private key and
//! serial number belong together.

use aws_lc_rs::signature::KeyPair as _;
use dukou_domain::Timestamp;
use dukou_spi::{Checkup, Finding};
use x509_parser::certificate::X509Certificate;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::FromDer as _;

use crate::doctor::expiry;
use crate::identity::{MERCHANTS_CERTIFICATE, watched};
use crate::v3::provider::WechatV3;
use crate::v3::sign::MerchantKey;

/// As WeChat's certificate tool names it.
const FILE: &str = "apiclient_cert.pem";
const RENEW: &str =
    "make a new API certificate on the merchant platform; private_key, serial_no and certificate change together";

/// What the certificate says: the one that is named, or one that lies about.
pub fn look(provider: &WechatV3, checkup: &Checkup) -> Vec<Finding> {
    let now = provider.client.clock.now();
    if let Some(certificate) = &provider.certificate {
        return vec![expiry("certificate", MERCHANTS_CERTIFICATE, certificate, now, RENEW)];
    }
    let unnamed = |what: &str| {
        Finding::warning("certificate", format!("is not named, so that {what}"), format!("name {FILE} as file:PATH"))
    };
    match elsewhere(provider, checkup, now) {
        Some(mut told) => {
            told.push(unnamed("its end is not watched"));
            told
        }
        None => {
            vec![unnamed("neither its end is watched nor whether private_key and serial_no belong together")]
        }
    }
}

/// What a certificate beside the private key says, or that of another section. The one that belongs to both counts before
/// one that contradicts: an older one may lie about too.
fn elsewhere(provider: &WechatV3, checkup: &Checkup, now: Timestamp) -> Option<Vec<Finding>> {
    let beside = beside(provider).map(|der| (format!("{FILE} beside private_key"), der));
    let others = checkup.certificates.iter().map(|other| (format!("the one of {}", other.section), other.der.clone()));
    let key = &provider.client.key;
    let told = beside.into_iter().chain(others).filter_map(|(place, der)| compare(key, &place, &der, now));
    let mut told: Vec<(bool, Vec<Finding>)> = told.collect();
    let chosen = told.iter().position(|(belongs, _)| *belongs).unwrap_or_default();
    (!told.is_empty()).then(|| told.swap_remove(chosen).1)
}

fn beside(provider: &WechatV3) -> Option<Vec<u8>> {
    let pem = std::fs::read(provider.key_folder.as_ref()?.join(FILE)).ok()?;
    parse_x509_pem(&pem).ok().map(|(_, block)| block.contents)
}

/// Whether it belongs to both, and what it says. One that belongs to neither is another merchant's, or an older one: it
/// says nothing. The one in use is judged for its end too, since WeChat refuses every call with one that has expired.
fn compare(key: &MerchantKey, place: &str, der: &[u8], now: Timestamp) -> Option<(bool, Vec<Finding>)> {
    let (_, leaf) = X509Certificate::from_der(der).ok()?;
    let own = watched(&leaf);
    let serial = own.serial.as_str();
    let of_key = key.pair.public_key().as_ref() == leaf.public_key().subject_public_key.data.as_ref();
    match (of_key, serial == key.serial_no) {
        (true, true) => {
            let belongs =
                Finding::good("private_key", format!("belongs to serial_no: so says its certificate, {place}"));
            let what = format!("{MERCHANTS_CERTIFICATE}, {place},");
            Some((true, vec![belongs, expiry("certificate", &what, &own, now, RENEW)]))
        }
        (true, false) => {
            let contradicts = Finding::error(
                "serial_no",
                format!("is not that of private_key's certificate, {place}, which is {serial}"),
                "set serial_no to this, or private_key to the key of the certificate that serial_no names",
            );
            Some((false, vec![contradicts]))
        }
        (false, true) => {
            let contradicts = Finding::error(
                "private_key",
                format!("is not the key of the certificate that serial_no names, {place}"),
                "name the key made with this certificate, or set serial_no to that of private_key's own",
            );
            Some((false, vec![contradicts]))
        }
        (false, false) => None,
    }
}
