//! Client authentication (RFC 6749 section 2.3): reading what a request presents, and proving it against a client.

use std::sync::Arc;

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use super::{
    assertion::{AssertionFault, CLIENT_AUTHENTICATION, UnverifiedAssertion},
    certificate::{self, Certificate},
    client::{Client, ClientId, ClientSecret},
    error::Reason,
    form,
    params::{Param, Params},
    secret::{Secret, verify_nothing},
    state::Write,
    vocabulary::{ClientAuthMethod, JWT_BEARER_ASSERTION, Server},
};

/// Which methods a route takes, and how it reads Basic.
#[derive(Clone, Copy, Debug)]
pub struct AcceptedAuth {
    /// `Authorization: Basic`, if the route takes it.
    pub basic: Option<BasicEncoding>,
    /// Whether the route takes `client_id` and `client_secret` in the body.
    pub post: bool,
    /// Whether the route takes `client_assertion` (RFC 7523 section 2.2).
    pub private_key_jwt: bool,
    /// Whether the route takes a client certificate (RFC 8705 section 2).
    pub certificate: bool,
}

/// How the two halves of a Basic pair are encoded before base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BasicEncoding {
    /// Form-encoded (RFC 6749 section 2.3.1); the raw pair is tried too where the two differ, since many clients do not encode.
    Form,
    /// As they are: this dialect's clients never encode.
    Raw,
}

/// What a request presents, not yet proven.
#[derive(Debug)]
pub struct Credentials {
    /// The method that presented them.
    pub method: ClientAuthMethod,
    /// What was presented.
    pub presented: Presented,
}

/// What a method presents.
#[derive(Debug)]
pub enum Presented {
    /// An id and a secret. The pairs the request can mean: one, or two where form-decoding a Basic pair changes it.
    Secret(Vec<Candidate>),
    /// A signed assertion.
    Assertion(Box<UnverifiedAssertion>),
    /// An id, and the certificate of the connection (RFC 8705 section 2).
    Certificate {
        /// The client id as sent: not checked against any grammar.
        client_id: String,
        /// The certificate.
        certificate: Arc<Certificate>,
    },
}

/// One client id and secret that a request may mean.
#[derive(Debug)]
pub struct Candidate {
    /// The client id as sent: not checked against any grammar.
    pub client_id: String,
    /// The secret.
    pub secret: Secret,
}

/// A client that has authenticated.
#[derive(Clone, Debug)]
pub struct Proven {
    /// The client.
    pub client: Arc<Client>,
    /// Which of its credentials it used: the id of a secret, the `kid` of a key, or the thumbprint of a certificate.
    pub credential_id: String,
    /// What has to be stored before the proof counts, if it is good once only.
    pub writes: Vec<Write>,
    /// The first second at which that secret no longer works, if it expires.
    pub secret_expires_at: Option<u64>,
}

// RFC 6749 has no limit; this one keeps a hostile secret from buying hashing time.
const MAX_CREDENTIAL_BYTES: usize = 4096;

