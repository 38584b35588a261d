//! What the Lambda function and the local server call: one request in, one answer out, one line logged.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};

use super::{
    aws::Connection,
    client_cache::CachedClients,
    dynamodb::DynamoDb,
    hook::ClaimsHook,
    jwks_uri::{PublishedKeys, fetch::HttpSource},
    keys::{HeldKeys, Source},
    moment::{self, Stopwatch},
    secret_use::SecretUses,
    telemetry,
};
use crate::{
    config::{Config, SigningKeys},
    dialect::{DIALECTS, Dialect, Response},
    oauth::{error::Reason, jwt::Typ},
    service::{Answer, Call, Keys as _, KeysUnavailable, Record, Settings, TokenService},
};

/// The token service over DynamoDB and the configured key source.
pub struct Handler {
    service: TokenService<PublishedKeys<CachedClients<DynamoDb>, HttpSource>, HeldKeys, ClaimsHook>,
    keys: HeldKeys,
    secret_uses: SecretUses,
    cold: AtomicBool,
}

impl Handler {
    /// Makes a handler of a configuration. Nothing is contacted yet.
    ///
    /// # Errors
    /// What is wrong with a file that the configuration names.
    pub fn new(config: &Config) -> Result<Self, String> {
        let aws = Connection::new(&config.aws)?;
        let dynamodb = aws.dynamodb();
        let secret_uses = SecretUses::new(dynamodb.clone(), &config.state_table, config.secret_expiry_warning);
        let store = DynamoDb::new(dynamodb, &config.clients_table, &config.state_table);
        let source = match &config.signing_keys {
            SigningKeys::Secret(id) => Source::Secret { sdk: aws.secrets_manager(), id: id.clone() },
            SigningKeys::File(path) => Source::File(path.clone()),
            SigningKeys::Inline(json) => Source::Inline(Arc::clone(json)),
        };
        let keys = HeldKeys::new(source, config.keys_cache_ttl);
        let cached = CachedClients::new(store, config.client_cache_ttl);
        let source = config.published_keys.as_ref().map(|it| (it.allowed.clone(), HttpSource::new(it.roots.clone())));
        let clients = PublishedKeys::new(cached, source);
        let hook = config.claims_hook.as_ref().map(|hook| aws.claims_hook(hook));
        Ok(Self {
            service: TokenService::new(config.settings.clone(), clients, keys.clone()).with_hook(hook),
            keys,
            secret_uses,
            cold: AtomicBool::new(true),
        })
    }

    /// Does once what requests do, so that the first one finds it done: fetches the keys and signs, and side by side with that
    /// refuses a client that there is not, which reads of DynamoDB.
    ///
    /// What fails is logged and tried again by the requests: a start during an outage needs no redeploy.
    pub async fn warm_up(&self, settings: &Settings) {
        // Without it, no request is answered either.
        let Ok(moment) = moment::draw() else { return };
        let unknown = unknown_client(settings);
        let (ring, refused) = tokio::join!(self.keys.ring(None, moment.now), self.service.respond(&unknown, &moment));
        match ring {
            Ok(ring) => drop(ring.signer(None, moment.now).map(|key| key.sign(Typ::AccessToken, b"{}"))),
            Err(KeysUnavailable(detail)) => {
                tracing::error!(detail, "the key ring could not be read at the start");
            }
        }
        // What there is to say of it besides its reason is a fault of the store.
        if let Some(detail) = refused.record.detail {
            tracing::error!(detail, "the clients table could not be read at the start");
        }
    }

    /// Answers one request, whatever happens, and logs it. `request_id` ties the line to the platform's own.
    pub async fn handle(&self, call: &Call, request_id: &str) -> Response {
        let stopwatch = Stopwatch::start();
        let cold_start = self.cold.swap(false, Ordering::Relaxed);
        let (Answer { response, record }, now) = match moment::draw() {
            Ok(moment) => (self.service.respond(call, &moment).await, moment.now),
            Err(_) => (apologise(), 0),
        };
        let secret_expires_in = self.secret_uses.expires_in(&record, now);
        let (status, took) = (response.status(), stopwatch.elapsed());
        telemetry::log_request(&record, status, request_id, cold_start, secret_expires_in, took);
        self.secret_uses.note(&record, now);
        response
    }
}

// A request of a client that there is not, as the first route that is on takes it.
fn unknown_client(settings: &Settings) -> Call {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    let dialect = DIALECTS.iter().find(|dialect| settings.dialects.contains(&dialect.name));
    let body = if dialect.is_some_and(|dialect| dialect.policy.auth.post) {
        "grant_type=client_credentials&client_id=mintlet-warm-up&client_secret=none"
    } else {
        // mintlet-warm-up:none
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Basic bWludGxldC13YXJtLXVwOm5vbmU="));
        "grant_type=client_credentials"
    };
    Call {
        method: Method::POST,
        path: format!("{}{}", settings.base_path, dialect.map_or("/", |dialect| dialect.path)),
        query: String::new(),
        headers,
        body: Ok(Bytes::from_static(body.as_bytes())),
        origin: Some("https://mintlet-warm-up.invalid".to_owned()),
        client_certificate: None,
    }
}

// Without randomness there is no token id, and nothing else is worth trying.
fn apologise() -> Answer {
    let reason = Reason::NoRandomness;
    let record = Record { route: "unknown", reason: Some(reason), ..Record::default() };
    Answer { response: Dialect::oauth2().refused(reason, None), record }
}
