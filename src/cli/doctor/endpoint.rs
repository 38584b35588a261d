//! What the outside sees: health, metadata, published keys, speed, clock.

use std::time::Duration;

use serde_json::Value;

use super::{
    fetch::{Answer, Http},
    finding::{Check, Finding},
    words::{few, foreign, span},
};
use crate::keyring::KeyRing;

/// Where the endpoint is, and what it calls itself.
pub struct Place {
    /// Where it is asked, without a slash at its end.
    pub url: String,
    /// What its metadata are to say.
    pub issuer: String,
}

/// What the endpoint answered.
pub struct Observed {
    /// `/health`.
    pub health: Result<Answer, String>,
    /// The metadata under each of their two paths; nothing if there was no connection at all.
    pub metadata: Vec<(&'static str, Result<Answer, String>)>,
    /// The published keys, if the metadata say where they are.
    pub jwks: Option<Result<Answer, String>>,
}

/// The paths of the metadata: the first is the one that API Gateway asks for.
pub const METADATA_PATHS: [&str; 2] = ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"];

// API Gateway's, for each of the metadata and the keys.
const LONGEST: Duration = Duration::from_millis(1500);
// Below it, verifiers that allow for no difference at all would refuse tokens for so long.
const MOST_SKEW: u64 = 10;
// How long an instance may publish a ring that it read before: twice the default of KEYS_CACHE_TTL.
const KEYS_LAG: u64 = 600;
// RFC 7518 section 6: what makes a key private, or is all of it.
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Asks the endpoint, one thing after the other: the first answer may be that of a function that had to start.
pub async fn observe(http: &Http, place: &Place) -> Observed {
    let health = http.get(&format!("{}/health", place.url)).await;
    if health.is_err() {
        return Observed { health, metadata: Vec::new(), jwks: None };
    }
    let mut metadata = Vec::new();
    for path in METADATA_PATHS {
        metadata.push((path, http.get(&format!("{}{path}", place.url)).await));
    }
    let jwks_uri = metadata.iter().find_map(|(_, answer)| member(answer.as_ref().ok()?, "jwks_uri"));
    let jwks = match jwks_uri {
        Some(uri) => Some(http.get(&place.reached(&uri)).await),
        None => None,
    };
    Observed { health, metadata, jwks }
}

impl Place {
    // A URL below the issuer is asked where the endpoint is said to be.
    fn reached(&self, url: &str) -> String {
        match below(url, &self.issuer) {
            Some(path) => format!("{}{path}", self.url),
            None => url.to_owned(),
        }
    }
}

fn below<'a>(url: &'a str, issuer: &str) -> Option<&'a str> {
    url.strip_prefix(issuer.trim_end_matches('/')).filter(|path| path.starts_with('/'))
}

fn json(answer: &Answer) -> Option<Value> {
    (answer.status == 200).then(|| serde_json::from_slice(&answer.body).ok()).flatten().filter(Value::is_object)
}

fn member(answer: &Answer, name: &str) -> Option<String> {
    json(answer)?.get(name)?.as_str().map(str::to_owned)
}

/// Holds the answers against each other, the issuer, and the ring, if that is known.
#[must_use]
pub fn judge(observed: &Observed, place: &Place, ring: Option<&KeyRing>, now: u64) -> Vec<Finding> {
    let health = health(&observed.health, place);
    if observed.health.is_err() {
        return vec![health];
    }
    let mut findings = vec![health];
    findings.extend(metadata(&observed.metadata, place));
    findings.extend(jwks(observed.jwks.as_ref(), ring, now));
    let documents = observed.metadata.iter().map(|(path, answer)| (*path, answer.as_ref().ok()));
    let documents = documents.chain([("the keys", observed.jwks.as_ref().and_then(|answer| answer.as_ref().ok()))]);
    findings.extend(speed(&documents.filter_map(|(name, answer)| Some((name, answer?.took))).collect::<Vec<_>>()));
    findings.push(clock(&observed.health));
    findings
}

