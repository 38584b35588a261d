//! What a client or a key that there is not costs: as much as one that there is.

use std::{hint::black_box, sync::OnceLock};

use serde_json::json;

use super::VerifyingKey;
use crate::oauth::{jws::UnverifiedJwt, jwt::Alg};

/// Spends what verifying a signature costs, for a client or a key that does not exist.
pub fn verify_nothing(jwt: &UnverifiedJwt) {
    static KEYS: OnceLock<Vec<VerifyingKey>> = OnceLock::new();
    let keys = KEYS.get_or_init(|| Alg::ASYMMETRIC.into_iter().filter_map(key).collect());
    if let Some(key) = keys.iter().find(|key| key.alg() == jwt.unverified_alg()) {
        black_box(jwt.verify(key));
    }
}

// The examples of RFC 7515 appendix A.2, RFC 7517 appendix A.1 and RFC 8037 appendix A.2; of P-384 the curve's own base point.
fn key(alg: Alg) -> Option<VerifyingKey> {
    let jwk = match alg {
        Alg::RS256 | Alg::PS256 => json!({
            "kty": "RSA",
            "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMs\
                D1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdV\
                MTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
            "e": "AQAB"
        }),
        Alg::ES256 => json!({
            "kty": "EC", "crv": "P-256", "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"
        }),
        Alg::ES384 => json!({
            "kty": "EC", "crv": "P-384", "x": "qofKIr6LBTeOscce8yCtdG4dO2KLp5uYWfdB4IJUKjhVAvJdv1UpbDpUXjhydgq3",
            "y": "NhfeSpYmLG9dnpi_kpLcKfj0Hb0omhR86doxE7XwuMAKYLHOHX6BnXpDHXyQ6g5f"
        }),
        Alg::EdDSA => json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}),
        Alg::HS256 => return None,
    };
    VerifyingKey::from_jwk_for(jwk.as_object()?, alg).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_algorithm_has_a_key_to_spend_time_on() {
        assert!(Alg::ASYMMETRIC.into_iter().all(|alg| key(alg).is_some_and(|key| key.alg() == alg)));
    }
}