// RFC 7617 says padded; clients exist that leave it out, and without it the text is still unambiguous.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl Credentials {
    /// Reads the credentials of a request. `authorization` holds the values of all its `Authorization` headers, and
    /// `certificate` is its connection's: it counts where there is nothing else.
    ///
    /// # Errors
    /// A [`Reason`] for more than one method, for a method that the route does not take, for none, and for a malformed one.
    pub fn read<'a>(
        mut authorization: impl Iterator<Item = &'a [u8]>,
        params: &Params,
        certificate: Option<&certificate::Presented>,
        accepted: AcceptedAuth,
    ) -> Result<Self, Reason> {
        let header = authorization.next();
        if authorization.next().is_some() || header.is_some_and(holds_two_headers) {
            return Err(Reason::RepeatedAuthorization);
        }
        let secret = params.get(Param::ClientSecret);
        let assertion = params.get(Param::ClientAssertion).or(params.get(Param::ClientAssertionType));
        let methods = [header.is_some(), secret.is_some(), assertion.is_some()];
        if methods.into_iter().filter(|sent| *sent).count() > 1 {
            return Err(Reason::TwoAuthMethods);
        }
        let credentials = match (header, secret, assertion) {
            (Some(header), _, _) => Self::from_basic(header, params.get(Param::ClientId), accepted.basic)?,
            (None, Some(secret), _) => Self::from_body(params, secret, accepted)?,
            (None, None, Some(_)) => Self::from_assertion(params, accepted)?,
            (None, None, None) => Self::from_certificate(params, certificate, accepted)?,
        };
        if credentials.presented.is_too_long() { Err(Reason::CredentialTooLong) } else { Ok(credentials) }
    }

    fn from_basic(
        header: &[u8],
        body_client_id: Option<&str>,
        encoding: Option<BasicEncoding>,
    ) -> Result<Self, Reason> {
        let token = basic_token(header)?;
        let encoding = encoding.ok_or(Reason::AuthMethodNotTaken)?;
        let pair = BASE64.decode(token).map_err(|_| Reason::MalformedBasic)?;
        let pair = std::str::from_utf8(&pair).map_err(|_| Reason::MalformedBasic)?;
        let (id, secret) = pair.split_once(':').ok_or(Reason::MalformedBasic)?;
        if id.is_empty() || pair.chars().any(char::is_control) {
            return Err(Reason::MalformedBasic);
        }
        let mut candidates = Vec::with_capacity(2);
        if encoding == BasicEncoding::Form
            && let (Some(decoded_id), Some(decoded_secret)) = (form::decode(id), form::decode(secret))
            && (decoded_id != id || decoded_secret != secret)
        {
            candidates.push(Candidate::new(decoded_id, decoded_secret));
        }
        candidates.push(Candidate::new(id, secret));
        if let Some(body_client_id) = body_client_id {
            candidates.retain(|pair| pair.client_id == body_client_id);
            if candidates.is_empty() {
                return Err(Reason::ClientIdMismatch);
            }
        }
        Ok(Self { method: ClientAuthMethod::ClientSecretBasic, presented: Presented::Secret(candidates) })
    }

    fn from_body(params: &Params, secret: &str, accepted: AcceptedAuth) -> Result<Self, Reason> {
        if !accepted.post {
            return Err(Reason::AuthMethodNotTaken);
        }
        let id = params.get(Param::ClientId).ok_or(Reason::MissingClientId)?;
        let presented = Presented::Secret(vec![Candidate::new(id, secret)]);
        Ok(Self { method: ClientAuthMethod::ClientSecretPost, presented })
    }

    // RFC 7521 section 4.2: `client_id` is not needed, and if it is there it is the same.
    fn from_assertion(params: &Params, accepted: AcceptedAuth) -> Result<Self, Reason> {
        if !accepted.private_key_jwt {
            return Err(Reason::AuthMethodNotTaken);
        }
        let (kind, text) = (params.get(Param::ClientAssertionType), params.get(Param::ClientAssertion));
        let (Some(JWT_BEARER_ASSERTION), Some(text)) = (kind, text) else {
            return Err(Reason::ClientAssertion(AssertionFault::TypeNotTaken));
        };
        let assertion = UnverifiedAssertion::parse(text, &CLIENT_AUTHENTICATION)?;
        if params.get(Param::ClientId).is_some_and(|id| id != assertion.unverified_client_id()) {
            return Err(Reason::ClientIdMismatch);
        }
        Ok(Self { method: ClientAuthMethod::PrivateKeyJwt, presented: Presented::Assertion(Box::new(assertion)) })
    }

    // A connection may have a certificate and a request no client: that is no credential.
    fn from_certificate(
        params: &Params,
        certificate: Option<&certificate::Presented>,
        accepted: AcceptedAuth,
    ) -> Result<Self, Reason> {
        let certificate = certificate.filter(|_| accepted.certificate).ok_or(Reason::NoCredentials)?;
        let client_id = params.get(Param::ClientId).ok_or(Reason::NoCredentials)?.to_owned();
        let presented = Presented::Certificate { client_id, certificate: certificate.clone()? };
        Ok(Self { method: ClientAuthMethod::TlsClientAuth, presented })
    }

    /// The ids of the clients these credentials can be of; those that no client can have are left out.
    pub fn client_ids(&self) -> impl Iterator<Item = ClientId> {
        let mut previous = None;
        self.presented.client_ids().filter_map(move |id| {
            let id = ClientId::parse(id).ok()?;
            let repeated = previous.as_ref() == Some(&id);
            previous = Some(id.clone());
            (!repeated).then_some(id)
        })
    }

    /// Proves the credentials against the clients that were found for them.
    ///
    /// Says nothing about a client before its credentials are proven. `now` is in seconds since the epoch.
    ///
    /// # Errors
    /// [`Reason::UnknownClient`], [`Reason::SecretMismatch`], [`Reason::SecretExpired`], [`Reason::ClientAssertion`],
    /// [`Reason::CertificateMismatch`], [`Reason::CertificateNotValid`], and after the credentials were proven
    /// [`Reason::ClientDisabled`] and [`Reason::AuthMethodNotRegistered`].
    pub fn prove(&self, clients: &[Arc<Client>], server: &Server<'_>, now: u64) -> Result<Proven, Reason> {
        match &self.presented {
            Presented::Secret(candidates) => self.prove_secret(candidates, clients, now),
            Presented::Assertion(assertion) => {
                let verified = assertion.verify(clients, server, now)?;
                self.admit(&verified.client, verified.kid, verified.write.into_iter().collect())
            }
            Presented::Certificate { client_id, certificate } => {
                let client = clients.iter().find(|client| client.client_id.as_str() == client_id);
                let client = client.ok_or(Reason::UnknownClient)?;
                certificate.authenticates(client, now)?;
                self.admit(client, certificate.thumbprint(), Vec::new())
            }
        }
    }

    fn prove_secret(&self, candidates: &[Candidate], clients: &[Arc<Client>], now: u64) -> Result<Proven, Reason> {
        let mut reason = Reason::UnknownClient;
        for pair in candidates {
            let Some(client) = clients.iter().find(|client| client.client_id.as_str() == pair.client_id) else {
                verify_nothing(&pair.secret);
                continue;
            };
            match matching_secret(client, &pair.secret, now) {
                Ok(secret) => {
                    let proven = self.admit(client, secret.id.clone(), Vec::new())?;
                    return Ok(Proven { secret_expires_at: secret.expires_at, ..proven });
                }
                Err(mismatch) => reason = mismatch,
            }
        }
        Err(reason)
    }

    fn admit(&self, client: &Arc<Client>, credential_id: String, writes: Vec<Write>) -> Result<Proven, Reason> {
        if client.disabled {
            return Err(Reason::ClientDisabled);
        }
        // Which of the two methods a certificate is of only the registration says; it has been held against that already.
        let by_certificate = matches!(self.presented, Presented::Certificate { .. });
        if !by_certificate && client.token_endpoint_auth_method.is_some_and(|method| method != self.method) {
            return Err(Reason::AuthMethodNotRegistered);
        }
        Ok(Proven { client: Arc::clone(client), credential_id, writes, secret_expires_at: None })
    }
}

