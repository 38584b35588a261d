//! The vocabulary of OAuth 2.0 as types that can only hold what the RFCs allow.
//!
//! Everything here is a pure function of its arguments: no clock, no randomness, no store, no HTTP status.

pub mod access_token;
pub mod assertion;
pub mod authorization_details;
pub mod certificate;
pub mod claims;
pub mod claims_hook;
pub mod client;
pub mod client_auth;
pub mod dpop;
pub mod error;
pub mod form;
pub mod json;
pub mod jwk;
pub mod jwks_uri;
pub mod jws;
pub mod jwt;
pub mod params;
pub mod resource;
pub mod scope;
pub mod secret;
pub mod state;
pub mod uri;
pub mod vocabulary;
