//! The merchant's own certificate, which a section need not name: whether it ends soon, and whether private key and
//! serial number belong together.

use aws_lc_rs::signature::KeyPair as _;
use dukou_spi::{Checkup, Finding, Grade};
use x509_parser::certificate::X509Certificate;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::FromDer as _;

use crate::doctor::expiry;
use crate::identity::{MERCHANTS_CERTIFICATE, watched};
use crate::v3::provider::WechatV3;
use crate::v3::sign::MerchantKey;

/// As WeChat's certificate tool names it.
const FILE: &str = "apiclient_cert.pem";

/// What the certificate says: the one that is named, or one that lies about.
pub fn look(provider: &WechatV3, checkup: &Checkup) -> Vec<Finding> {
    if let Some(certificate) = &provider.certificate {
        let fix = "make a new API certificate on the merchant platform; private_key, serial_no and certificate change together";
        let now = provider.client.clock.now();
        return vec![expiry("certificate", MERCHANTS_CERTIFICATE, certificate, now, fix)];
    }
    let unnamed = |what: &str| {
        Finding::warning("certificate", format!("is not named, so that {what}"), format!("name {FILE} as file:PATH"))
    };
    match elsewhere(provider, checkup) {
        Some(told) => vec![told, unnamed("its end is not watched")],
        None => {
            vec![unnamed("neither its end is watched nor whether private_key and serial_no belong together")]
        }
    }
}

/// What a certificate beside the private key says, or that of another section. The one that belongs to both counts before
/// one that contradicts: an older one may lie about too.
fn elsewhere(provider: &WechatV3, checkup: &Checkup) -> Option<Finding> {
    let beside = beside(provider).map(|der| (format!("{FILE} beside private_key"), der));
    let others = checkup.certificates.iter().map(|other| (format!("the one of {}", other.section), other.der.clone()));
    let told = beside.into_iter().chain(others).filter_map(|(place, der)| compare(&provider.client.key, &place, &der));
    let told: Vec<Finding> = told.collect();
    told.iter().find(|finding| finding.grade == Grade::Good).or_else(|| told.first()).cloned()
}

fn beside(provider: &WechatV3) -> Option<Vec<u8>> {
    let pem = std::fs::read(provider.key_folder.as_ref()?.join(FILE)).ok()?;
    parse_x509_pem(&pem).ok().map(|(_, block)| block.contents)
}

/// One that belongs to neither is another merchant's, or an older one: it says nothing.
fn compare(key: &MerchantKey, place: &str, der: &[u8]) -> Option<Finding> {
    let (_, leaf) = X509Certificate::from_der(der).ok()?;
    let serial = watched(&leaf).serial;
    let of_key = key.pair.public_key().as_ref() == leaf.public_key().subject_public_key.data.as_ref();
    match (of_key, serial == key.serial_no) {
        (true, true) => {
            Some(Finding::good("private_key", format!("belongs to serial_no: so says its certificate, {place}")))
        }
        (true, false) => Some(Finding::error(
            "serial_no",
            format!("is not that of private_key's certificate, {place}, which is {serial}"),
            "set serial_no to this, or private_key to the key of the certificate that serial_no names",
        )),
        (false, true) => Some(Finding::error(
            "private_key",
            format!("is not the key of the certificate that serial_no names, {place}"),
            "name the key made with this certificate, or set serial_no to that of private_key's own",
        )),
        (false, false) => None,
    }
}
