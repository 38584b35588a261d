//! Whom a TLS connection trusts. To AWS: Amazon's own roots, or those of a bundle that the deployment names. To anybody else: the
//! system's.
//!
//! For AWS the machine's roots would be some 140 certificates to read at every start, each of which could vouch for AWS.

use std::path::Path;

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};

/// Amazon Trust Services' roots (<https://www.amazontrust.com/repository/>), in DER: a start reads them without decoding.
const AMAZON: [&[u8]; 5] = [
    include_bytes!("roots/amazon-root-ca-1.der"),
    include_bytes!("roots/amazon-root-ca-2.der"),
    include_bytes!("roots/amazon-root-ca-3.der"),
    include_bytes!("roots/amazon-root-ca-4.der"),
    include_bytes!("roots/starfield-services-root-ca-g2.der"),
];

/// The roots of `AWS_CA_BUNDLE` alone if there is one, else Amazon's.
///
/// # Errors
/// What is wrong with the bundle.
pub fn of(bundle: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    match bundle {
        Some(bundle) => add(&mut roots, bundle)?,
        None => {
            for root in AMAZON {
                roots.add(CertificateDer::from(root)).map_err(|error| error.to_string())?;
            }
        }
    }
    Ok(roots)
}

/// Adds the certificates of `AWS_CA_BUNDLE`.
///
/// # Errors
/// What is wrong with the bundle.
pub fn add(roots: &mut RootCertStore, bundle: &Path) -> Result<(), String> {
    let shown = bundle.display();
    let pem = std::fs::read(bundle).map_err(|error| format!("AWS_CA_BUNDLE {shown}: {error}"))?;
    add_pem(roots, &pem).ok_or_else(|| format!("AWS_CA_BUNDLE {shown}: not certificates in PEM"))
}

// Amazon Linux, which the function runs on, and its kin; Debian's kin; Alpine, macOS and the BSDs.
const SYSTEM: [&str; 3] =
    ["/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/cert.pem"];

/// The roots of that file alone, or else the system's. A certificate that cannot be read is none of them.
///
/// # Errors
/// What is wrong with the file, or that the system has none.
pub fn system(named: Option<&Path>) -> Result<RootCertStore, String> {
    let found = named.or_else(|| SYSTEM.iter().map(Path::new).find(|path| path.exists()));
    let path = found.ok_or("the system has no file of roots; SSL_CERT_FILE can name one")?;
    let shown = path.display();
    let pem = std::fs::read(path).map_err(|error| format!("{shown}: {error}"))?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok));
    if roots.is_empty() { Err(format!("{shown}: no certificate in PEM")) } else { Ok(roots) }
}

// None if there is no certificate in it, or one that cannot be read.
fn add_pem(roots: &mut RootCertStore, pem: &[u8]) -> Option<()> {
    let before = roots.len();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.ok()?).ok()?;
    }
    (roots.len() > before).then_some(())
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::digest::{SHA256, digest};

    use super::*;

    // As Amazon Trust Services publishes them.
    const FINGERPRINTS: [&str; 5] = [
        "SHA256:8ecde6884f3d87b1125ba31ac3fcb13d7016de7f57cc904fe1cb97c6ae98196e",
        "SHA256:1ba5b2aa8c65401a82960118f80bec4f62304d83cec4713a19c39c011ea46db4",
        "SHA256:18ce6cfe7bf14e60b2e347b8dfe868cb31d02ebb3ada271569f50343b46db3a4",
        "SHA256:e35d28419ed02025cfa69038cd623962458da5c695fbdea3c22b0bfb25897092",
        "SHA256:568d6905a2c88708a4b3025190edcfedb1974a606a13c6e5290fcb2ae63edab5",
    ];

    #[test]
    fn the_roots_are_amazons() {
        assert_eq!(AMAZON.map(|root| format!("{:?}", digest(&SHA256, root))), FINGERPRINTS);
        assert_eq!(of(None).unwrap().len(), 5);
    }

    #[test]
    fn a_bundle_is_trusted_alone() {
        let root = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        let bundle = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(bundle.path(), root.cert.pem()).unwrap();
        assert_eq!(of(Some(bundle.path())).unwrap().len(), 1);
        std::fs::write(bundle.path(), "no certificate").unwrap();
        assert!(of(Some(bundle.path())).unwrap_err().ends_with("not certificates in PEM"));
    }
}
