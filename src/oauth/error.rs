//! Why a request is refused: precisely for the log ([`Reason`]), and no more than is safe for the wire ([`ErrorCode`]).

use super::assertion::AssertionFault;

/// What the caller learns: the outcomes that at least one dialect tells apart.
///
/// A dialect maps each to its own status and body, in one `match` without a wildcard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// RFC 6749 section 5.2 `invalid_request`.
    InvalidRequest,
    /// The request's method is not the one the route takes.
    MethodNotAllowed,
    /// The request's body is over the cap.
    ContentTooLarge,
    /// No such route, or one that is switched off.
    NotFound,
    /// RFC 6749 section 5.2 `unsupported_grant_type`.
    UnsupportedGrantType,
    /// RFC 6749 section 5.2 `invalid_client`.
    InvalidClient,
    /// `invalid_client`, because there is no such client.
    UnknownClient,
    /// `invalid_client`, because the client is disabled (its secret was right).
    DisabledClient,
    /// RFC 6749 section 5.2 `unauthorized_client`.
    UnauthorizedClient,
    /// RFC 6749 section 5.2 `invalid_scope`: outside the grammar.
    MalformedScope,
    /// RFC 6749 section 5.2 `invalid_scope`: well-formed, but not granted to the client.
    ScopeNotGranted,
    /// RFC 8707 section 2 `invalid_target`.
    InvalidTarget,
    /// RFC 9396 section 5 `invalid_authorization_details`.
    InvalidAuthorizationDetails,
    /// RFC 6749 section 5.2 `invalid_grant`.
    InvalidGrant,
    /// `invalid_grant`, because there is no such user.
    UnknownUser,
    /// A client that holds a long-lived token asked for a short one (eventhos).
    LongLivedClient,
    /// RFC 9449 section 5 `invalid_dpop_proof`.
    InvalidDpopProof,
    /// RFC 9449 section 8 `use_dpop_nonce`.
    UseDpopNonce,
    /// Too many failures, or the quota is spent.
    TooManyRequests,
    /// A backend is out; worth another try.
    Unavailable,
    /// Anything else.
    ServerError,
}

impl Reason {
    /// Whether a registration that was read a while ago, and has changed since, could be why.
    #[must_use]
    pub fn may_be_outdated(self) -> bool {
        use AssertionFault::{SignatureMismatch, UnknownKey};
        matches!(
            self,
            Self::SecretMismatch
                | Self::CertificateMismatch
                | Self::ClientAssertion(UnknownKey | SignatureMismatch)
                | Self::AssertionGrant(UnknownKey | SignatureMismatch)
        )
    }
}

impl ErrorCode {
    /// Every outcome, for tests and documentation that walk through all of them.
    pub const ALL: [Self; 21] = [
        Self::InvalidRequest,
        Self::MethodNotAllowed,
        Self::ContentTooLarge,
        Self::NotFound,
        Self::UnsupportedGrantType,
        Self::InvalidClient,
        Self::UnknownClient,
        Self::DisabledClient,
        Self::UnauthorizedClient,
        Self::MalformedScope,
        Self::ScopeNotGranted,
        Self::InvalidTarget,
        Self::InvalidAuthorizationDetails,
        Self::InvalidGrant,
        Self::UnknownUser,
        Self::LongLivedClient,
        Self::InvalidDpopProof,
        Self::UseDpopNonce,
        Self::TooManyRequests,
        Self::Unavailable,
        Self::ServerError,
    ];

