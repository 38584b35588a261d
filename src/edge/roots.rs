//! Whom a TLS connection to AWS trusts: Amazon's own roots, or those of a bundle that the deployment names.
//!
//! The machine's roots would be some 140 certificates to read at every start, each of which could vouch for AWS.

use std::path::Path;

use aws_smithy_http_client::tls::TrustStore;
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
pub fn trust_store(bundle: Option<&Path>) -> Result<TrustStore, String> {
    let Some(path) = bundle else { return Ok(TrustStore::empty().with_pem_certificate(AMAZON)) };
    Ok(TrustStore::empty().with_pem_certificate(read(path)?))
}

/// The certificates of `AWS_CA_BUNDLE`, in PEM.
///
/// # Errors
/// What is wrong with the bundle.
pub fn read(bundle: &Path) -> Result<Vec<u8>, String> {
    let shown = bundle.display();
    let pem = std::fs::read(bundle).map_err(|error| format!("AWS_CA_BUNDLE {shown}: {error}"))?;
    if count(&pem).is_none_or(|roots| roots == 0) {
        return Err(format!("AWS_CA_BUNDLE {shown}: not certificates in PEM"));
    }
    Ok(pem)
}

// How many roots there are in it, if all of it can be read: what the connector takes for granted later on.
fn count(pem: &[u8]) -> Option<usize> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.ok()?).ok()?;
    }
    Some(roots.len())
}
