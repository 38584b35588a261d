//! What holds across modules: the wire, the store, the events, the real binaries. One file per surface.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod apigw;
mod around;
mod assertions;
mod borders;
mod cli;
mod client_keys;
mod clients;
mod connections;
mod credentials;
mod decisions;
mod doctor;
mod dpop;
mod dpop_fuzz;
mod events;
mod exchange;
mod frontier_assertions;
mod fuzz;
mod hook;
mod import;
mod import_refused;
mod issued_tokens;
mod jwks_fetch;
mod jwks_uri;
mod key_source;
mod keys;
mod log;
mod long_lived;
mod malformed;
mod manage;
mod mtls;
mod order;
mod outages;
mod outcomes;
mod proofs;
mod rotate;
mod runtime_api;
mod secret_use;
mod secrets;
mod secrets_manager;
mod server;
mod signer;
mod state;
mod store;
mod support;
mod tokens;
mod wire;
mod year;