impl Presented {
    /// The client ids as they were sent, most likely one first.
    pub fn client_ids(&self) -> impl Iterator<Item = &str> {
        let (pairs, other): (&[Candidate], _) = match self {
            Self::Secret(candidates) => (candidates, None),
            Self::Assertion(assertion) => (&[], Some(assertion.unverified_client_id())),
            Self::Certificate { client_id, .. } => (&[], Some(client_id.as_str())),
        };
        pairs.iter().map(|pair| pair.client_id.as_str()).chain(other)
    }

    fn is_too_long(&self) -> bool {
        let too_long = |text: &str| text.len() > MAX_CREDENTIAL_BYTES;
        match self {
            Self::Secret(candidates) => {
                candidates.iter().any(|pair| too_long(&pair.client_id) || too_long(pair.secret.expose()))
            }
            // Its reader has a bound of its own.
            Self::Assertion(_) => false,
            Self::Certificate { client_id, .. } => too_long(client_id),
        }
    }
}

impl Candidate {
    fn new(client_id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self { client_id: client_id.into(), secret: Secret::new(secret) }
    }
}

// API Gateway's HTTP API joins repeated headers with a comma. A comma is in no base64 text, and what follows it is another
// scheme and its value.
fn holds_two_headers(header: &[u8]) -> bool {
    header.split(|byte| *byte == b',').skip(1).any(|part| {
        let mut words = part.trim_ascii().split(|byte| *byte == b' ');
        // A parameter of another scheme, such as Digest, has an equals sign where a scheme has none.
        words.next().is_some_and(|scheme| !scheme.contains(&b'=')) && words.next().is_some()
    })
}

fn basic_token(header: &[u8]) -> Result<&[u8], Reason> {
    let (scheme, rest) = scheme_and_rest(header);
    if scheme.eq_ignore_ascii_case(b"basic") { Ok(rest) } else { Err(Reason::UnsupportedScheme) }
}

/// The token of an `Authorization: Bearer` header (RFC 6750 section 2.1); `None` if the header has another scheme, or anything
/// that is in no token.
#[must_use]
pub fn bearer_token(header: &[u8]) -> Option<&str> {
    let (scheme, rest) = scheme_and_rest(header);
    std::str::from_utf8(rest).ok().filter(|_| scheme.eq_ignore_ascii_case(b"bearer"))
}

fn scheme_and_rest(header: &[u8]) -> (&[u8], &[u8]) {
    let header = header.trim_ascii();
    let (scheme, rest) = header.split_at(header.iter().position(|byte| *byte == b' ').unwrap_or(header.len()));
    (scheme, rest.trim_ascii_start())
}

// Every secret of a fast scheme is tried, so that the time does not tell which one matched; a slow one only if none has.
fn matching_secret<'a>(client: &'a Client, presented: &Secret, now: u64) -> Result<&'a ClientSecret, Reason> {
    let (slow, fast): (Vec<_>, Vec<_>) = client.client_secrets.iter().partition(|secret| secret.hash.is_slow());
    let mut outcome = Err(Reason::SecretMismatch);
    for secret in fast.into_iter().chain(slow) {
        if outcome.is_ok() && secret.hash.is_slow() {
            break;
        }
        if secret.hash.verify(presented) {
            match secret.expires_at {
                Some(expires_at) if expires_at <= now => outcome = outcome.or(Err(Reason::SecretExpired)),
                _ => outcome = Ok(secret),
            }
        }
    }
    outcome
}