    /// Whole seconds after which another try makes sense (RFC 9110 section 10.2.3), for those outcomes that pass by themselves.
    #[must_use]
    pub fn retry_after(self) -> Option<u32> {
        match self {
            Self::TooManyRequests => Some(60),
            Self::Unavailable => Some(2),
            Self::InvalidRequest
            | Self::MethodNotAllowed
            | Self::ContentTooLarge
            | Self::NotFound
            | Self::UnsupportedGrantType
            | Self::InvalidClient
            | Self::UnknownClient
            | Self::DisabledClient
            | Self::UnauthorizedClient
            | Self::MalformedScope
            | Self::ScopeNotGranted
            | Self::InvalidTarget
            | Self::InvalidAuthorizationDetails
            | Self::InvalidGrant
            | Self::UnknownUser
            | Self::LongLivedClient
            | Self::InvalidDpopProof
            | Self::UseDpopNonce
            | Self::ServerError => None,
        }
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $reason:ident => $code:ident, $name:literal, $text:expr;)*) => {
        /// Exactly why a request was refused. Each has a name for the log, a code for the wire, and a text that is safe to show:
        /// it says nothing that the caller has not sent or already proven, and repeats no input.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Reason {
            $($(#[$doc])* $reason,)*
            /// What the client presents to authenticate is an assertion, and it is not good.
            ClientAssertion(AssertionFault),
            /// The grant is an assertion, and it is not good.
            AssertionGrant(AssertionFault),
        }

        impl Reason {
            /// Every reason.
            pub fn all() -> impl Iterator<Item = Self> {
                let assertions = AssertionFault::ALL.iter();
                let both = assertions.flat_map(|fault| [Self::ClientAssertion(*fault), Self::AssertionGrant(*fault)]);
                [$(Self::$reason,)*].into_iter().chain(both)
            }

            /// What the caller learns of it.
            #[must_use]
            pub fn code(self) -> ErrorCode {
                match self {
                    $(Self::$reason => ErrorCode::$code,)*
                    Self::ClientAssertion(_) => ErrorCode::InvalidClient,
                    Self::AssertionGrant(_) => ErrorCode::InvalidGrant,
                }
            }

            /// Its name in the log.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$reason => $name,)*
                    Self::ClientAssertion(fault) | Self::AssertionGrant(fault) => fault.name(),
                }
            }

            /// The text that a dialect may show, of the characters that RFC 6749 section 5.2 allows.
            #[must_use]
            pub fn description(self) -> &'static str {
                match self {
                    $(Self::$reason => $text,)*
                    Self::ClientAssertion(_) => CLIENT_AUTHENTICATION_FAILED,
                    Self::AssertionGrant(fault) => fault.description(),
                }
            }
        }
    };
}

// One text for all of them, so that a caller who has not proven a secret cannot learn which client ids exist.
const CLIENT_AUTHENTICATION_FAILED: &str = "Client authentication failed";

