//! Client authentication (RFC 6749 section 2.3): reading what a request presents, and proving it against a client.

use std::sync::Arc;

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use super::{
    certificate::Certificate,
    client::{Client, ClientId, ClientSecret},
    error::Reason,
    form,
    jwt::Confirmation,
    params::{Param, Params},
    secret::{Secret, verify_nothing},
    state::Write,
    vocabulary::ClientAuthMethod,
};

/// Which methods a route takes, and how it reads Basic.
#[derive(Clone, Copy, Debug)]
pub struct AcceptedAuth {
    /// `Authorization: Basic`, if the route takes it.
    pub basic: Option<BasicEncoding>,
    /// Whether the route takes `client_id` and `client_secret` in the body.
    pub post: bool,
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
    // The certificate of the connection, whether it authenticates or not, or why it cannot be read.
    certificate: Option<Result<Arc<Certificate>, Reason>>,
}

/// What a method presents.
#[derive(Debug)]
pub enum Presented {
    /// An id and a secret. The pairs the request can mean: one, or two where form-decoding a Basic pair changes it.
    Secret(Vec<Candidate>),
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
    /// Which of its credentials it used: the id of a secret, or the thumbprint of a certificate.
    pub credential_id: String,
    /// What has to be stored before the proof counts, if it is good once only.
    pub write: Option<Write>,
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
    /// `certificate` the PEM of its connection's client certificate.
    ///
    /// # Errors
    /// A [`Reason`] for more than one method, for a method that the route does not take, for none, and for a malformed one.
    pub fn read<'a>(
        mut authorization: impl Iterator<Item = &'a [u8]>,
        params: &Params,
        certificate: Option<&str>,
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
        let certificate = certificate.map(|pem| Certificate::from_pem(pem).map(Arc::new));
        let (method, presented) = match (header, secret) {
            (Some(header), _) => from_basic(header, params.get(Param::ClientId), accepted.basic)?,
            (None, Some(secret)) => from_body(params, secret, accepted)?,
            (None, None) if assertion.is_some() => return Err(Reason::AuthMethodNotTaken),
            (None, None) => from_certificate(params, certificate.clone(), accepted)?,
        };
        let credentials = Self { method, presented, certificate };
        if credentials.presented.is_too_long() { Err(Reason::CredentialTooLong) } else { Ok(credentials) }
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
    /// Says nothing about a client before its secret is proven. `now` is in seconds since the epoch.
    ///
    /// # Errors
    /// [`Reason::UnknownClient`], [`Reason::SecretMismatch`], [`Reason::SecretExpired`], [`Reason::CertificateMismatch`],
    /// [`Reason::CertificateNotValid`], and after the proof [`Reason::ClientDisabled`] and [`Reason::AuthMethodNotRegistered`].
    pub fn prove(&self, clients: &[Arc<Client>], now: u64) -> Result<Proven, Reason> {
        let candidates = match &self.presented {
            Presented::Secret(candidates) => candidates,
            Presented::Certificate { client_id, certificate } => {
                let client = clients.iter().find(|client| client.client_id.as_str() == client_id);
                let client = client.ok_or(Reason::UnknownClient)?;
                certificate.authenticates(client, now)?;
                return self.admit(client, certificate.thumbprint(), None);
            }
        };
        let mut reason = Reason::UnknownClient;
        for pair in candidates {
            let Some(client) = clients.iter().find(|client| client.client_id.as_str() == pair.client_id) else {
                verify_nothing(&pair.secret);
                continue;
            };
            match matching_secret(client, &pair.secret, now) {
                Ok(secret) => {
                    let proven = self.admit(client, secret.id.clone(), None)?;
                    return Ok(Proven { secret_expires_at: secret.expires_at, ..proven });
                }
                Err(mismatch) => reason = mismatch,
            }
        }
        Err(reason)
    }

