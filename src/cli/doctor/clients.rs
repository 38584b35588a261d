//! The registered clients: whether each can be read and can get a token, and for how long yet.

use std::time::Duration;

use aws_sdk_dynamodb::Client as Sdk;

use super::{
    access::{Calls, Unseen},
    finding::{Check, Finding},
    tables::{arn, given},
    words::{count, few, foreign, span, word},
};
use crate::{
    edge::{
        dynamodb::{CLIENTS_KEY, Item, from_item},
        moment::Stopwatch,
    },
    oauth::{client::Client, jwt::Alg, vocabulary::ClientAuthMethod},
    service::StoreFault,
};

/// The clients as they were read.
#[derive(Default)]
pub struct Clients {
    /// Those that could be read.
    pub readable: Vec<Client>,
    /// The id of each that could not, and what is wrong with it.
    pub malformed: Vec<(String, String)>,
    /// Whether time ran out before all were read.
    pub cut_short: bool,
}

/// What clients are held against.
#[derive(Clone, Copy)]
pub struct Terms<'a> {
    /// Seconds since the epoch.
    pub now: u64,
    /// How many seconds before its end a secret is said to expire.
    pub expiring_within: u64,
    /// The flags of `mintlet client` for this table.
    pub place: &'a str,
}

// What a scan may take; a table of some hundred thousand clients takes longer.
const SCAN_TIME: Duration = Duration::from_secs(6);
// What the function would need for one request of theirs; registering takes no more.
const MOST_SLOW_HASHES: usize = 2;

/// Reads all clients, as far as time goes.
///
/// # Errors
/// Why there are none to judge.
pub async fn observe(calls: &Calls, sdk: &Result<Sdk, String>, table: Result<&str, &str>) -> Result<Clients, Unseen> {
    let (sdk, table) = given(sdk, table)?;
    let stopwatch = Stopwatch::start();
    let mut clients = Clients::default();
    let mut from = None;
    loop {
        let call = sdk.scan().table_name(table).set_exclusive_start_key(from).send();
        let page = calls.make("dynamodb:Scan", &arn(table), call).await?;
        page.items.unwrap_or_default().into_iter().for_each(|item| clients.take(item));
        from = page.last_evaluated_key;
        clients.cut_short = from.is_some() && stopwatch.elapsed() > SCAN_TIME;
        if from.is_none() || clients.cut_short {
            return Ok(clients);
        }
    }
}

impl Clients {
    fn take(&mut self, item: Item) {
        let id = item.get(CLIENTS_KEY).and_then(|key| key.as_s().ok()).cloned().unwrap_or_default();
        match from_item(item) {
            Ok(client) => self.readable.push(client),
            Err(
                StoreFault::MalformedItem(why) | StoreFault::Unavailable(why) | StoreFault::ClientKeysUnavailable(why),
            ) => self.malformed.push((id, why)),
        }
    }

    /// The algorithms that enabled clients name.
    #[must_use]
    pub fn algs(&self) -> Vec<Alg> {
        let named = |alg: &Alg| self.enabled().any(|client| client.access_token_signed_response_alg == Some(*alg));
        Alg::ALL.into_iter().filter(named).collect()
    }

    fn enabled(&self) -> impl Iterator<Item = &Client> {
        self.readable.iter().filter(|client| !client.disabled)
    }
}

/// Judges the clients, or says why there are none to judge.
#[must_use]
pub fn judge(seen: &Result<Clients, Unseen>, terms: &Terms<'_>) -> Vec<Finding> {
    let clients = match seen {
        Ok(clients) => clients,
        Err(unseen @ Unseen::Failed(_)) => return vec![unseen.finding(Check::Clients, Default::default())],
        Err(unseen) => return vec![unseen.follows(Check::Clients, Check::ClientsTable)],
    };
    let mut findings = vec![number(clients)];
    findings.push(items(clients, terms));
    findings.push(working_secrets(clients, terms));
    findings.extend(expiring(clients, terms));
    findings.extend(disabled(clients));
    findings.extend(slow_hashes(clients, terms));
    findings
}

fn number(clients: &Clients) -> Finding {
    let told = format!("{} registered", count(clients.readable.len() + clients.malformed.len(), "client"));
    if clients.cut_short {
        Check::Clients.note(format!("{told} and more: time allows to look at these only"))
    } else {
        Check::Clients.ok(told)
    }
}

fn items(clients: &Clients, terms: &Terms<'_>) -> Finding {
    let check = Check::ClientItems;
    if clients.malformed.is_empty() {
        return check.ok("every client's item can be read");
    }
    let told =
        clients.malformed.iter().map(|(id, why)| format!("{} ({})", foreign(id), foreign(why))).collect::<Vec<_>>();
    let ids: Vec<String> = clients.malformed.iter().map(|(id, _)| foreign(id)).collect();
    check
        .fault(
            format!("{} cannot be read, and its clients get a 500: {}", count(told.len(), "item"), few(&told)),
            format!(
                "mend the attribute in DynamoDB, or mintlet client delete {} --client-id {}",
                terms.place,
                one(&ids)
            ),
        )
        .about(ids)
}

