//! The health of a key ring: a function of the ring, the moment, and what is asked of it.

use super::super::{
    finding::{Check, Finding},
    words::{count, few, foreign, span, word},
};
use crate::{
    keyring::{KeyRing, RingKey},
    oauth::jwt::Alg,
};

/// What a ring is held against.
#[derive(Clone, Copy)]
pub struct Terms<'a> {
    /// Seconds since the epoch.
    pub now: u64,
    /// Seconds after which a key should have a successor.
    pub rotation_period: u64,
    /// The algorithms that enabled clients name, or why they are not known.
    pub algs: Result<&'a [Alg], &'a str>,
    /// The flags of `mintlet key` for this ring.
    pub place: &'a str,
    /// Whether it is in a file.
    pub is_file: bool,
}

// How long a verifier may go on with keys that it fetched before: two hours at API Gateway. An instance may publish what it
// read ten minutes ago (twice KEYS_CACHE_TTL), and what it published may be five minutes old when it is fetched (max-age).
const LEAST_LEAD: u64 = 2 * 60 * 60 + 15 * 60;
// What an Application Load Balancer takes.
const MOST_KEYS: usize = 10;
// The one before, the one that signs, the next, and one to spare.
const MOST_KEYS_OF_AN_ALG: usize = 4;
// What API Gateway takes.
const MOST_BYTES: usize = 150_000;

/// Judges a ring.
#[must_use]
pub fn health(ring: &KeyRing, terms: &Terms<'_>) -> Vec<Finding> {
    let mut findings = vec![active_key(ring, terms)];
    findings.extend(client_algs(ring, terms));
    findings.extend(next_keys(ring, terms));
    findings.extend(leads(ring, terms));
    findings.extend(ties(ring, terms));
    findings.push(published(ring, terms));
    findings.extend(prunable(ring, terms));
    findings
}

fn active_key(ring: &KeyRing, terms: &Terms<'_>) -> Finding {
    let check = Check::ActiveKey;
    let Some(key) = ring.signer(None, terms.now) else {
        let fix = format!("mintlet key generate {} --activate-in 0", terms.place);
        return check.fault("no key signs: the token endpoints answer 503", fix);
    };
    let signs = format!("{} key {} signs where a client says nothing else", key.alg().as_str(), foreign(key.kid()));
    match key.alg() {
        Alg::RS256 | Alg::PS256 => check.ok(signs),
        Alg::ES256 | Alg::ES384 | Alg::EdDSA => {
            check.note(format!("{signs}; the JWT checks of API Gateway and of load balancers take RSA only"))
        }
        Alg::HS256 => check.warning(
            format!("{signs}, and no verifier can check that with a published key"),
            format!("mintlet key generate {} --alg RS256", terms.place),
        ),
    }
}

fn client_algs(ring: &KeyRing, terms: &Terms<'_>) -> Vec<Finding> {
    let check = Check::ClientAlgs;
    let algs = match terms.algs {
        Ok([]) => return vec![check.ok("no client names an algorithm")],
        Ok(algs) => algs,
        Err(why) => return vec![check.skipped(why)],
    };
    let lacking = algs.iter().filter(|alg| ring.signer(Some(**alg), terms.now).is_none());
    let faults: Vec<_> = lacking
        .map(|alg| {
            let alg = alg.as_str();
            check.fault(
                format!("clients ask for {alg}, and no {alg} key signs: they get 503"),
                format!("mintlet key generate {} --alg {alg} --activate-in 0", terms.place),
            )
        })
        .collect();
    if faults.is_empty() {
        let names: Vec<_> = algs.iter().map(|alg| alg.as_str().to_owned()).collect();
        return vec![check.ok(format!("every algorithm that clients name has a key that signs: {}", few(&names)))];
    }
    faults
}

// Of each algorithm that is in use: whether the key that signs has a successor where it needs one.
fn next_keys(ring: &KeyRing, terms: &Terms<'_>) -> Vec<Finding> {
    let by_default = ring.signer(None, terms.now).map(crate::keyring::SigningKey::alg);
    let in_use = |alg: &Alg| terms.algs.is_ok_and(|named| named.contains(alg)) || by_default == Some(*alg);
    Alg::ALL
        .into_iter()
        .filter(|alg| terms.algs.is_err() || in_use(alg))
        .filter_map(|alg| next_key(ring, alg, terms))
        .collect()
}

fn next_key(ring: &KeyRing, alg: Alg, terms: &Terms<'_>) -> Option<Finding> {
    let (check, now, name) = (Check::NextKey, terms.now, alg.as_str());
    let kid = ring.signer(Some(alg), now)?.kid();
    let signer = ring.keys().iter().find(|held| held.key.kid() == kid)?;
    let (shown, generate) = (foreign(kid), format!("mintlet key generate {} --alg {name}", terms.place));
    if let Some(end) = signer.retire_at
        && ring.signer(Some(alg), end).is_none()
    {
        let left = end - now;
        let what = format!("{name} key {shown} signs for {} more, and no key follows: then 503", span(left));
        let lead = if left < LEAST_LEAD { " --activate-in 0" } else { "" };
        let fix = format!("{generate}{lead}");
        return Some(if left < LEAST_LEAD { check.fault(what, fix) } else { check.warning(what, fix) });
    }
    let next = ring.keys().iter().filter(|held| held.key.alg() == alg && held.activate_at > now);
    let next = next.filter(|held| held.is_active(held.activate_at)).min_by_key(|held| held.activate_at);
    if let Some(next) = next {
        let signs = span(next.activate_at - now);
        return Some(check.ok(format!("{name} key {} signs from in {signs} on", foreign(next.key.kid()))));
    }
    let age = now.saturating_sub(signer.activate_at);
    let (told, period) = (span(age), span(terms.rotation_period));
    Some(if age >= terms.rotation_period {
        check.warning(
            format!("{name} key {shown} has signed for {told} ({period} is the period), and no key follows"),
            generate,
        )
    } else {
        check.ok(format!("{name} key {shown} has signed for {told}; a next one is due at {period}"))
    })
}

