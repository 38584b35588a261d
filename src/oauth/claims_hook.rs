//! The claims hook: what a deployment's own code is asked before a token is signed, and what it may answer.
//!
//! It may add claims or deny. Everything else that it could answer is a failure, and a failure refuses the token.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{claims, client::ClientId, json, scope::Scope, vocabulary::GrantType};

/// What was decided, as the hook is told. There is no secret, no token and no assertion in it.
#[derive(Debug, Serialize)]
pub struct Question<'a> {
    /// The client that the token is for.
    pub client_id: &'a ClientId,
    /// The grant that it used.
    pub grant_type: GrantType,
    /// The token's `sub`.
    pub subject: &'a str,
    /// The granted scope.
    pub scope: &'a Scope,
    /// The audiences; at least one.
    pub audience: &'a [String],
    /// The issuer's URL.
    pub issuer: &'a str,
}

/// What the hook answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The token may be issued, with these claims more; there may be none.
    Claims(Map<String, Value>),
    /// It may not. The reason is for the log: short, and without control characters.
    Denied(String),
}

/// The longest answer that is read, in bytes.
pub const MAX_ANSWER_BYTES: usize = 16 * 1024;
// A token travels in a header, and many servers take no more than 8 KB of those.
const MAX_CLAIMS_BYTES: usize = 4 * 1024;
const MAX_REASON_CHARS: usize = 200;

// The names are as a function in any language has them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    claims: Option<Map<String, Value>>,
    #[serde(default)]
    deny: bool,
    reason: Option<String>,
}

impl Verdict {
    /// Reads an answer: `{"claims": {..}}`, or `{"deny": true, "reason": ".."}` where the reason may be left out.
    ///
    /// # Errors
    /// What is wrong with it, for the log, without a word of the answer.
    pub fn parse(answer: &[u8]) -> Result<Self, &'static str> {
        let answer: Answer = json::object(answer)
            .and_then(|answer| serde_json::from_value(Value::Object(answer)).ok())
            .ok_or("its answer is not an object of claims, or of deny and reason, or has a repeated member")?;
        if answer.deny {
            let reason = answer.reason.unwrap_or_default();
            let plain = reason.chars().map(|c| if c.is_control() { ' ' } else { c });
            return Ok(Self::Denied(plain.take(MAX_REASON_CHARS).collect()));
        }
        let added = answer.claims.ok_or("its answer neither has claims nor denies")?;
        match claims::faults(&added).next() {
            Some(claims::Fault::Registered(_)) => return Err("it adds a claim that only the server sets"),
            Some(claims::Fault::Malformed) => {
                return Err("it adds claims that are nested too deep, or have an empty name");
            }
            None => {}
        }
        // What has a JSON form has a length.
        let length = serde_json::to_string(&added).map_or(usize::MAX, |json| json.len());
        if length > MAX_CLAIMS_BYTES { Err("it adds more than 4 KiB of claims") } else { Ok(Self::Claims(added)) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(answer: &Value) -> Result<Verdict, &'static str> {
        Verdict::parse(answer.to_string().as_bytes())
    }

    #[test]
    fn an_answer_adds_claims_or_denies() {
        let claims = json!({"tier": "gold", "groups": ["a", {"b": null}], "limit": 3});
        assert_eq!(parse(&json!({"claims": claims})), Ok(Verdict::Claims(claims.as_object().unwrap().clone())));
        assert_eq!(parse(&json!({"claims": {}, "deny": false})), Ok(Verdict::Claims(Map::new())));
        assert_eq!(parse(&json!({"deny": true})), Ok(Verdict::Denied(String::new())));
        let long = format!("two\nlines{}", "x".repeat(1000));
        let Ok(Verdict::Denied(reason)) = parse(&json!({"deny": true, "reason": long})) else { panic!("denied") };
        assert_eq!((&reason[..9], reason.len()), ("two lines", 200));
    }

    #[test]
    fn anything_else_is_a_failure() {
        let nested = serde_json::from_str::<Value>(&format!("{}1{}", "[".repeat(30), "]".repeat(30))).unwrap();
        for bad in [
            json!(null),
            json!([]),
            json!("claims"),
            json!({}),
            json!({"deny": false}),
            json!({"deny": "true"}),
            json!({"claims": {}, "deny": null}),
            json!({"claims": null}),
            json!({"claims": []}),
            json!({"claim": {"a": 1}}),
            json!({"claims": {}, "extra": 1}),
            json!({"claims": {"": 1}}),
            json!({"claims": {"a": nested}}),
            json!({"claims": {"a": "x".repeat(5_000)}}),
        ] {
            assert!(parse(&bad).is_err(), "{bad}");
        }
        for name in crate::oauth::jwt::REGISTERED_CLAIMS {
            assert_eq!(parse(&json!({"claims": {*name: "x"}})), Err("it adds a claim that only the server sets"));
        }
        for bad in ["", "{", "{\"deny\":true} x", r#"{"deny":true,"deny":false}"#, r#"{"claims":{"a":1,"a":2}}"#] {
            assert!(Verdict::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
