//! The sandbox's throwaway certificate authority: its own TLS certificate, and the merchants' API certificates.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use p12_keystore::{EncryptionAlgorithm, KeyStore, KeyStoreEntry, MacAlgorithm, PrivateKey, PrivateKeyChain};
use rand::Rng;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_RSA_SHA256, RsaKeySize, SanType, SerialNumber,
};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName as HintedName, ServerConfig, SignatureScheme};
use time::{Duration, OffsetDateTime};

use crate::lock;

const HOSTS: [&str; 5] =
    ["localhost", "api.mch.weixin.qq.com", "api2.mch.weixin.qq.com", "api.weixin.qq.com", "open.douyin.com"];

/// A merchant's API certificate (商户 API 证书) in the three files the merchant platform hands out.
#[derive(Clone)]
pub struct MerchantFiles {
    pub client_cert_pem: String,
    /// PKCS#8.
    pub client_key_pem: String,
    /// PKCS#12; the password is the merchant number.
    pub client_p12: Vec<u8>,
    /// The certificate's serial number as v3 requests name it: 40 upper-case hex digits.
    pub serial_no: String,
}

impl std::fmt::Debug for MerchantFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MerchantFiles").field("client_cert_pem", &self.client_cert_pem).finish_non_exhaustive()
    }
}

/// Issues certificates and knows to whom.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    /// The merchant number by the certificate's bytes.
    issued: Mutex<HashMap<Vec<u8>, String>>,
}

impl Authority {
    pub fn new() -> Result<Self> {
        let mut params = params("Dukou Sandbox CA", 10 * 365);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), pem, issued: Mutex::new(HashMap::new()) })
    }

    /// The authority that an earlier run wrote to the directory, or a new one that is written there now.
    pub fn kept_in(directory: &Path) -> Result<Self> {
        let (certificate, key) = (directory.join("ca.pem"), directory.join("ca_key.pem"));
        if certificate.exists() && key.exists() {
            let pem = fs::read_to_string(&certificate)?;
            let issuer = Issuer::from_ca_cert_pem(&pem, KeyPair::from_pem(&fs::read_to_string(&key)?)?)
                .with_context(|| format!("cannot use {}", certificate.display()))?;
            return Ok(Self { issuer, pem, issued: Mutex::new(HashMap::new()) });
        }
        let authority = Self::new()?;
        fs::create_dir_all(directory)?;
        write_secret(&key, authority.issuer.key().serialize_pem().as_bytes())?;
        fs::write(&certificate, &authority.pem)?;
        Ok(authority)
    }

    /// The authority's certificate: what a client must trust to talk to the sandbox.
    pub fn pem(&self) -> String {
        self.pem.clone()
    }

    /// TLS with a certificate for the platform's host names, loopback and `listen`; it asks for a client certificate
    /// and takes any or none, for the platform answers a wrong one with an HTTP page rather than an alert.
    pub fn server_config(&self, listen: IpAddr) -> Result<ServerConfig> {
        let mut params = params("dukou-sandbox", 365);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        for host in HOSTS {
            params.subject_alt_names.push(SanType::DnsName(host.try_into()?));
        }
        let mut addresses = vec![IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1u16])];
        if !addresses.contains(&listen) {
            addresses.push(listen);
        }
        params.subject_alt_names.extend(addresses.into_iter().map(SanType::IpAddress));
        let key = KeyPair::generate()?;
        let cert = params.signed_by(&key, &self.issuer)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(Arc::new(AskedFor { provider }))
            .with_single_cert(vec![cert.der().clone()], key)
            .context("the sandbox's own certificate")
    }

    /// Makes a new API certificate for a merchant; earlier ones stay good.
    pub fn issue(&self, mch_id: &str) -> Result<MerchantFiles> {
        let mut params = params(mch_id, 5 * 365);
        params.distinguished_name.push(DnType::OrganizationName, "Dukou Sandbox");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let serial = serial_number();
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
        let cert = params.signed_by(&key, &self.issuer)?;
        lock(&self.issued).insert(cert.der().to_vec(), mch_id.to_owned());

        let mut store = KeyStore::new();
        let private = PrivateKey::from_der(&key.serialize_der())?;
        let chain =
            PrivateKeyChain::new([1u8; 4].as_slice(), private, [p12_keystore::Certificate::from_der(cert.der())?]);
        store.add_entry("Tenpay Certificate", KeyStoreEntry::PrivateKeyChain(chain));
        let client_p12 = store
            .writer(mch_id)
            .encryption_algorithm(EncryptionAlgorithm::PbeWithShaAnd3KeyTripleDesCbc)
            .encryption_iterations(2048)
            .mac_algorithm(MacAlgorithm::HmacSha1)
            .mac_iterations(2048)
            .write()?;
        Ok(MerchantFiles {
            client_cert_pem: cert.pem(),
            client_key_pem: key.serialize_pem(),
            client_p12,
            serial_no: hex::encode_upper(serial),
        })
    }

    /// The certificate an earlier run of this authority wrote to the merchant's folder, or a new one written there now.
    pub fn kept_for(&self, mch_id: &str, folder: &Path) -> Result<MerchantFiles> {
        let [certificate, key, p12] =
            ["cert.pem", "key.pem", "cert.p12"].map(|end| folder.join(format!("apiclient_{end}")));
        let serial_no = folder.join("serial_no");
        if certificate.exists() && key.exists() && p12.exists() && serial_no.exists() {
            let files = MerchantFiles {
                client_cert_pem: fs::read_to_string(&certificate)?,
                client_key_pem: fs::read_to_string(&key)?,
                client_p12: fs::read(&p12)?,
                serial_no: fs::read_to_string(&serial_no)?.trim().to_owned(),
            };
            let der = CertificateDer::from_pem_slice(files.client_cert_pem.as_bytes())
                .with_context(|| format!("cannot read {}", certificate.display()))?;
            lock(&self.issued).insert(der.to_vec(), mch_id.to_owned());
            return Ok(files);
        }
        let files = self.issue(mch_id)?;
        fs::create_dir_all(folder)?;
        fs::write(&certificate, &files.client_cert_pem)?;
        write_secret(&key, files.client_key_pem.as_bytes())?;
        write_secret(&p12, &files.client_p12)?;
        fs::write(&serial_no, &files.serial_no)?;
        Ok(files)
    }

    /// Certifies a key of the platform's own; the result is PEM.
    pub fn certify(&self, params: &CertificateParams, key: &KeyPair) -> Result<String> {
        Ok(params.signed_by(key, &self.issuer)?.pem())
    }

    /// The merchant a certificate was issued to; `None` for one of another authority.
    pub fn owner(&self, certificate: &[u8]) -> Option<String> {
        lock(&self.issued).get(certificate).cloned()
    }
}

/// A random serial number that takes exactly 40 hex digits, as the platform's do.
pub fn serial_number() -> [u8; 20] {
    let mut serial: [u8; 20] = rand::random();
    serial[0] = rand::rng().random_range(0x10..0x80);
    serial
}

/// Writes a file that only its owner may read.
pub fn write_secret(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(bytes)
}

/// The name, and a validity from yesterday on for so many days.
pub fn params(common_name: &str, days: i64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = OffsetDateTime::now_utc() - Duration::days(1);
    params.not_after = OffsetDateTime::now_utc() + Duration::days(days);
    params
}

/// Takes any client certificate whose private key the client holds: who it belongs to is judged per request.
#[derive(Debug)]
struct AskedFor {
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for AskedFor {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[HintedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
