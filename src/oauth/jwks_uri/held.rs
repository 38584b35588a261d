//! How long keys that were fetched are used, and how often their server is asked.

use std::sync::Arc;

use crate::oauth::jwk::Jwks;

/// Keys as a `jwks_uri` answered.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The keys.
    pub jwks: Jwks,
    /// For how many seconds they need not be asked for again.
    pub lifetime: u64,
}

/// What is remembered of one `jwks_uri`. Times are seconds since the epoch.
#[derive(Clone, Debug, Default)]
pub struct Held {
    set: Option<Arc<Set>>,
    attempted_at: Option<u64>,
    fault: Option<String>,
}

#[derive(Debug)]
struct Set {
    jwks: Jwks,
    fetched_at: u64,
    fresh_until: u64,
}

/// For how many seconds keys that are not fresh any more are used if there are no others.
pub const STALE_SECONDS: u64 = 24 * 60 * 60;
const MIN_LIFETIME: u64 = 5 * 60;
const MAX_LIFETIME: u64 = 24 * 60 * 60;
// However many requests there are, and whatever keys they name.
const ASKED_EVERY: u64 = 60;

/// For how many seconds an answer is good by its `Cache-Control` and `Age` (RFC 9111 sections 5.2.2.1 and 5.1): five minutes at least,
/// a day at most.
#[must_use]
pub fn lifetime(cache_control: Option<&str>, age: Option<&str>) -> u64 {
    let directives = cache_control.unwrap_or_default().split(',').map(|directive| directive.trim().split_once('='));
    let max_age = directives.flatten().find(|(name, _)| name.eq_ignore_ascii_case("max-age"));
    let seconds = max_age.and_then(|(_, value)| value.trim_matches('"').parse().ok()).unwrap_or(0_u64);
    let age = age.and_then(|age| age.trim().parse().ok()).unwrap_or(0_u64);
    seconds.saturating_sub(age).clamp(MIN_LIFETIME, MAX_LIFETIME)
}

impl Held {
    /// Keys that need not be asked for again.
    #[must_use]
    pub fn fresh(&self, now: u64) -> Option<&Jwks> {
        let set = self.set.as_ref()?;
        // From the future: the clock was set back.
        (set.fetched_at..set.fresh_until).contains(&now).then_some(&set.jwks)
    }

    /// Keys that may be used if no others can be had.
    #[must_use]
    pub fn usable(&self, now: u64) -> Option<&Jwks> {
        let set = self.set.as_ref()?;
        (now < set.fresh_until.saturating_add(STALE_SECONDS)).then_some(&set.jwks)
    }

    /// Whether the server may be asked: that is once a minute, whether it answers or not.
    #[must_use]
    pub fn may_ask(&self, now: u64) -> bool {
        self.attempted_at.is_none_or(|at| now.abs_diff(at) >= ASKED_EVERY)
    }

    /// What was wrong when it was last asked.
    #[must_use]
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// Whether the keys are not those of `before`.
    #[must_use]
    pub fn differs_from(&self, before: &Self) -> bool {
        match (&self.set, &before.set) {
            (Some(now), Some(before)) => !Arc::ptr_eq(now, before),
            (now, before) => now.is_some() != before.is_some(),
        }
    }

    /// What is remembered after the server was asked. A failure takes nothing away.
    #[must_use]
    pub fn after(&self, outcome: Result<Fetched, String>, now: u64) -> Self {
        match outcome {
            Ok(Fetched { jwks, lifetime }) => {
                let set = Set { jwks, fetched_at: now, fresh_until: now.saturating_add(lifetime) };
                Self { set: Some(Arc::new(set)), attempted_at: Some(now), fault: None }
            }
            Err(fault) => Self { set: self.set.clone(), attempted_at: Some(now), fault: Some(fault) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn fetched() -> Fetched {
        Fetched { jwks: Jwks::of(&[]).unwrap(), lifetime: 300 }
    }

    fn fault() -> String {
        "no answer in time".to_owned()
    }

    #[test]
    fn an_answer_is_good_for_its_max_age_within_bounds() {
        for (header, seconds) in [
            (None, 300),
            (Some(""), 300),
            (Some("no-store"), 300),
            (Some("max-age=0"), 300),
            (Some("max-age=299"), 300),
            (Some("max-age=301"), 301),
            (Some("public, max-age=3600, must-revalidate"), 3600),
            (Some("Public,MAX-AGE=\"3600\""), 3600),
            (Some("s-maxage=7200, max-age=3600"), 3600),
            (Some("s-maxage=7200"), 300),
            (Some("max-age=86400"), 86_400),
            (Some("max-age=86401"), 86_400),
            (Some("max-age=18446744073709551615"), 86_400),
            (Some("max-age=18446744073709551616"), 300),
            (Some("max-age=-1"), 300),
            (Some("max-age=x"), 300),
            (Some("max-age"), 300),
        ] {
            assert_eq!(lifetime(header, None), seconds, "{header:?}");
        }
        for (age, seconds) in [("600", 3000), ("0", 3600), ("3600", 300), ("18446744073709551615", 300), ("x", 3600)] {
            assert_eq!(lifetime(Some("max-age=3600"), Some(age)), seconds, "{age}");
        }
    }

    #[test]
    fn keys_are_fresh_for_their_lifetime_and_usable_for_a_day_more() {
        let held = Held::default().after(Ok(fetched()), NOW);
        for (now, fresh, usable) in [
            (NOW - 1, false, true),
            (NOW, true, true),
            (NOW + 299, true, true),
            (NOW + 300, false, true),
            (NOW + 300 + 86_399, false, true),
            (NOW + 300 + 86_400, false, false),
        ] {
            assert_eq!((held.fresh(now).is_some(), held.usable(now).is_some()), (fresh, usable), "{now}");
        }
        let nothing = Held::default();
        assert!(nothing.fresh(NOW).is_none() && nothing.usable(NOW).is_none());
    }

    #[test]
    fn the_server_is_asked_once_a_minute_whether_it_answers_or_not() {
        assert!(Held::default().may_ask(NOW));
        for outcome in [Ok(fetched()), Err(fault())] {
            let held = Held::default().after(outcome, NOW);
            for (now, may) in [(NOW, false), (NOW + 59, false), (NOW + 60, true), (NOW - 59, false), (NOW - 60, true)] {
                assert_eq!(held.may_ask(now), may, "{now}");
            }
        }
    }

    #[test]
    fn a_failure_takes_no_keys_away() {
        let before = Held::default().after(Ok(fetched()), NOW);
        let after = before.after(Err(fault()), NOW + 400);
        assert!(after.usable(NOW + 400).is_some() && after.fresh(NOW + 400).is_none());
        assert_eq!(after.fault(), Some("no answer in time"));
        assert!(!after.may_ask(NOW + 459) && after.may_ask(NOW + 460));
        assert!(!after.differs_from(&before));
        let renewed = after.after(Ok(fetched()), NOW + 460);
        assert!(renewed.differs_from(&before) && renewed.fresh(NOW + 460).is_some() && renewed.fault().is_none());
        assert!(before.differs_from(&Held::default()));
    }
}
