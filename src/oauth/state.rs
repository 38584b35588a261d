//! What is kept for a while: the rows of the state table, and the writes to it, each with its condition.

use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{client::ClientId, error::Reason};

/// One row of the state table, by what it stands for. Whether it exists is a fact; what it means is its rule's business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateRow {
    /// A `jti` that an assertion of the client has used (RFC 7523 section 3).
    AssertionJti {
        /// The client, for two clients may use the same `jti`.
        client_id: ClientId,
        /// The `jti` as it was sent.
        jti: String,
    },
    /// A `jti` that a `DPoP` proof of the key has used (RFC 9449 section 11.1).
    DpopJti {
        /// The key's RFC 7638 thumbprint.
        jkt: String,
        /// The `jti` as it was sent.
        jti: String,
    },
    /// An access token that was revoked (RFC 7009).
    RevokedToken {
        /// The client it was issued to, so that none can revoke what it says is its own and is another's.
        client_id: ClientId,
        /// Its `jti`.
        jti: String,
    },
    /// All access tokens of a client that were issued until the row was written.
    RevokedClient {
        /// The client.
        client_id: ClientId,
    },
}

impl StateRow {
    /// The row's key: the same for the same row and no other, under `DynamoDB`'s 2048 bytes whatever was sent. What a caller
    /// chooses without bounds is in it as its SHA-256.
    #[must_use]
    pub fn pk(&self) -> String {
        let mut pk = String::with_capacity(128);
        // Writing to a string does not fail. The hash comes last and has no `#`, so that no two rows share a key.
        let written = match self {
            Self::AssertionJti { client_id, jti } => write!(pk, "assertion-jti#{client_id}#{}", hash(jti)),
            Self::DpopJti { jkt, jti } => write!(pk, "dpop-jti#{}#{}", hash(jkt), hash(jti)),
            Self::RevokedToken { client_id, jti } => write!(pk, "revoked#{client_id}#{}", hash(jti)),
            Self::RevokedClient { client_id } => write!(pk, "revoked-client#{client_id}"),
        };
        debug_assert!(written.is_ok(), "a string takes all that is written to it");
        pk
    }
}

/// What was found in a row that has not expired. Times are seconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The first second at which the row counts as gone.
    pub expires_at: u64,
    /// The time that was stored with it.
    pub at: u64,
}

/// A change to the state table, with its condition. Times are seconds since the epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Stores a row on the condition that it is not there or has expired: of two that try, one wins.
    UseOnce {
        /// The row.
        row: StateRow,
        /// The first second at which it can be stored again.
        expires_at: u64,
        /// Why the request is refused if the row was there.
        lost: Reason,
    },
    /// Stores a row, whatever was there.
    Put {
        /// The row.
        row: StateRow,
        /// The first second at which it counts as gone.
        expires_at: u64,
        /// The time that is stored with it.
        at: u64,
    },
}

impl Write {
    /// The row that it stores.
    #[must_use]
    pub fn row(&self) -> &StateRow {
        match self {
            Self::UseOnce { row, .. } | Self::Put { row, .. } => row,
        }
    }

    /// Why the request is refused if the write's condition does not hold. `None`: it has no condition.
    #[must_use]
    pub fn lost(&self) -> Option<Reason> {
        match self {
            Self::UseOnce { lost, .. } => Some(*lost),
            Self::Put { .. } => None,
        }
    }
}

fn hash(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_its_row_alone_and_fits() {
        let client = |text: &str| ClientId::parse(text).unwrap();
        let long = "x".repeat(20_000);
        let rows = [
            StateRow::AssertionJti { client_id: client("a"), jti: "b#c".to_owned() },
            StateRow::AssertionJti { client_id: client("a#b"), jti: "c".to_owned() },
            StateRow::AssertionJti { client_id: client(&"x".repeat(255)), jti: long.clone() },
            StateRow::DpopJti { jkt: "a".to_owned(), jti: "b#c".to_owned() },
            StateRow::DpopJti { jkt: "a#b".to_owned(), jti: "c".to_owned() },
            StateRow::RevokedToken { client_id: client("a"), jti: long },
            StateRow::RevokedToken { client_id: client("a"), jti: "a".to_owned() },
            StateRow::RevokedToken { client_id: client("b"), jti: "a".to_owned() },
            StateRow::RevokedClient { client_id: client("a") },
        ];
        for (index, row) in rows.iter().enumerate() {
            assert!(row.pk().len() < 2048);
            assert_eq!(rows.iter().position(|other| other.pk() == row.pk()), Some(index), "{row:?}");
        }
        assert_eq!(rows[0].pk(), "assertion-jti#a#MsUTweAxMxMWVRpfLpXuOv_--OHenHyw9dd9g9HtO7w");
    }
}
