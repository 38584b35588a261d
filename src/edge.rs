//! The outside world. Nothing in here knows a rule of OAuth.

pub mod apigw;
pub mod aws;
pub mod client_cache;
pub mod dynamodb;
pub mod function;
pub mod handler;
pub mod hook;
pub mod http;
pub mod jwks_uri;
pub mod keys;
pub mod moment;
pub mod roots;
pub mod rotation;
pub mod secret_use;
pub mod telemetry;
