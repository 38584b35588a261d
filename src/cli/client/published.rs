//! What is to be said of a client that publishes its keys: whether they are read is up to the deployment.

use crate::{
    cli::variable,
    oauth::{client::Client, jwks_uri::AllowedUris},
};

/// Warns of a client whose `jwks_uri` nobody may read, as far as `JWKS_URI_HOSTS` is known here.
pub(in crate::cli) fn warn(client: &Client) {
    let Some(uri) = &client.jwks_uri else { return };
    let listed = variable("JWKS_URI_HOSTS").and_then(|list| AllowedUris::parse(&list));
    if !listed.is_some_and(|allowed| allowed.lists(uri.host())) {
        eprintln!(
            "warning: the keys of {} are read only where JWKS_URI_HOSTS lists {}; without that it has none",
            client.client_id,
            uri.host()
        );
    }
}
