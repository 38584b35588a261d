//! Mintlet: an OAuth 2.0 token service for machines.
//!
//! The crate is one straight line; [`service::TokenService::respond`] is the place to start reading.
//!
//! | module | what it holds |
//! |---|---|
//! | [`service`] | the line itself, and the seams it crosses: a store, a key ring, a claims hook |
//! | [`dialect`] | the four wire formats, one row and one file each: decode, claims, rendering |
//! | [`grant`] | the rules: `decide` turns a request, the facts and a moment into a decision |
//! | [`oauth`] | the vocabulary of the RFCs as types: parameters, clients, scopes, secrets, errors, claims |
//! | [`keyring`] | the signing keys: their format, which one signs, which ones are published |
//! | [`endpoint`] | what stands around the token endpoint: JWKS, metadata, health |
//! | [`edge`] | the outside world: API Gateway, DynamoDB, Secrets Manager, clock and randomness, logs |
//! | [`config`] | the environment variables |
//! | `cli` | the `mintlet` command line (feature `cli`) |

#[cfg(feature = "cli")]
pub mod cli;
pub mod config;
pub mod dialect;
pub mod edge;
pub mod endpoint;
pub mod grant;
pub mod keyring;
pub mod oauth;
pub mod service;