// Whether it is by a secret that a client proves who it is.
fn uses_secrets(client: &Client) -> bool {
    match client.token_endpoint_auth_method {
        None | Some(ClientAuthMethod::ClientSecretBasic | ClientAuthMethod::ClientSecretPost) => {
            client.jwks.is_none() && client.jwks_uri.is_none()
        }
        Some(
            ClientAuthMethod::PrivateKeyJwt
            | ClientAuthMethod::TlsClientAuth
            | ClientAuthMethod::SelfSignedTlsClientAuth,
        ) => false,
    }
}

// When the secret that works longest ends; the end of time if it does not, and `None` if no secret works.
fn works_until(client: &Client, now: u64) -> Option<u64> {
    client.client_secrets.iter().map(|secret| secret.expires_at.unwrap_or(u64::MAX)).filter(|end| now < *end).max()
}

fn working_secrets(clients: &Clients, terms: &Terms<'_>) -> Finding {
    let check = Check::WorkingSecret;
    let without = clients.enabled().filter(|client| uses_secrets(client) && works_until(client, terms.now).is_none());
    let ids: Vec<String> = without.map(|client| client.client_id.to_string()).collect();
    if ids.is_empty() {
        return check.ok("every enabled client has a secret that works");
    }
    check
        .warning(
            format!("{} without a secret that works: {}", count(ids.len(), "client"), few(&ids)),
            format!("mintlet client rotate-secret {} --client-id {}, or disable it", terms.place, one(&ids)),
        )
        .about(ids)
}

fn expiring(clients: &Clients, terms: &Terms<'_>) -> Vec<Finding> {
    let check = Check::SecretExpiry;
    let soon = |end: &u64| end.saturating_sub(terms.now) < terms.expiring_within;
    let last: Vec<(String, u64)> = clients
        .enabled()
        .filter_map(|client| Some((client.client_id.to_string(), works_until(client, terms.now)?)))
        .filter(|(_, end)| soon(end))
        .collect();
    let within = span(terms.expiring_within);
    if last.is_empty() {
        return vec![check.ok(format!("every client that has a secret has one for {within} yet"))];
    }
    let ids: Vec<String> = last.iter().map(|(id, _)| id.clone()).collect();
    let told: Vec<String> = last.iter().map(|(id, end)| format!("{id} (in {})", span(end - terms.now))).collect();
    let told = format!("the last secret of {} expires within {within}: {}", count(ids.len(), "client"), few(&told));
    let fix = format!("mintlet client rotate-secret {} --client-id {}", terms.place, one(&ids));
    vec![check.warning(told, fix).about(ids)]
}

fn disabled(clients: &Clients) -> Option<Finding> {
    let ids: Vec<String> =
        clients.readable.iter().filter(|client| client.disabled).map(|client| client.client_id.to_string()).collect();
    let told = format!("{} disabled: {}", count(ids.len(), "client"), few(&ids));
    (!ids.is_empty()).then(|| Check::Disabled.note(told).about(ids))
}

fn slow_hashes(clients: &Clients, terms: &Terms<'_>) -> Option<Finding> {
    let check = Check::SlowHashes;
    let slow = |client: &Client| client.client_secrets.iter().filter(|secret| secret.hash.is_slow()).count();
    let with = |least: usize| {
        let clients = clients.enabled().filter(|client| slow(client) >= least);
        clients.map(|client| client.client_id.to_string()).collect::<Vec<_>>()
    };
    let (many, any) = (with(MOST_SLOW_HASHES + 1), with(1));
    if !many.is_empty() {
        let told = format!("more than {MOST_SLOW_HASHES} slow hashes, each tried with a wrong secret: {}", few(&many));
        let fix = format!("mintlet client rotate-secret {} --client-id {} --overlap 0", terms.place, one(&many));
        return Some(check.warning(told, fix).about(many));
    }
    let told = format!(
        "{} with a slow hash, paid for once per cache lifetime; `client rotate-secret` ends that, and `client rehash` \
         for a secret of 32 characters or more: {}",
        count(any.len(), "client"),
        few(&any)
    );
    (!any.is_empty()).then(|| check.note(told).about(any))
}

// The one there is, or the word for any of several.
fn one(ids: &[String]) -> String {
    match ids {
        [only] => word(only).into_owned(),
        _ => "ID".to_owned(),
    }
}

#[cfg(test)]
mod tests;
