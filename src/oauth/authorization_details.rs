//! Rich authorization requests (RFC 9396): what is asked for beyond scope.

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::json;

/// `authorization_details` (RFC 9396 section 2): one object or more, each with a `type`.
///
/// Only the members that RFC 9396 section 2.2 gives a meaning are looked at; the rest is between the client and the resource.
#[derive(Clone, Debug, PartialEq)]
pub struct AuthorizationDetails(Vec<Map<String, Value>>);

/// Not `authorization_details`, or more than is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

// They go into the token, and that goes with every request into a header.
const MAX_BYTES: usize = 4096;
const MAX_DEPTH: usize = 8;
// Above it, two readers of a number may not see the same one (RFC 8259 section 6).
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

impl AuthorizationDetails {
    /// Reads the parameter: a JSON array of objects without repeated members, in at most 4 KiB and 8 deep.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        if text.len() > MAX_BYTES {
            return Err(Malformed);
        }
        json::value(text).and_then(Self::of).ok_or(Malformed)
    }

    /// Reads the claim of one of our own tokens.
    #[must_use]
    pub fn of(value: Value) -> Option<Self> {
        let Value::Array(items) = value else { return None };
        let objects: Option<Vec<_>> = items.into_iter().map(object).collect();
        objects.filter(|objects| !objects.is_empty()).map(Self)
    }

    /// The `type` of each.
    pub fn types(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|object| object.get("type")?.as_str())
    }

    /// Whether each of them is among those of `granted`, as it is.
    #[must_use]
    pub fn is_within(&self, granted: &Self) -> bool {
        self.0.iter().all(|object| granted.0.contains(object))
    }

    /// Those whose type is one of `types`; `None` if there is none.
    #[must_use]
    pub fn of_types(mut self, types: &[String]) -> Option<Self> {
        let registered =
            |object: &Map<String, Value>| types.iter().any(|of| object.get("type") == Some(&of[..].into()));
        self.0.retain(registered);
        (!self.0.is_empty()).then_some(self)
    }
}

impl Serialize for AuthorizationDetails {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

// One object, if its common members are of their types (RFC 9396 section 2.2).
fn object(value: Value) -> Option<Map<String, Value>> {
    if !is_plain(&value, MAX_DEPTH) {
        return None;
    }
    let Value::Object(object) = value else { return None };
    let named = object.get("type").and_then(Value::as_str).is_some_and(|name| !name.is_empty());
    let is_list = |value: &Value| value.as_array().is_some_and(|items| items.iter().all(Value::is_string));
    let lists = ["locations", "actions", "datatypes", "privileges"];
    let common = lists.iter().filter_map(|name| object.get(*name)).all(is_list)
        && object.get("identifier").is_none_or(Value::is_string);
    (named && common).then_some(object)
}

fn is_plain(value: &Value, depth: usize) -> bool {
    let Some(below) = depth.checked_sub(1) else { return false };
    match value {
        Value::Number(number) => !number.is_f64() || number.as_f64().is_some_and(|number| number.abs() < MAX_EXACT),
        Value::Array(items) => items.iter().all(|item| is_plain(item, below)),
        Value::Object(members) => members.values().all(|value| is_plain(value, below)),
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_objects_with_a_type_within_bounds() {
        let nested = |depth: usize| format!(r#"[{{"type":"a","x":{}1{}}}]"#, "[".repeat(depth), "]".repeat(depth));
        for good in [
            r#"[{"type":"a"}]"#.to_owned(),
            r#"[{"type":"a","actions":["x"],"locations":["l"],"identifier":"i","amount":{"value":"1.50","n":-3}},{"type":"b"}]"#
                .to_owned(),
            nested(MAX_DEPTH - 2),
        ] {
            let details = AuthorizationDetails::parse(&good).unwrap();
            let json: Value = serde_json::from_str(&good).unwrap();
            assert_eq!(serde_json::to_value(&details).unwrap(), json);
        }
        for bad in [
            String::new(),
            "x".to_owned(),
            "[]".to_owned(),
            "{}".to_owned(),
            r#"{"type":"a"}"#.to_owned(),
            "[{}]".to_owned(),
            r#"[{"type":""}]"#.to_owned(),
            r#"[{"type":1}]"#.to_owned(),
            r#"[{"type":["a"]}]"#.to_owned(),
            r#"[{"type":"a"},1]"#.to_owned(),
            // One reader sees the first of two, another one the last.
            r#"[{"type":"a","type":"a"}]"#.to_owned(),
            r#"[{"type":"a","x":[{"n":1,"\u006e":2}]}]"#.to_owned(),
            r#"[{"type":"a"}] x"#.to_owned(),
            r#"[{"type":"a","actions":"x"}]"#.to_owned(),
            r#"[{"type":"a","locations":[1]}]"#.to_owned(),
            r#"[{"type":"a","identifier":1}]"#.to_owned(),
            r#"[{"type":"a","datatypes":"x"}]"#.to_owned(),
            r#"[{"type":"a","privileges":{"x":1}}]"#.to_owned(),
            r#"[{"type":"a","n":123456789012345678901234567890}]"#.to_owned(),
            nested(MAX_DEPTH - 1),
            nested(1000),
            format!(r#"[{{"type":"{}"}}]"#, "a".repeat(MAX_BYTES)),
        ] {
            assert_eq!(AuthorizationDetails::parse(&bad), Err(Malformed), "{bad}");
        }
    }

    #[test]
    fn what_is_within_is_there_as_it_is() {
        let details = |text: &str| AuthorizationDetails::parse(text).unwrap();
        let granted = details(r#"[{"type":"a","actions":["x"]},{"type":"b"}]"#);
        assert!(details(r#"[{"type":"b"}]"#).is_within(&granted));
        assert!(!details(r#"[{"type":"a"}]"#).is_within(&granted));
        assert!(!details(r#"[{"type":"b"},{"type":"c"}]"#).is_within(&granted));
        assert_eq!(granted.clone().of_types(&["b".to_owned()]), Some(details(r#"[{"type":"b"}]"#)));
        assert_eq!(granted.of_types(&["c".to_owned()]), None);
    }
}
