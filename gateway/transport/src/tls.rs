//! Whom we trust, and who we are.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError, Weak};

use dukou_domain::Secret;
use dukou_spi::transport::InvalidTransport;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// TLS for one merchant identity. Certificates are always verified, against the machine's and
/// Mozilla's roots and the extra ones.
pub(crate) fn client_config(
    extra_roots_pem: Option<&str>,
    identity_pem: Option<&Secret>,
) -> Result<ClientConfig, InvalidTransport> {
    // The process's own choice where it has made one.
    let provider = CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(aws_lc_rs::default_provider()));
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| InvalidTransport(format!("the TLS versions cannot be used: {error}")))?
        .with_root_certificates(roots(extra_roots_pem)?);
    let mut config = match identity_pem {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let (chain, key) = identity(pem.expose().as_bytes())?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| InvalidTransport(format!("the client identity cannot be used: {error}")))?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// TLS for calls that show no certificate of their own, to anybody's server: verified against the
/// machine's and Mozilla's roots.
///
/// # Errors
/// [`InvalidTransport`] when the process's cryptography does not know the usual TLS versions.
pub fn public_tls() -> Result<ClientConfig, InvalidTransport> {
    client_config(None, None)
}

fn roots(extra_pem: Option<&str>) -> Result<Arc<RootCertStore>, InvalidTransport> {
    /// By the extra certificates, as long as a transport uses them: merchants mostly name the same.
    static SHARED: LazyLock<Mutex<HashMap<String, Weak<RootCertStore>>>> = LazyLock::new(Mutex::default);

    let Some(pem) = extra_pem else { return Ok(common_roots().clone()) };
    let known = SHARED.lock().unwrap_or_else(PoisonError::into_inner).get(pem).and_then(Weak::upgrade);
    if let Some(roots) = known {
        return Ok(roots);
    }
    let roots = with_extra_roots(pem)?;
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.retain(|_, roots| roots.strong_count() > 0);
    shared.insert(pem.to_owned(), Arc::downgrade(&roots));
    Ok(roots)
}

fn with_extra_roots(pem: &str) -> Result<Arc<RootCertStore>, InvalidTransport> {
    let mut roots = RootCertStore::clone(common_roots());
    let before = roots.len();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate =
            certificate.map_err(|_| InvalidTransport("the extra root certificates are not PEM".to_owned()))?;
        roots
            .add(certificate)
            .map_err(|error| InvalidTransport(format!("the extra root certificates cannot be used: {error}")))?;
    }
    if roots.len() == before {
        return Err(InvalidTransport("the extra root certificates hold no CERTIFICATE".to_owned()));
    }
    Ok(Arc::new(roots))
}

/// The machine's roots and Mozilla's, read once: a process has a transport for every merchant.
fn common_roots() -> &'static Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        // A root of the machine that cannot be read is left out, as every TLS client does.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
        Arc::new(roots)
    })
}

fn identity(pem: &[u8]) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), InvalidTransport> {
    let invalid = |what: &str| InvalidTransport(format!("the client identity holds no {what} in PEM"));
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(|| invalid("certificate"))?;
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| invalid("private key"))?;
    Ok((chain, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merchants_that_name_the_same_roots_share_them() {
        let pem = |name: &str| {
            let key = rcgen::KeyPair::generate().unwrap();
            rcgen::CertificateParams::new([name.to_owned()]).unwrap().self_signed(&key).unwrap().pem()
        };
        let (one, other) = (pem("one.example"), pem("other.example"));
        let first = roots(Some(&one)).unwrap();
        assert!(Arc::ptr_eq(&first, &roots(Some(&one)).unwrap()));
        let second = roots(Some(&other)).unwrap();
        assert!(!Arc::ptr_eq(&first, &second));
        assert_eq!((first.len(), second.len()), (common_roots().len() + 1, common_roots().len() + 1));
    }
}
