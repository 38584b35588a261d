//! AWS as the command line reaches it: credentials of the ordinary chain, and whom this machine trusts.

use std::path::Path;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use rustls::RootCertStore;

use super::{Failure, variable};
use crate::edge::{http, roots};

/// HTTPS over the machine's roots, and those of `AWS_CA_BUNDLE` besides. Unlike the function's, it also reaches what is not AWS:
/// a domain of one's own may have its certificate from anybody.
///
/// # Errors
/// What is wrong with the bundle.
pub fn connector() -> Result<SharedHttpConnector, String> {
    let mut trusted = RootCertStore::empty();
    trusted.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(bundle) = variable("AWS_CA_BUNDLE") {
        roots::add(&mut trusted, Path::new(&bundle))?;
    }
    http::connector(trusted)
}

/// The region and the credentials, as far as they are set.
///
/// # Errors
/// What is wrong with `AWS_CA_BUNDLE`.
pub async fn config() -> Result<SdkConfig, Failure> {
    let client = http::client(connector().map_err(Failure::new)?);
    Ok(aws_config::defaults(BehaviorVersion::latest()).http_client(client).load().await)
}
