//! JSON that means one thing: objects whose members repeat are refused, at any depth, since readers disagree on them.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Reads one JSON object in UTF-8, as RFC 7515 section 4 and RFC 7519 section 4 let a reader insist on. Depth is bounded.
#[must_use]
pub fn object(json: &[u8]) -> Option<Map<String, Value>> {
    // All of it, since serde_json does not look at the bytes of a string that it skips.
    match value(std::str::from_utf8(json).ok()?) {
        Some(Value::Object(object)) => Some(object),
        Some(_) | None => None,
    }
}

/// Reads one JSON value of any kind, by the same rules.
#[must_use]
pub fn value(json: &str) -> Option<Value> {
    serde_json::from_str(json).ok().map(|Unambiguous(value)| value)
}

struct Unambiguous(Value);

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue).map(Self)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without repeated members")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Unambiguous(item)) = items.next_element()? {
            array.push(item);
        }
        Ok(array.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let Unambiguous(value) = members.next_value()?;
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("a repeated member"));
            }
        }
        Ok(object.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_read_as_serde_json_reads_it() {
        let json = r#"{"a":[1,-2,1.5,1e300,null,true,"s"],"b":{"a":{}}}"#;
        assert_eq!(Value::Object(object(json.as_bytes()).unwrap()), serde_json::from_str::<Value>(json).unwrap());
    }

    #[test]
    fn what_two_readers_could_understand_differently_is_refused() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        for json in [
            "",
            "[]",
            "1",
            "{",
            "{}{}",
            "{} x",
            r#"{"a":1,"a":1}"#,
            r#"{"a":[{"b":1,"b":2}]}"#,
            r#"{"a":1,"\u0061":2}"#,
            &deep,
            r#"{"a":NaN}"#,
            r#"{"a":1,}"#,
            r"{'a':1}",
            "\u{feff}{}",
        ] {
            assert!(object(json.as_bytes()).is_none(), "{}", json.get(..40).unwrap_or(json));
        }
        assert!(object(b"{\"a\":\"\xff\"}").is_none());
    }
}
