//! What can be wrong with an assertion, for the log and for who sent it.

use crate::oauth::jws::JwtFault;

macro_rules! faults {
    ($($(#[$doc:meta])* $fault:ident => $name:literal, $text:expr;)*) => {
        /// Exactly what is wrong with an assertion.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum AssertionFault { $($(#[$doc])* $fault,)* }

        impl AssertionFault {
            /// Every fault.
            pub const ALL: &[Self] = &[$(Self::$fault,)*];

            /// Its name in the log.
            #[must_use]
            pub fn name(self) -> &'static str { match self { $(Self::$fault => $name,)* } }

            /// What may be shown of it where the assertion is the grant.
            #[must_use]
            pub fn description(self) -> &'static str { match self { $(Self::$fault => $text,)* } }
        }
    };
}

// One text for all that depends on who exists and has which key. What the text itself shows, and what is looked at once the
// signature is proven, may be said.
const NOT_ACCEPTED: &str = "The assertion is not accepted";

faults! {
    /// `client_assertion` and `client_assertion_type` are not both there, or the type is not RFC 7523's.
    TypeNotTaken => "assertion_type_not_taken", "The assertion type is not supported";
    /// Over 4 KiB.
    TooLong => "assertion_too_long", "The assertion is over 4 KiB";
    /// Not a JWT in the compact serialization, or one that readers can understand differently.
    Malformed => "assertion_malformed", "The assertion is not a well-formed JWT";
    /// Encrypted (RFC 7516).
    Encrypted => "assertion_encrypted", "The assertion is encrypted";
    /// A header member that brings a key, or has to be understood and is not.
    HeaderNotTaken => "assertion_header_not_taken", "The assertion has a header member that is not supported";
    /// `alg` is missing, `none`, symmetric, or not one that the route takes.
    AlgNotTaken => "assertion_alg_not_taken", "The assertion has an alg that is not supported";
    /// A `typ` of something else.
    TypNotTaken => "assertion_typ_not_taken", "The assertion has the typ of something else";
    /// A claim is missing or of the wrong type.
    MalformedClaims => "assertion_claims_malformed", "The assertion lacks a claim or has one of the wrong type";
    /// No client has the id that it names.
    UnknownClient => "assertion_unknown_client", NOT_ACCEPTED;
    /// The client has no such key.
    UnknownKey => "assertion_unknown_key", NOT_ACCEPTED;
    /// No key of the client that it may be signed with has signed it.
    SignatureMismatch => "assertion_signature_mismatch", NOT_ACCEPTED;
    /// The client's `assertion_profile` is not the one of the route.
    AnotherProfile => "assertion_of_another_profile", NOT_ACCEPTED;
    /// The client is disabled.
    ClientDisabled => "assertion_client_disabled", NOT_ACCEPTED;
    /// `iss` and `sub` are not the client.
    WrongSubject => "assertion_wrong_subject", "The assertion has an iss or sub that is not its client";
    /// `aud` is not the issuer, or not the issuer alone.
    WrongAudience => "assertion_wrong_audience", "The assertion has an aud that is not this issuer alone";
    /// `exp` is past.
    Expired => "assertion_expired", "The assertion has expired";
    /// `iat` or `nbf` is to come.
    NotYetValid => "assertion_not_yet_valid", "The assertion is not valid yet";
    /// `exp` is too far ahead.
    LongLived => "assertion_long_lived", "The assertion has an exp that is too far ahead";
    /// The request authenticates another client than the one that signed it.
    AnotherClient => "assertion_of_another_client", "The assertion is of another client";
    /// Its `jti` was used before.
    Replayed => "assertion_replayed", "The assertion was used before";
}

impl From<JwtFault> for AssertionFault {
    fn from(fault: JwtFault) -> Self {
        match fault {
            JwtFault::Malformed => Self::Malformed,
            JwtFault::Encrypted => Self::Encrypted,
            JwtFault::HeaderNotTaken => Self::HeaderNotTaken,
            JwtFault::AlgNotTaken => Self::AlgNotTaken,
        }
    }
}
