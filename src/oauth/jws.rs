//! Compact JWS (RFC 7515 section 7.1), read strictly: what one reader takes no other may read differently.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// A JWS taken apart. Nothing in it is verified.
pub struct Jws<'a> {
    header: Map<String, Value>,
    payload: Map<String, Value>,
    signed: &'a str,
    signature: Vec<u8>,
}

impl<'a> Jws<'a> {
    /// Takes a text apart: three parts in unpadded base64url, of which the first two are JSON objects without repeated members.
    /// `None`: it is none.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        // A third dot is in no base64url.
        Some(Self {
            header: object(header)?,
            payload: object(payload)?,
            signed,
            signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
        })
    }

    /// The members of its JOSE header.
    #[must_use]
    pub fn header(&self) -> &Map<String, Value> {
        &self.header
    }

    /// The claims.
    #[must_use]
    pub fn payload(&self) -> &Map<String, Value> {
        &self.payload
    }

    /// What was signed.
    #[must_use]
    pub fn signed(&self) -> &[u8] {
        self.signed.as_bytes()
    }

    /// The signature.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }
}

fn object(part: &str) -> Option<Map<String, Value>> {
    let json = URL_SAFE_NO_PAD.decode(part).ok()?;
    // All of it, since serde_json does not look at the bytes of a string that it skips.
    let json = std::str::from_utf8(&json).ok()?;
    match serde_json::from_str(json).ok()? {
        Unique(Value::Object(members)) => Some(members),
        Unique(_) => None,
    }
}

// A JSON value in which no object has a member twice; serde_json bounds its depth.
struct Unique(Value);

struct UniqueVisitor;

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor)
    }
}

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Unique;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without repeated members")
    }

    fn visit_unit<E>(self) -> Result<Unique, E> {
        Ok(Unique(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Unique, E> {
        Ok(Unique(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Unique, E> {
        Ok(Unique(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Unique, E> {
        Ok(Unique(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Unique, E> {
        Ok(Unique(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Unique, E> {
        Ok(Unique(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Unique, A::Error> {
        let mut values = Vec::new();
        while let Some(Unique(value)) = items.next_element()? {
            values.push(value);
        }
        Ok(Unique(values.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Unique, A::Error> {
        let mut object = Map::new();
        while let Some((name, Unique(value))) = members.next_entry::<String, Unique>()? {
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("a member stands twice"));
            }
        }
        Ok(Unique(object.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jws(header: &str, payload: &str, signature: &[u8]) -> String {
        [header.as_bytes(), payload.as_bytes(), signature].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".")
    }

    #[test]
    fn a_jws_is_taken_apart() {
        let text = jws(r#"{"alg":"x","n":[1,-1,1.5,true,null,{"a":{}}]}"#, r#"{"a":"b"}"#, b"signature");
        let jws = Jws::parse(&text).unwrap();
        assert_eq!(
            Value::from(jws.header().clone()),
            serde_json::json!({"alg": "x", "n": [1, -1, 1.5, true, null, {"a": {}}]})
        );
        assert_eq!(jws.payload()["a"], "b");
        assert_eq!(jws.signature(), b"signature");
        assert_eq!([jws.signed(), b".", URL_SAFE_NO_PAD.encode(b"signature").as_bytes()].concat(), text.as_bytes());
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_not_read() {
        let good = jws("{}", "{}", b"a");
        assert!(Jws::parse(&good).is_some());
        for bad in
            ["", ".", "..", "...", "e30.e30", "e30.e30.YQ.", ".e30.e30.YQ", "e30.e30.YQ==", "e30.e30.YR", "e30.e30.Y"]
        {
            assert!(Jws::parse(bad).is_none(), "{bad}");
        }
        for (before, after) in [(" ", ""), ("", " "), ("", "\n"), ("", "\0"), ("", "é"), ("", "=")] {
            assert!(Jws::parse(&format!("{before}{good}{after}")).is_none(), "{before:?} {after:?}");
        }
        let deep = format!(r#"{{"a":{}1{}}}"#, "[".repeat(500), "]".repeat(500));
        for part in [
            "",
            "1",
            "[]",
            "null",
            "{",
            "{}{}",
            r#"{"a":1,"a":1}"#,
            r#"{"a":[{"b":1,"b":2}]}"#,
            r#"{"a":1,"\u0061":1}"#,
            &deep,
        ] {
            assert!(Jws::parse(&jws(part, "{}", b"a")).is_none(), "{part}");
            assert!(Jws::parse(&jws("{}", part, b"a")).is_none(), "{part}");
        }
        assert!(Jws::parse("e30.eyJhIjoi_yJ9.YQ").is_none(), "not UTF-8");
    }
}
