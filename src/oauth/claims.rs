//! Which claims somebody else than the server may put into a token: the operator in a registration, or a claims hook.

use serde_json::{Map, Value};

use super::jwt::REGISTERED_CLAIMS;

/// What is wrong with a set of claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault<'a> {
    /// Only the server sets the claim of that name.
    Registered(&'a str),
    /// Nested too deep, an empty name, or a number that DynamoDB cannot keep.
    Malformed,
}

const MAX_DEPTH: usize = 24;

/// Every fault of a set of claims.
pub fn faults(claims: &Map<String, Value>) -> impl Iterator<Item = Fault<'_>> {
    let registered = claims.keys().map(String::as_str).filter(|name| REGISTERED_CLAIMS.contains(name));
    let malformed = claims.contains_key("") || !claims.values().all(|value| is_storable(value, MAX_DEPTH));
    registered.map(Fault::Registered).chain(malformed.then_some(Fault::Malformed))
}

// DynamoDB nests 32 deep, has numbers of up to 1e126, and none but zero below 1e-130.
fn is_storable(value: &Value, depth: usize) -> bool {
    let Some(below) = depth.checked_sub(1) else { return false };
    match value {
        Value::Number(number) => {
            number.as_f64().is_none_or(|number| number == 0.0 || (1e-129..1e125).contains(&number.abs()))
        }
        Value::Array(items) => items.iter().all(|item| is_storable(item, below)),
        Value::Object(members) => members.iter().all(|(name, value)| !name.is_empty() && is_storable(value, below)),
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    }
}
