//! A service over the embedded DynamoDB engine, and requests to it: the same code path as deployed, without a network.

use std::{fmt::Write as _, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use mintlet::{
    cli::{
        clients_table::ClientsTable,
        local::{Engine, create_tables},
        registration,
    },
    config::{CLIENTS_TABLE, STATE_TABLE},
    dialect::{DIALECTS, Dialect, Response},
    edge::{
        client_cache::CachedClients,
        dynamodb::DynamoDb,
        keys::{HeldKeys, Source},
    },
    grant::Moment,
    keyring::{KeyRecord, RingDocument},
    oauth::{client::Lifetime, error::Reason, jwt::Alg},
    service::{Answer, Call, Settings, TokenService},
};
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// The issuer of every test.
pub const ISSUER: &str = "https://auth.example.com";
/// The moment of every test, unless it says otherwise: seconds since the epoch.
pub const NOW: u64 = 1_800_000_000;
/// The token id of every test.
pub const JTI: &str = "the-jti";

/// The secret of the tests' clients: long enough to be stored under the fast hash.
pub const SECRET: &str = "example-secret-of-more-than-32-characters";

/// A running service.
pub struct World {
    pub engine: Engine,
    pub clients: ClientsTable,
    pub service: TokenService<CachedClients<DynamoDb>, HeldKeys>,
}

impl World {
    /// A service with the clients of a clients file, caches off, and one active key of each of `algs`.
    pub async fn new(clients: Value, algs: &[Alg]) -> Self {
        Self::with(clients, algs, |_| {}, 0).await
    }

    /// The same, with other settings and a client cache.
    pub async fn with(clients: Value, algs: &[Alg], change: impl FnOnce(&mut Settings), client_cache_ttl: u64) -> Self {
        let engine = Engine::start(0, None).await.unwrap();
        create_tables(&engine.sdk(), CLIENTS_TABLE, STATE_TABLE).await.unwrap();
        let table = ClientsTable::new(engine.sdk(), CLIENTS_TABLE);
        table.apply(registration::read_file(&json!({"clients": clients}).to_string()).unwrap()).await.unwrap();
        let mut settings = Settings {
            issuer: Some(ISSUER.to_owned()),
            base_path: String::new(),
            dialects: DIALECTS.iter().map(|dialect| dialect.name).collect(),
            access_token_lifetime: Lifetime::default(),
            requires_dpop_nonce: false,
            mutual_tls: None,
        };
        change(&mut settings);
        let keys = HeldKeys::new(Source::Inline(ring(algs)), 300);
        let store = CachedClients::new(DynamoDb::new(engine.sdk(), CLIENTS_TABLE, STATE_TABLE), client_cache_ttl);
        Self { clients: table, service: TokenService::new(settings, store, keys), engine }
    }

    /// Sends a request at the tests' moment.
    pub async fn send(&self, ask: Ask) -> Answer {
        self.send_at(ask, NOW).await
    }

    /// Sends a request that the dialect is to refuse for that reason, and compares the whole answer.
    pub async fn refuses(&self, dialect: &Dialect, title: &str, ask: Ask, reason: Reason) {
        let answer = self.send(ask).await;
        assert_eq!(answer.record.reason, Some(reason), "{} {title}", dialect.name);
        assert_eq!(whole(&answer.response), whole(&dialect.refused(reason, Some(ISSUER))), "{} {title}", dialect.name);
    }

    /// Sends a request that is to get a token.
    pub async fn takes(&self, dialect: &Dialect, title: &str, ask: Ask) {
        let answer = self.send(ask).await;
        assert_eq!(answer.record.reason, None, "{} {title}", dialect.name);
        assert!(answer.response.status().is_success(), "{} {title}", dialect.name);
    }

    /// Sends a request at another one.
    pub async fn send_at(&self, ask: Ask, now: u64) -> Answer {
        self.service.respond(&ask.0, &Moment { now, jti: JTI.to_owned() }).await
    }
}

/// A ring with one key of each algorithm, active since long ago.
pub fn ring(algs: &[Alg]) -> Arc<Zeroizing<Vec<u8>>> {
    let keys = algs.iter().map(|alg| KeyRecord::generate(*alg, 1).unwrap()).collect();
    let document = RingDocument { keys, ..RingDocument::default() };
    Arc::new(Zeroizing::new(serde_json::to_vec(&document).unwrap()))
}

/// A request under construction.
pub struct Ask(pub Call);

impl Ask {
    /// What a client of that dialect sends to get a token.
    pub fn token(dialect: &Dialect, id: &str, secret: &str) -> Self {
        Self::token_with(dialect, id, secret, &[])
    }

    /// The same with more parameters.
    pub fn token_with(dialect: &Dialect, id: &str, secret: &str, more: &[(&str, &str)]) -> Self {
        let grant = ("grant_type", "client_credentials");
        let credentials = [("client_id", id), ("client_secret", secret)];
        let form = |pairs: &[(&str, &str)]| {
            let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
            pairs.join("&")
        };
        match dialect.name {
            "frontier" => {
                let members = [grant].into_iter().chain(credentials).chain(more.iter().copied());
                Self::json(dialect.path, &members.map(|(name, value)| (name.to_owned(), json!(value))).collect())
            }
            "eventhos" => Self::form(dialect.path, &form(&[&[grant], credentials.as_slice(), more].concat())),
            _ => Self::form(dialect.path, &form(&[&[grant], more].concat())).basic(&encode(id), &encode(secret)),
        }
    }

    /// A form, posted.
    pub fn form(path: &str, body: &str) -> Self {
        Self::post(path, "application/x-www-form-urlencoded", body.to_owned())
    }

    /// JSON, posted.
    pub fn json(path: &str, body: &Value) -> Self {
        Self::post(path, "application/json", body.to_string())
    }

    /// A body, posted.
    pub fn post(path: &str, content_type: &str, body: impl Into<Bytes>) -> Self {
        let mut ask = Self::get(path).method(Method::POST).header(header::CONTENT_TYPE, content_type);
        ask.0.body = Ok(body.into());
        ask
    }

    /// A GET.
    pub fn get(path: &str) -> Self {
        Self(Call {
            method: Method::GET,
            path: path.to_owned(),
            query: String::new(),
            headers: HeaderMap::new(),
            body: Ok(Bytes::new()),
            origin: None,
            client_certificate: None,
        })
    }

    pub fn method(mut self, method: Method) -> Self {
        self.0.method = method;
        self
    }

    pub fn query(mut self, query: &str) -> Self {
        query.clone_into(&mut self.0.query);
        self
    }

    /// Adds a header; the same name again adds another value.
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        self.0.headers.append(name, HeaderValue::try_from(value).unwrap());
        self
    }

    /// `Authorization: Basic` of a pair as it is, without form-encoding.
    pub fn basic(self, id: &str, secret: &str) -> Self {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        self.header(header::AUTHORIZATION, &format!("Basic {}", STANDARD.encode(format!("{id}:{secret}"))))
    }
}

