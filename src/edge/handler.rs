//! What the Lambda function and the local server call: one request in, one answer out, one line logged.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

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
    dialect::{Dialect, Response},
    oauth::{client::ClientId, error::Reason, jwt::Typ},
    service::{Answer, Call, Keys as _, KeysUnavailable, Record, StoreFault, TokenService},
};

/// The token service over DynamoDB and the configured key source.
pub struct Handler {
    service: TokenService<PublishedKeys<CachedClients<DynamoDb>, HttpSource>, HeldKeys, ClaimsHook>,
    store: DynamoDb,
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
        let cached = CachedClients::new(store.clone(), config.client_cache_ttl);
        let source = config.published_keys.as_ref().map(|it| (it.allowed.clone(), HttpSource::new(it.roots.clone())));
        let clients = PublishedKeys::new(cached, source);
        let hook = config.claims_hook.as_ref().map(|hook| aws.claims_hook(hook));
        Ok(Self {
            service: TokenService::new(config.settings.clone(), clients, keys.clone()).with_hook(hook),
            store,
            keys,
            secret_uses,
            cold: AtomicBool::new(true),
        })
    }

    /// Does once what requests do, so that the first one finds it done: fetches the keys and reads of DynamoDB, side by side,
    /// draws randomness, and signs.
    ///
    /// What fails is logged and tried again by the requests: a start during an outage needs no redeploy.
    pub async fn warm_up(&self) {
        let moment = moment::draw();
        let now = moment.map_or(0, |moment| moment.now);
        let read_a_client = async {
            match ClientId::parse("mintlet-warm-up") {
                Ok(id) => self.store.client(&id).await.map(|_| ()),
                Err(_) => Ok(()),
            }
        };
        let (ring, client) = tokio::join!(self.keys.ring(None, now), read_a_client);
        match ring {
            Ok(ring) => drop(ring.signer(None, now).map(|key| key.sign(Typ::AccessToken, b"{}"))),
            Err(KeysUnavailable(detail)) => {
                tracing::error!(detail, "the key ring could not be read at the start");
            }
        }
        if let Err(
            StoreFault::Unavailable(detail)
            | StoreFault::MalformedItem(detail)
            | StoreFault::ClientKeysUnavailable(detail),
        ) = client
        {
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

// Without randomness there is no token id, and nothing else is worth trying.
fn apologise() -> Answer {
    let reason = Reason::NoRandomness;
    let record = Record { route: "unknown", reason: Some(reason), ..Record::default() };
    Answer { response: Dialect::oauth2().refused(reason, None), record }
}
