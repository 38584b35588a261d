//! `jwks_uri` (RFC 7591 section 2): where a client publishes its keys, which of such URLs may be fetched, and what is made of them.
//!
//! Whoever may register clients says where this service connects to. So an operator lists the hosts, and the rest of what is
//! allowed is little: one scheme, one port, no name that is an address, and no address that is not everybody's.

mod address;
mod held;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::{
    address::is_global,
    held::{Fetched, Held, STALE_SECONDS, lifetime},
};
use super::{
    client::OutOfRange,
    json,
    jwk::{JwkFault, Jwks, VerifyingKey},
};

/// Where a client publishes its keys: an `https` URL of a host name and the default port, or for development `http` and
/// `localhost`. Without userinfo and fragment.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JwksUri(String);

/// Which of them may be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedUris {
    hosts: Vec<String>,
    /// Whether those of this machine may, which are not encrypted: never in a deployment.
    pub on_this_machine: bool,
}

/// The longest JWK set that is read, in bytes.
pub const MAX_SET_BYTES: usize = 64 * 1024;
const MAX_URI_BYTES: usize = 2048;
const THIS_MACHINE: &str = "localhost";

impl JwksUri {
    /// Takes a URL that can be one.
    ///
    /// # Errors
    /// [`OutOfRange`] for every other text.
    pub fn parse(text: impl Into<String>) -> Result<Self, OutOfRange> {
        let text = text.into();
        if is_jwks_uri(&text) {
            Ok(Self(text))
        } else {
            Err(OutOfRange("not an https URL of a host name, without userinfo, fragment and a port other than 443"))
        }
    }

    /// The URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its host, in the case that it was given in.
    #[must_use]
    pub fn host(&self) -> &str {
        split(&self.0).map_or("", |(_, host, _)| host)
    }

    /// Whether it is one of this machine, which is not encrypted.
    #[must_use]
    pub fn is_on_this_machine(&self) -> bool {
        self.0.starts_with("http:")
    }
}

impl AllowedUris {
    /// Reads a list of host names, separated by commas. No name may be an address.
    #[must_use]
    pub fn parse(list: &str) -> Option<Self> {
        let hosts =
            list.split(',').map(|host| Some(host.trim().to_ascii_lowercase()).filter(|host| is_host_name(host)));
        Some(Self { hosts: hosts.collect::<Option<_>>()?, on_this_machine: false })
    }

    /// Whether a URL may be fetched.
    #[must_use]
    pub fn allows(&self, uri: &JwksUri) -> bool {
        self.lists(uri.host()) && (self.on_this_machine || !uri.is_on_this_machine())
    }

    /// Whether a host is on the list.
    #[must_use]
    pub fn lists(&self, host: &str) -> bool {
        self.hosts.iter().any(|listed| listed.eq_ignore_ascii_case(host))
    }
}

/// Reads what a `jwks_uri` answered by the rules for a registered `jwks`, and as JSON that means one thing. Keys that cannot verify
/// anything here, such as one to encrypt to, are left out (RFC 7517 section 5); a private one spoils the set.
///
/// # Errors
/// What is wrong with it, for the log; repeats nothing of it.
pub fn read_set(body: &[u8]) -> Result<Jwks, String> {
    let mut document = json::object(body).ok_or("its answer is not a JSON object, or has a repeated member")?;
    if let Some(Value::Array(keys)) = document.get_mut("keys") {
        keys.retain(|key| match key.as_object().map(VerifyingKey::from_jwk) {
            Some(Err(fault)) => fault == JwkFault::Private,
            Some(Ok(_)) | None => true,
        });
    }
    Jwks::try_from(Value::Object(document)).map_err(|fault| format!("its answer: {fault}"))
}

// What other readers of URLs could understand differently is left out: of the authority, everything but a name and a port.
fn is_jwks_uri(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && !br##""#<>\^`{|}"##.contains(&byte);
    text.len() <= MAX_URI_BYTES
        && text.bytes().all(plain)
        && split(text).is_some_and(|(scheme, host, port)| match scheme {
            "https" => is_host_name(host) && port.is_none_or(|port| port == "443"),
            "http" => host == THIS_MACHINE && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0)),
            _ => false,
        })
}

// Scheme, host and port.
fn split(uri: &str) -> Option<(&str, &str, Option<&str>)> {
    let (scheme, rest) = uri.split_once("://")?;
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    Some(match authority.split_once(':') {
        Some((host, port)) => (scheme, host, Some(port)),
        None => (scheme, authority, None),
    })
}

// RFC 1123 section 2.1. Where the last label begins with a digit, readers may take the name for an IPv4 address.
fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253
        && text.split('.').all(is_label)
        && text.rsplit('.').next().is_some_and(|last| last.starts_with(|first: char| first.is_ascii_alphabetic()))
}

impl TryFrom<String> for JwksUri {
    type Error = OutOfRange;

    fn try_from(text: String) -> Result<Self, OutOfRange> {
        Self::parse(text)
    }
}

impl From<JwksUri> for String {
    fn from(uri: JwksUri) -> Self {
        uri.0
    }
}