    fn admit(&self, client: &Arc<Client>, credential_id: String, write: Option<Write>) -> Result<Proven, Reason> {
        if client.disabled {
            return Err(Reason::ClientDisabled);
        }
        // Which of the two methods a certificate is of only the registration says; it has been held against that already.
        let by_certificate = matches!(self.presented, Presented::Certificate { .. });
        if !by_certificate && client.token_endpoint_auth_method.is_some_and(|method| method != self.method) {
            return Err(Reason::AuthMethodNotRegistered);
        }
        Ok(Proven { client: Arc::clone(client), credential_id, write, secret_expires_at: None })
    }

    /// The certificate that a token of the client is bound to, if it is (RFC 8705 section 3): always where it authenticated the
    /// client, unless its registration says otherwise, and else where the registration asks for it.
    ///
    /// # Errors
    /// [`Reason::NoCertificateToBind`]: such a client gets no token that is good without the certificate.
    pub fn confirmation(&self, client: &Client) -> Result<Option<Confirmation>, Reason> {
        let by_certificate = matches!(self.presented, Presented::Certificate { .. });
        if !client.tls_client_certificate_bound_access_tokens.unwrap_or(by_certificate) {
            return Ok(None);
        }
        match &self.certificate {
            Some(Ok(certificate)) => {
                Ok(Some(Confirmation { x5t_s256: Some(certificate.thumbprint()), ..Confirmation::default() }))
            }
            Some(Err(_)) | None => Err(Reason::NoCertificateToBind),
        }
    }
}

impl Presented {
    /// The client ids as they were sent, most likely one first.
    pub fn client_ids(&self) -> impl Iterator<Item = &str> {
        let (candidates, client_id) = match self {
            Self::Secret(candidates) => (candidates.as_slice(), None),
            Self::Certificate { client_id, .. } => ([].as_slice(), Some(client_id.as_str())),
        };
        candidates.iter().map(|pair| pair.client_id.as_str()).chain(client_id)
    }

    fn is_too_long(&self) -> bool {
        let too_long = |text: &str| text.len() > MAX_CREDENTIAL_BYTES;
        match self {
            Self::Secret(candidates) => {
                candidates.iter().any(|pair| too_long(&pair.client_id) || too_long(pair.secret.expose()))
            }
            Self::Certificate { client_id, .. } => too_long(client_id),
        }
    }
}

impl Candidate {
    fn new(client_id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self { client_id: client_id.into(), secret: Secret::new(secret) }
    }
}

fn from_basic(
    header: &[u8],
    body_client_id: Option<&str>,
    encoding: Option<BasicEncoding>,
) -> Result<(ClientAuthMethod, Presented), Reason> {
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
    Ok((ClientAuthMethod::ClientSecretBasic, Presented::Secret(candidates)))
}

fn from_body(params: &Params, secret: &str, accepted: AcceptedAuth) -> Result<(ClientAuthMethod, Presented), Reason> {
    if !accepted.post {
        return Err(Reason::AuthMethodNotTaken);
    }
    let id = params.get(Param::ClientId).ok_or(Reason::MissingClientId)?;
    Ok((ClientAuthMethod::ClientSecretPost, Presented::Secret(vec![Candidate::new(id, secret)])))
}

// A connection may have a certificate and a request no client: that is no credential.
fn from_certificate(
    params: &Params,
    certificate: Option<Result<Arc<Certificate>, Reason>>,
    accepted: AcceptedAuth,
) -> Result<(ClientAuthMethod, Presented), Reason> {
    let certificate = certificate.filter(|_| accepted.certificate).ok_or(Reason::NoCredentials)?;
    let client_id = params.get(Param::ClientId).ok_or(Reason::NoCredentials)?.to_owned();
    Ok((ClientAuthMethod::TlsClientAuth, Presented::Certificate { client_id, certificate: certificate? }))
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
    let header = header.trim_ascii();
    let scheme_end = header.iter().position(|byte| *byte == b' ').unwrap_or(header.len());
    let (scheme, rest) = header.split_at(scheme_end);
    if scheme.eq_ignore_ascii_case(b"basic") { Ok(rest.trim_ascii_start()) } else { Err(Reason::UnsupportedScheme) }
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
