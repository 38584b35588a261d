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
mod borders;
mod cli;
mod clients;
mod credentials;
mod events;
mod exchange;
mod fuzz;
mod issued_tokens;
mod key_source;
mod keys;
mod malformed;
mod manage;
mod order;
mod outages;
mod outcomes;
mod runtime_api;
mod server;
mod state;
mod store;
mod support;
mod tokens;
mod wire;