reasons! {
    /// The path is none of ours, or its dialect is off.
    UnknownPath => NotFound, "unknown_path", "There is nothing at this path";
    /// A method other than those the route takes.
    WrongMethod => MethodNotAllowed, "wrong_method", "This path does not take this method";
    /// The body is over 16 KiB after base64 decoding.
    BodyTooLarge => ContentTooLarge, "body_too_large", "The request body is over 16 KiB";
    /// The event says its body is base64, and it is not.
    MalformedBase64Body => InvalidRequest, "malformed_base64_body", "The request body could not be decoded";
    /// The event is none that API Gateway sends.
    MalformedEvent => InvalidRequest, "malformed_event", "The request could not be read";
    /// The content type is one the dialect does not take.
    WrongContentType => InvalidRequest, "wrong_content_type", "The request body must be application/x-www-form-urlencoded";
    /// The same, where JSON is taken too.
    WrongContentTypeForJson => InvalidRequest, "wrong_content_type", "The request body must be application/x-www-form-urlencoded or application/json";
    /// A form with a broken escape, a NUL, or bytes that are not UTF-8.
    MalformedForm => InvalidRequest, "malformed_form", "The request body is not a well-formed form in UTF-8";
    /// Not one JSON object, or a known member that is not a string.
    MalformedJson => InvalidRequest, "malformed_json", "The request body is not one JSON object whose parameters are strings";
    /// A known parameter stands twice.
    RepeatedParameter => InvalidRequest, "repeated_parameter", "A parameter is sent more than once";
    /// A credential in the query string.
    CredentialInQuery => InvalidRequest, "credential_in_query", "Credentials must not be sent in the query string";
    /// More than one `Authorization` header.
    RepeatedAuthorization => InvalidRequest, "repeated_authorization", "More than one Authorization header";
    /// More than one client authentication method.
    TwoAuthMethods => InvalidRequest, "two_auth_methods", "More than one client authentication method";
    /// The body names another client than the one that authenticates.
    ClientIdMismatch => InvalidRequest, "client_id_mismatch", "client_id differs from the one that authenticates";
    /// A secret without a client id.
    MissingClientId => InvalidRequest, "missing_client_id", "client_id is missing";
    /// An assertion in the body and another in the `Authorization` header.
    RepeatedAssertion => InvalidRequest, "repeated_assertion", "More than one assertion";
    /// The grant is an assertion, and there is none.
    MissingAssertion => InvalidRequest, "missing_assertion", "assertion is missing";
    /// No `grant_type`.
    MissingGrantType => InvalidRequest, "missing_grant_type", "grant_type is missing";
    /// No `token` to introspect or to revoke.
    MissingToken => InvalidRequest, "missing_token", "token is missing";
    /// A grant this route does not serve.
    UnsupportedGrantType => UnsupportedGrantType, "unsupported_grant_type", "This grant_type is not supported";
    /// No client authentication at all.
    NoCredentials => InvalidClient, "no_credentials", CLIENT_AUTHENTICATION_FAILED;
    /// An `Authorization` header with another scheme than Basic.
    UnsupportedScheme => InvalidClient, "unsupported_scheme", CLIENT_AUTHENTICATION_FAILED;
    /// An `Authorization: Basic` that does not hold a pair.
    MalformedBasic => InvalidClient, "malformed_basic", CLIENT_AUTHENTICATION_FAILED;
    /// A client authentication method that the route does not take.
    AuthMethodNotTaken => InvalidClient, "auth_method_not_taken", CLIENT_AUTHENTICATION_FAILED;
    /// A client id or secret over 4 KiB.
    CredentialTooLong => InvalidClient, "credential_too_long", CLIENT_AUTHENTICATION_FAILED;
    /// No client has this id.
    UnknownClient => UnknownClient, "unknown_client", CLIENT_AUTHENTICATION_FAILED;
    /// None of the client's secrets matches.
    SecretMismatch => InvalidClient, "secret_mismatch", CLIENT_AUTHENTICATION_FAILED;
    /// The secret matches one that has expired.
    SecretExpired => InvalidClient, "secret_expired", CLIENT_AUTHENTICATION_FAILED;
    /// The client certificate cannot be read.
    MalformedCertificate => InvalidClient, "malformed_certificate", CLIENT_AUTHENTICATION_FAILED;
    /// The client is not registered with the certificate, or with none at all.
    CertificateMismatch => InvalidClient, "certificate_mismatch", CLIENT_AUTHENTICATION_FAILED;
    /// The client's certificate has expired or is not valid yet.
    CertificateNotValid => InvalidClient, "certificate_not_valid", CLIENT_AUTHENTICATION_FAILED;
    /// The client is disabled; its secret was right.
    ClientDisabled => DisabledClient, "client_disabled", CLIENT_AUTHENTICATION_FAILED;
    /// The client is registered for another authentication method; its secret was right.
    AuthMethodNotRegistered => InvalidClient, "auth_method_not_registered", CLIENT_AUTHENTICATION_FAILED;
    /// The client is not registered for this grant.
    GrantNotRegistered => UnauthorizedClient, "grant_not_registered", "The client may not use this grant_type";
    /// The client's tokens are bound to a certificate, and the request has none that can be read (RFC 8705 section 3).
    NoCertificateToBind => InvalidRequest, "no_certificate_to_bind", "The client's tokens are bound to a certificate, and the request came without one";
    /// A token to revoke that was issued to another client.
    TokenOfAnotherClient => UnauthorizedClient, "token_of_another_client", "The token was issued to another client";
    /// A scope outside RFC 6749's grammar.
    MalformedScope => MalformedScope, "malformed_scope", "The scope is malformed";
    /// A scope outside the client's registration.
    ScopeNotGranted => ScopeNotGranted, "scope_not_granted", "The scope exceeds what the client is registered for";
    /// A resource that is not an absolute URI without fragment.
    MalformedResource => InvalidTarget, "malformed_resource", "The resource is not an absolute URI without fragment";
    /// A resource or audience outside the client's registration.
    TargetNotAllowed => InvalidTarget, "target_not_allowed", "The client may not ask for this resource";
    /// The claims hook denies the token.
    DeniedByHook => UnauthorizedClient, "denied_by_hook", "The client may not have this token";
    /// `authorization_details` that are not JSON of RFC 9396, or too large or deep.
    MalformedAuthorizationDetails => InvalidAuthorizationDetails, "malformed_authorization_details", "authorization_details is not an array of objects with a type, or too large";
    /// `authorization_details` of a type that the client is not registered for, or beyond those of the token it exchanges.
    AuthorizationDetailsNotGranted => InvalidAuthorizationDetails, "authorization_details_not_granted", "The client may not ask for these authorization_details";
    /// No `subject_token` to exchange.
    MissingSubjectToken => InvalidRequest, "missing_subject_token", "subject_token is missing";
    /// A token without its type, or a type without its token (RFC 8693 section 2.1).
    TokenWithoutType => InvalidRequest, "token_without_type", "A token and its type come together";
    /// A token type other than those of our own access tokens.
    TokenTypeNotTaken => InvalidRequest, "token_type_not_taken", "This token type is not supported";
    /// A subject token that is no access token of ours, or no longer good.
    SubjectTokenNotGood => InvalidRequest, "subject_token_not_good", "The subject_token is not an active access token of this server";
    /// A subject token of a client whose tokens the client may not exchange.
    SubjectTokenNotAllowed => InvalidRequest, "subject_token_not_allowed", "The client may not exchange the tokens of this client";
    /// A subject token that is bound to a key.
    SubjectTokenBound => InvalidRequest, "subject_token_bound", "A token that is bound to a key is not exchanged";
    /// An actor token that is no access token of ours, or no longer good.
    ActorTokenNotGood => InvalidRequest, "actor_token_not_good", "The actor_token is not an active access token of this server";
    /// An actor token of another client, or one that was itself obtained by exchange.
    ActorTokenNotAllowed => InvalidRequest, "actor_token_not_allowed", "The actor_token is not the client's own, or was obtained by exchange";
    /// It came of more exchanges, one after another, than a token may tell of.
    TooManyExchanges => InvalidRequest, "too_many_exchanges", "The subject_token has been exchanged too often";
    /// The client is to use its long-lived token (eventhos).
    LongLivedClient => LongLivedClient, "long_lived_client", "The client is to use its long-lived token";
    /// The client's tokens are to be bound to a key, and there is no `DPoP` header, or the dialect reads none.
    MissingDpopProof => InvalidDpopProof, "missing_dpop_proof", "The client has to send a DPoP proof";
    /// More than one `DPoP` header.
    RepeatedDpopProof => InvalidDpopProof, "repeated_dpop_proof", "More than one DPoP header";
    /// The `DPoP` header holds no JWS of the form that RFC 9449 section 4.2 wants.
    MalformedDpopProof => InvalidDpopProof, "malformed_dpop_proof", "The DPoP proof is not a JWT of type dpop+jwt with the claims it needs";
    /// The proof's `alg` is none of those in the metadata.
    UnsupportedDpopAlg => InvalidDpopProof, "unsupported_dpop_alg", "The DPoP proof's alg is not supported";
    /// The proof's `jwk` is no public key, too small a one, or none of its `alg`.
    UnusableDpopKey => InvalidDpopProof, "unusable_dpop_key", "The DPoP proof's jwk is not a public key for its alg";
    /// The proof's signature does not hold for the key in it.
    DpopSignatureMismatch => InvalidDpopProof, "dpop_signature_mismatch", "The DPoP proof's signature does not match its jwk";
    /// The proof was made for another method.
    DpopMethodMismatch => InvalidDpopProof, "dpop_method_mismatch", "The DPoP proof's htm is not POST";
    /// The proof was made for another URL.
    DpopUrlMismatch => InvalidDpopProof, "dpop_url_mismatch", "The DPoP proof's htu is not the URL of this endpoint";
    /// The proof was made too long ago, or in the future.
    StaleDpopProof => InvalidDpopProof, "stale_dpop_proof", "The DPoP proof's iat is too far from now";
    /// The proof was used before.
    ReplayedDpopProof => InvalidDpopProof, "replayed_dpop_proof", "The DPoP proof has been used before";
    /// The proof has no nonce, or one that is not good any more.
    UseDpopNonce => UseDpopNonce, "use_dpop_nonce", "The DPoP proof needs the nonce that the DPoP-Nonce header of this answer holds";
    /// DynamoDB did not answer in time, or refused for now.
    StoreUnavailable => Unavailable, "store_unavailable", "The service is temporarily unavailable";
    /// The client publishes its keys at a `jwks_uri`, and they cannot be had from there.
    ClientKeysUnavailable => Unavailable, "client_keys_unavailable", "The service is temporarily unavailable";
    /// There is no key to sign with, and none could be fetched.
    KeysUnavailable => Unavailable, "keys_unavailable", "The service is temporarily unavailable";
    /// The claims hook did not answer in time, or not as it may.
    HookFailed => Unavailable, "hook_failed", "The service is temporarily unavailable";
    /// No active key signs with the algorithm that the client is registered for.
    NoKeyForAlg => Unavailable, "no_key_for_alg", "The service is temporarily unavailable";
    /// The client's item cannot be read.
    MalformedClientItem => ServerError, "malformed_client_item", "The server met an unexpected condition";
    /// Neither `ISSUER` nor the event says who the issuer is.
    UnknownIssuer => ServerError, "unknown_issuer", "The server met an unexpected condition";
    /// The key refused to sign.
    SigningFailed => ServerError, "signing_failed", "The server met an unexpected condition";
    /// The operating system gave no randomness.
    NoRandomness => ServerError, "no_randomness", "The server met an unexpected condition";
    /// A defect of ours.
    Panicked => ServerError, "panicked", "The server met an unexpected condition";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_description_keeps_to_rfc_6749_section_5_2() {
        for reason in Reason::all() {
            assert!(
                reason.description().bytes().all(|b| matches!(b, 0x20 | 0x21 | 0x23..=0x5B | 0x5D..=0x7E)),
                "{reason:?}"
            );
        }
    }

    #[test]
    fn what_precedes_a_proven_secret_has_one_text() {
        for reason in Reason::all() {
            if matches!(reason.code(), ErrorCode::InvalidClient | ErrorCode::UnknownClient | ErrorCode::DisabledClient)
            {
                assert_eq!(reason.description(), CLIENT_AUTHENTICATION_FAILED, "{reason:?}");
            }
        }
    }
}