/// A whole answer as text, to be compared: status, headers in order, body.
pub fn whole(response: &Response) -> String {
    let mut text = format!("{}\n", response.status().as_u16());
    let mut headers: Vec<_> = response.headers().iter().collect();
    headers.sort_by_key(|(name, _)| name.as_str());
    for (name, value) in headers {
        writeln!(text, "{name}: {}", value.to_str().unwrap()).unwrap();
    }
    text.push('\n');
    text.push_str(std::str::from_utf8(response.body()).unwrap());
    text
}

/// A body as JSON.
pub fn body(response: &Response) -> Value {
    serde_json::from_slice(response.body()).unwrap()
}

/// The header and the claims of a token, unverified.
pub fn parts(token: &str) -> (Value, Value) {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let mut parts = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap());
    let mut next = || serde_json::from_slice(&parts.next().unwrap()).unwrap();
    (next(), next())
}

/// The token in a success body of any dialect.
pub fn token_in(body: &Value) -> &str {
    body.get("access_token").or(body["content"].get("jwt_token")).unwrap().as_str().unwrap()
}

/// A whole answer like [`whole`]; a token in it is replaced by `TOKEN` and its header and claims stand below, word for word,
/// with `KID` for the id of the key, which is another one in each run.
pub fn readable(response: &Response) -> String {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let text = whole(response);
    if !response.status().is_success() {
        return text;
    }
    let body = body(response);
    let token = token_in(&body);
    let part =
        |index| String::from_utf8(URL_SAFE_NO_PAD.decode(token.split('.').nth(index).unwrap()).unwrap()).unwrap();
    let kid = parts(token).0["kid"].as_str().unwrap().to_owned();
    format!("{}\n\nheader {}\nclaims {}", text.replace(token, "TOKEN"), part(0), part(1)).replace(&kid, "KID")
}

/// Form-encodes a value (RFC 6749 appendix B).
pub fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            b' ' => "+".to_owned(),
            other => format!("%{other:02X}"),
        })
        .collect()
}