impl fmt::Display for JwksUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jwks_uri_is_https_and_of_a_host_name() {
        for (good, host) in [
            ("https://keys.example.com/jwks.json", "keys.example.com"),
            ("https://keys.example.com:443/a/b?tenant=1&x=%20", "keys.example.com"),
            ("https://Keys.Example.com", "Keys.Example.com"),
            ("https://xn--bcher-kva.example?a", "xn--bcher-kva.example"),
            ("https://localhost/jwks.json", "localhost"),
            ("http://localhost/jwks.json", "localhost"),
            ("http://localhost:9300/jwks.json", "localhost"),
        ] {
            let uri = JwksUri::parse(good).unwrap();
            assert_eq!((uri.as_str(), uri.host()), (good, host));
            assert_eq!(uri.is_on_this_machine(), good.starts_with("http:"));
        }
        let long = format!("https://keys.example.com/{}", "x".repeat(2048));
        let long_host = format!("https://{}.com/", ["x".repeat(63).as_str(); 4].join("."));
        for bad in [
            "",
            "keys.example.com/jwks.json",
            "//keys.example.com/jwks.json",
            "http://keys.example.com/jwks.json",
            "HTTPS://keys.example.com/jwks.json",
            "ftp://keys.example.com/",
            "file:///etc/passwd",
            "https:/keys.example.com/",
            "https://",
            "https:///a",
            "https://keys.example.com:8443/",
            "https://keys.example.com:80/",
            "https://keys.example.com:/",
            "https://keys.example.com:0443/",
            "https://:443/",
            "https://user@keys.example.com/",
            "https://user:secret@keys.example.com/",
            "https://keys.example.com:443@inner.example/",
            "https://keys.example.com/#a",
            "https://keys.example.com#a",
            "https://keys.example.com\\@inner.example/",
            "https://keys.example.com\\.inner.example/",
            "https://keys.example.com/a b",
            "https://keys.example.com/\n",
            " https://keys.example.com/",
            "https://keys.example.com/\u{e9}",
            "https://b\u{fc}cher.example/",
            "https://keys.example.com./",
            "https://.example.com/",
            "https://keys..example.com/",
            "https://-keys.example.com/",
            "https://keys-.example.com/",
            "https://keys_.example.com/",
            "https://keys%2eexample.com/",
            "https://169.254.169.254/latest/meta-data/",
            "https://2852039166/",
            "https://0xA9FEA9FE/",
            "https://127.1/",
            "https://127.0.0.0x1/",
            "https://a.example.1/",
            "https://[::1]/",
            "https://[fd00:ec2::254]/",
            "http://127.0.0.1:9300/",
            "http://[::1]:9300/",
            "http://LOCALHOST/",
            "http://localhost.example.com/",
            "http://localhost:0/",
            "http://localhost:65536/",
            &long,
            &long_host,
        ] {
            assert!(JwksUri::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_listed_hosts_may_be_asked() {
        let allowed = AllowedUris::parse("keys.example.com, Other.example,localhost").unwrap();
        let allows = |text: &str| allowed.allows(&JwksUri::parse(text).unwrap());
        assert!(allows("https://keys.example.com/a"));
        assert!(allows("https://KEYS.example.com:443/a"));
        assert!(allows("https://other.EXAMPLE/"));
        for other in ["https://example.com/", "https://a.keys.example.com/", "https://keys.example.com.evil.example/"] {
            assert!(!allows(other), "{other}");
        }
        assert!(!allows("http://localhost/"));
        let here = AllowedUris { on_this_machine: true, ..allowed };
        assert!(here.allows(&JwksUri::parse("http://localhost:9300/").unwrap()));
        let elsewhere = AllowedUris { on_this_machine: true, ..AllowedUris::parse("keys.example.com").unwrap() };
        assert!(!elsewhere.allows(&JwksUri::parse("http://localhost:9300/").unwrap()));
        for bad in ["", ",", "a.example,", "*.example.com", "https://a.example", "a.example:443", "127.0.0.1", "[::1]"]
        {
            assert_eq!(AllowedUris::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_fetched_is_read_as_strictly_as_what_is_registered() {
        let key = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        assert_eq!(read_set(format!(r#"{{"keys":[{key}]}}"#).as_bytes()).unwrap().list().count(), 1);
        assert_eq!(read_set(br#"{"keys":[],"more":1}"#).unwrap().list().count(), 0);
        let of_no_use = [
            key.replace('{', r#"{"use":"enc","#),
            key.replace('{', r#"{"alg":"RS512","#),
            key.replace("Ed25519", "X25519"),
            r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#.to_owned(),
        ];
        let mixed = format!(r#"{{"keys":[{},{key}]}}"#, of_no_use.join(","));
        assert_eq!(read_set(mixed.as_bytes()).unwrap().jwks(), [serde_json::from_str::<Value>(key).unwrap()]);
        let eleven = [key; 11].join(",");
        let private = key.replace(r#""kty""#, r#""d":"AAAA","kty""#);
        for (bad, fault) in [
            (String::new(), "its answer is not a JSON object, or has a repeated member"),
            ("<html>".to_owned(), "its answer is not a JSON object, or has a repeated member"),
            (format!("[{key}]"), "its answer is not a JSON object, or has a repeated member"),
            (format!(r#"{{"keys":[],"keys":[{key}]}}"#), "its answer is not a JSON object, or has a repeated member"),
            (r#"{"keys":[7]}"#.to_owned(), "its answer: not an object with the member \"keys\", an array of objects"),
            (key.to_owned(), "its answer: not an object with the member \"keys\", an array of objects"),
            (format!(r#"{{"keys":[{eleven}]}}"#), "its answer: more than 10 keys"),
            (
                format!(r#"{{"keys":[{private}]}}"#),
                "its answer: keys[0]: has a member of a private or symmetric key: register the public key only",
            ),
            (
                format!(r#"{{"keys":[{key},{key}]}}"#),
                "its answer: keys[1]: its kid stands twice, or is not 1 to 255 characters",
            ),
        ] {
            assert_eq!(read_set(bad.as_bytes()).unwrap_err(), fault, "{bad}");
        }
    }
}
