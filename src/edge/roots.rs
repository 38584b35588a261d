//! Whom a TLS connection trusts. To AWS: Amazon's own roots, or those of a bundle that the deployment names. To anybody else: the
//! system's.
//!
//! For AWS the machine's roots would be some 140 certificates to read at every start, each of which could vouch for AWS.

use std::path::Path;

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};

/// Amazon Trust Services' roots (<https://www.amazontrust.com/repository/>), in PEM.
pub const AMAZON: &[u8] = include_bytes!("roots/amazon.pem");

/// The roots of `AWS_CA_BUNDLE` alone if there is one, else Amazon's.
///
/// # Errors
/// What is wrong with the bundle.
pub fn of(bundle: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    match bundle {
        Some(bundle) => add(&mut roots, bundle)?,
        None => add_pem(&mut roots, AMAZON).ok_or("the roots that are built in cannot be read")?,
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