// Whether verifiers know a key when it takes another's place; told as long as it matters.
fn leads(ring: &KeyRing, terms: &Terms<'_>) -> Vec<Finding> {
    let check = Check::Lead;
    let hasty = ring.keys().iter().filter_map(|held| {
        let settled = held.created_at.saturating_add(LEAST_LEAD);
        if held.activate_at >= settled || terms.now >= settled || !takes_a_place(ring, held) {
            return None;
        }
        let (kid, alg, place) = (held.key.kid(), held.key.alg().as_str(), terms.place);
        let (shown, kid) = (foreign(kid), word(kid));
        let signs = if held.activate_at > terms.now {
            format!("will sign in {}", span(held.activate_at - terms.now))
        } else {
            "signs already".to_owned()
        };
        Some(check.warning(
            format!(
                "{alg} key {shown} {signs}; verifiers that fetched the keys before may refuse its tokens for {} yet",
                span(settled - terms.now)
            ),
            format!("mintlet key retire {place} --kid {kid}, then mintlet key generate {place} --alg {alg}"),
        ))
    });
    let hasty: Vec<_> = hasty.collect();
    if hasty.is_empty() {
        return vec![check.ok(format!("no key signs within {} of its making in place of another", span(LEAST_LEAD)))];
    }
    hasty
}

// Whether tokens that another key would sign are signed by this one as soon as it is active. It has to be one that is published.
fn takes_a_place(ring: &KeyRing, held: &RingKey) -> bool {
    let Some(before) = held.activate_at.checked_sub(1) else { return false };
    held.key.public_jwk().is_some()
        && [Some(held.key.alg()), None].into_iter().any(|wanted| {
            let signs = |now| ring.signer(wanted, now).map(crate::keyring::SigningKey::kid);
            signs(held.activate_at) == Some(held.key.kid())
                && signs(before).is_some_and(|other| other != held.key.kid())
        })
}

fn ties(ring: &KeyRing, terms: &Terms<'_>) -> Vec<Finding> {
    let goes_on = |held: &&RingKey| held.retire_at.is_none_or(|retire_at| terms.now < retire_at);
    let keys: Vec<_> = ring.keys().iter().filter(goes_on).collect();
    // Newest first, so that of two it is the second that never signs.
    let tied = keys.iter().enumerate().filter_map(|(index, held)| {
        let same = |other: &&&RingKey| other.key.alg() == held.key.alg() && other.activate_at == held.activate_at;
        let first = keys.iter().take(index).find(same)?;
        Some(Check::ActivationTie.warning(
            format!(
                "{} keys {} and {} have the same activate_at: only the first signs",
                held.key.alg().as_str(),
                foreign(first.key.kid()),
                foreign(held.key.kid())
            ),
            format!("mintlet key retire {} --kid {}", terms.place, word(held.key.kid())),
        ))
    });
    let tied: Vec<_> = tied.collect();
    if tied.is_empty() { vec![Check::ActivationTie.ok("no two keys of an algorithm begin at once")] } else { tied }
}

fn published(ring: &KeyRing, terms: &Terms<'_>) -> Finding {
    let check = Check::Published;
    let jwks = ring.jwks(terms.now);
    let bytes = serde_json::to_vec(&jwks).map_or(0, |json| json.len());
    let told = format!("{} published, {bytes} bytes", count(jwks.keys.len(), "key"));
    let fix =
        format!("mintlet key retire {} --kid KID of those that are not needed: they leave a day later", terms.place);
    let of = |alg| ring.keys().iter().filter(|held| held.is_published(terms.now) && held.key.alg() == alg).count();
    let crowded = Alg::ALL.into_iter().find(|alg| *alg != Alg::HS256 && of(*alg) > MOST_KEYS_OF_AN_ALG);
    match crowded {
        _ if bytes > MOST_BYTES => check.fault(format!("{told}; API Gateway takes {MOST_BYTES} bytes"), fix),
        _ if jwks.keys.len() > MOST_KEYS => {
            check.warning(format!("{told}; a load balancer takes {MOST_KEYS} keys"), fix)
        }
        Some(alg) => check.note(format!("{told}, {} of them for {}", of(alg), alg.as_str())),
        None => check.ok(told),
    }
}

fn prunable(ring: &KeyRing, terms: &Terms<'_>) -> Option<Finding> {
    let over = ring.keys().iter().filter(|held| !held.is_published(terms.now));
    let kids: Vec<String> = over.map(|held| foreign(held.key.kid())).collect();
    let told = format!(
        "{} can be taken out of the ring, as its last token has expired: {}",
        count(kids.len(), "key"),
        few(&kids)
    );
    (!kids.is_empty()).then(|| Check::Prunable.note(told).about(kids))
}

#[cfg(test)]
mod tests;