fn health(answer: &Result<Answer, String>, place: &Place) -> Finding {
    let check = Check::Health;
    match answer {
        Ok(Answer { status: 200, took, .. }) => check.ok(format!("{} answers, in {} ms", place.url, took.as_millis())),
        Ok(Answer { status, .. }) => check.fault(
            format!("{}/health answers {status}", place.url),
            "see that --url is the API's address (the output ApiUrl) with its stage or base path, and look into the function's log",
        ),
        Err(why) => check.fault(
            format!("{} cannot be reached: {}", place.url, foreign(why)),
            "see that the name resolves and the certificate is good; roots of one's own go into AWS_CA_BUNDLE",
        ),
    }
}

fn metadata(documents: &[(&'static str, Result<Answer, String>)], place: &Place) -> Vec<Finding> {
    let (check, issuer) = (Check::Metadata, &place.issuer);
    let broken = documents.iter().filter_map(|(path, answer)| {
        let told = match answer {
            Ok(answer) if json(answer).is_some() => return None,
            Ok(answer) if answer.status == 200 => "answers what is not a JSON object".to_owned(),
            Ok(answer) => format!("answers {}", answer.status),
            Err(why) => format!("cannot be reached: {}", foreign(why)),
        };
        Some(check.fault(
            format!("{path} {told}"),
            "see that API Gateway routes it to the function (template.yaml has the routes), and look into the function's log",
        ))
    });
    let mut findings: Vec<_> = broken.collect();
    if findings.is_empty() {
        findings.push(check.ok(format!("{} answer", METADATA_PATHS.join(" and "))));
    }
    let read: Vec<_> =
        documents.iter().filter_map(|(path, answer)| Some((*path, json(answer.as_ref().ok()?)?))).collect();
    if read.is_empty() {
        findings.extend([Check::Issuer, Check::TokenEndpoint].map(|check| check.skipped("see metadata")));
        return findings;
    }
    let text = |document: &Value, name: &str| document.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let other = read.iter().find(|(_, document)| text(document, "issuer") != *issuer);
    findings.push(match other {
        None => Check::Issuer.ok(format!("the metadata say {issuer}")),
        Some((path, document)) => {
            let found = foreign(&text(document, "issuer"));
            Check::Issuer.fault(
                format!("{path} says the issuer is {found:?}, and not {issuer}: verifiers refuse that (RFC 8414 section 3.3)"),
                format!("set ISSUER (the template's Issuer) to {issuer}, or give --issuer what is right"),
            )
        }
    });
    let astray =
        read.iter().find(|(_, document)| below(&text(document, "token_endpoint"), &text(document, "issuer")).is_none());
    findings.push(match astray {
        None => Check::TokenEndpoint
            .ok(foreign(&read.first().map(|(_, document)| text(document, "token_endpoint")).unwrap_or_default())),
        Some((path, document)) => Check::TokenEndpoint.fault(
            format!(
                "{path} names the token endpoint {:?}, which is not below the issuer",
                foreign(&text(document, "token_endpoint"))
            ),
            "see what answers there: it is not this service's metadata",
        ),
    });
    findings
}

fn jwks(answer: Option<&Result<Answer, String>>, ring: Option<&KeyRing>, now: u64) -> Vec<Finding> {
    let check = Check::Jwks;
    let rest = [Check::JwksKids, Check::JwksPrivate, Check::JwksCache];
    let unread =
        |finding: Finding| std::iter::once(finding).chain(rest.map(|check| check.skipped("see jwks"))).collect();
    let look = "look into the function's log: it says what keeps it from the key ring";
    let (answer, keys) = match answer {
        None => return unread(check.skipped("the metadata name no jwks_uri: see metadata")),
        Some(Err(why)) => {
            let fix = "see that jwks_uri is reached from outside, and within 1.5 s: verifiers fetch it from there";
            return unread(check.fault(format!("the published keys cannot be reached: {}", foreign(why)), fix));
        }
        Some(Ok(answer)) => match json(answer).map(|document| document.get("keys").cloned()) {
            Some(Some(Value::Array(keys))) => (answer, keys),
            _ if answer.status == 200 => {
                return unread(check.fault("what jwks_uri answers is no JWK set (RFC 7517)", look));
            }
            _ => return unread(check.fault(format!("jwks_uri answers {}", answer.status), look)),
        },
    };
    let kids: Vec<String> =
        keys.iter().map(|key| key.get("kid").and_then(Value::as_str).unwrap_or_default().to_owned()).collect();
    vec![
        if keys.is_empty() {
            check.fault("no key is published: no token can be verified", "mintlet key generate")
        } else {
            check.ok(format!("published: {}", foreign(&few(&kids))))
        },
        kids_match(&kids, ring, now),
        private(&keys),
        cache(answer),
    ]
}

fn kids_match(kids: &[String], ring: Option<&KeyRing>, now: u64) -> Finding {
    let check = Check::JwksKids;
    let mut sorted: Vec<_> = kids.iter().collect();
    sorted.sort_unstable();
    if sorted.windows(2).any(|pair| pair.first() == pair.last()) || kids.iter().any(String::is_empty) {
        return check
            .fault("a published key has no kid, or another's", "see what answers at jwks_uri: it is not this service");
    }
    let Some(ring) = ring else { return check.skipped("the ring is not known: see ring") };
    let wanted = ring.keys().iter().filter(|held| held.is_published(now) && held.key.public_jwk().is_some());
    let unpublished: Vec<_> = wanted.filter(|held| !kids.iter().any(|kid| kid == held.key.kid())).collect();
    let unknown: Vec<_> = kids.iter().filter(|kid| !ring.keys().iter().any(|held| held.key.kid() == **kid)).collect();
    if let Some(kid) = unknown.first() {
        return check.fault(
            format!("key {} is published and not in the ring: the function reads another ring, or it was just taken out", foreign(kid)),
            "compare the function's SIGNING_KEYS_SECRET_ID with what is given here; of a key just taken out, wait 10 min",
        );
    }
    match unpublished.iter().find(|held| held.created_at.saturating_add(KEYS_LAG) <= now) {
        Some(held) => check.fault(
            format!("key {} of the ring is not published: no verifier can know it", foreign(held.key.kid())),
            "look into the function's log: it says what keeps it from the key ring",
        ),
        None if !unpublished.is_empty() => {
            check.note("a key that was just made is not published yet: instances read the ring again within 10 min")
        }
        None => check.ok("the published keys are those of the ring"),
    }
}

fn private(keys: &[Value]) -> Finding {
    let told = keys.iter().find_map(|key| {
        let name = PRIVATE_MEMBERS.into_iter().find(|name| key.get(name).is_some())?;
        Some(format!("a published key has the member {name:?}: the private key is public"))
    });
    match told {
        Some(told) => Check::JwksPrivate.fault(
            told,
            "take the endpoint down, make new keys, and retire the old ones: mintlet key generate --activate-in 0, then mintlet key retire",
        ),
        None => Check::JwksPrivate.ok("no published key has a private member"),
    }
}

fn cache(answer: &Answer) -> Finding {
    let cached = answer.cache_control.as_deref().filter(|value| value.contains("max-age"));
    match cached {
        Some(value) => Check::JwksCache.ok(format!("Cache-Control: {}", foreign(value))),
        None => Check::JwksCache.warning(
            "the published keys come without Cache-Control: max-age, so that each verifier caches them as it pleases, or not",
            "let what stands before the API pass the function's Cache-Control on",
        ),
    }
}

fn speed(took: &[(&str, Duration)]) -> Option<Finding> {
    let check = Check::Speed;
    let told = took.iter().map(|(name, took)| format!("{name} {} ms", took.as_millis())).collect::<Vec<_>>().join(", ");
    if took.is_empty() {
        return None;
    }
    Some(if took.iter().any(|(_, took)| *took > LONGEST) {
        check.warning(
            format!("{told}: API Gateway waits {} ms for each and then refuses tokens", LONGEST.as_millis()),
            "try again from nearer; give the function more MemorySize, or put a cache before these routes",
        )
    } else {
        check.ok(told)
    })
}

fn clock(health: &Result<Answer, String>) -> Finding {
    let check = Check::Clock;
    let Some(ahead) = health.as_ref().ok().and_then(|answer| answer.ahead) else {
        return check.skipped("the endpoint sends no Date");
    };
    let off = ahead.unsigned_abs();
    if off > MOST_SKEW {
        let side = if ahead < 0 { "behind" } else { "ahead of" };
        check.warning(
            format!(
                "the endpoint's clock is {} {side} this machine's: a verifier with such a clock refuses tokens",
                span(off)
            ),
            "set this machine's clock (`timedatectl set-ntp true`); AWS keeps its own",
        )
    } else {
        check.ok(format!("the endpoint's clock and this machine's differ by {}", span(off)))
    }
}

#[cfg(test)]
mod tests;
