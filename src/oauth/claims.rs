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
    let malformed = claims.contains_key("") || !claims.values().all(is_storable);
    registered.map(Fault::Registered).chain(malformed.then_some(Fault::Malformed))
}

/// Whether DynamoDB can keep a value, one that is a few levels down in an item: it nests 32 deep, has numbers of up to 1e126 and
/// none but zero below 1e-130, and a name is never empty.
#[must_use]
pub fn is_storable(value: &Value) -> bool {
    fits(value, MAX_DEPTH)
}

fn fits(value: &Value, depth: usize) -> bool {
    let Some(below) = depth.checked_sub(1) else { return false };
    match value {
        Value::Number(number) => {
            number.as_f64().is_none_or(|number| number == 0.0 || (1e-129..1e125).contains(&number.abs()))
        }
        Value::Array(items) => items.iter().all(|item| fits(item, below)),
        Value::Object(members) => members.iter().all(|(name, value)| !name.is_empty() && fits(value, below)),
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    }
}
