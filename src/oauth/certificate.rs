//! A client's X.509 certificate (RFC 8705): what the rules need of it, and whether it is the one that a client is registered with.
//!
//! Whoever terminated TLS has seen that the client holds the certificate's private key, and has verified the chain of trust.

mod name;

use std::{net::IpAddr, sync::Arc};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use x509_parser::{
    certificate::X509Certificate,
    extensions::GeneralName,
    prelude::{FromDer as _, X509Error},
};

pub use self::name::DistinguishedName;
use super::{client::Client, error::Reason, jwk::Jwks, vocabulary::ClientAuthMethod};

/// A certificate that could be read. Nothing in it is believed but for the client it authenticates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    subject: DistinguishedName,
    alternative_names: Vec<AlternativeName>,
    // Seconds since the epoch, both inclusive (RFC 5280 section 4.1.2.5).
    not_before: i64,
    not_after: i64,
}

/// The certificate of a request's connection, whether it authenticates or not, or why it cannot be read.
pub type Presented = Result<Arc<Certificate>, Reason>;

/// A subject alternative name of a kind that a client can be registered with (RFC 8705 section 2.1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
enum AlternativeName {
    Dns(String),
    Uri(String),
    Ip(IpAddr),
    Email(String),
}

// A certificate is a kilobyte or two; one with many names, some more.
const MAX_PEM_BYTES: usize = 16 * 1024;
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

impl Certificate {
    /// Reads the one certificate of a PEM text (RFC 7468 section 5).
    ///
    /// # Errors
    /// [`Reason::MalformedCertificate`] for anything else than one certificate, and for one of more than 16 KiB.
    pub fn from_pem(pem: &str) -> Result<Self, Reason> {
        if pem.len() > MAX_PEM_BYTES {
            return Err(Reason::MalformedCertificate);
        }
        let base64 = pem.trim().strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END));
        let base64: String = base64.unwrap_or_default().split_ascii_whitespace().collect();
        let der = STANDARD.decode(base64).map_err(|_| Reason::MalformedCertificate)?;
        Self::from_der(der).ok_or(Reason::MalformedCertificate)
    }

    /// Reads one certificate in DER, with nothing after it.
    #[must_use]
    pub fn from_der(der: Vec<u8>) -> Option<Self> {
        let (rest, parsed) = X509Certificate::from_der(&der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let subject = DistinguishedName::of(parsed.subject())?;
        let alternative_names = alternative_names(&parsed).ok()?;
        let (not_before, not_after) =
            (parsed.validity().not_before.timestamp(), parsed.validity().not_after.timestamp());
        Some(Self { der, subject, alternative_names, not_before, not_after })
    }

    /// `x5t#S256` (RFC 8705 section 3.1): the SHA-256 of its DER in base64url.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA256, &self.der))
    }

    /// Whether it authenticates `client` at `now`, seconds since the epoch.
    ///
    /// # Errors
    /// [`Reason::CertificateMismatch`] for another certificate than the client's or a client without one,
    /// [`Reason::CertificateNotValid`] for its own before or after its time.
    pub fn authenticates(&self, client: &Client, now: u64) -> Result<(), Reason> {
        let is_registered = match client.token_endpoint_auth_method {
            Some(ClientAuthMethod::TlsClientAuth) => self.has_registered_name(client),
            Some(ClientAuthMethod::SelfSignedTlsClientAuth) => {
                client.jwks.as_ref().is_some_and(|jwks| certificates(jwks).any(|registered| registered == self.der))
            }
            Some(
                ClientAuthMethod::ClientSecretBasic
                | ClientAuthMethod::ClientSecretPost
                | ClientAuthMethod::PrivateKeyJwt,
            )
            | None => false,
        };
        if !is_registered {
            return Err(Reason::CertificateMismatch);
        }
        let is_valid = i64::try_from(now).is_ok_and(|now| (self.not_before..=self.not_after).contains(&now));
        if is_valid { Ok(()) } else { Err(Reason::CertificateNotValid) }
    }

    /// The thumbprint of the certificate that `client`'s tokens are bound to, if they are (RFC 8705 section 3): as its registration
    /// says, and where it says nothing, if a certificate authenticates it. `presented` is the certificate of the connection.
    ///
    /// # Errors
    /// [`Reason::NoCertificateToBind`]: such a client gets no token that is good without the certificate.
    pub fn binding(client: &Client, presented: Option<&Presented>) -> Result<Option<String>, Reason> {
        let by_certificate = client.token_endpoint_auth_method.is_some_and(ClientAuthMethod::is_certificate);
        if !client.tls_client_certificate_bound_access_tokens.unwrap_or(by_certificate) {
            return Ok(None);
        }
        match presented {
            Some(Ok(certificate)) => Ok(Some(certificate.thumbprint())),
            Some(Err(_)) | None => Err(Reason::NoCertificateToBind),
        }
    }

    // The one name that the client is registered with; `Client::faults` sees to it that there is one and no second.
    fn has_registered_name(&self, client: &Client) -> bool {
        let has = |holds: &dyn Fn(&AlternativeName) -> bool| self.alternative_names.iter().any(holds);
        if let Some(subject) = &client.tls_client_auth_subject_dn {
            *subject == self.subject
        } else if let Some(dns) = &client.tls_client_auth_san_dns {
            has(&|name| matches!(name, AlternativeName::Dns(name) if name.eq_ignore_ascii_case(dns)))
        } else if let Some(uri) = &client.tls_client_auth_san_uri {
            has(&|name| matches!(name, AlternativeName::Uri(name) if name == uri))
        } else if let Some(ip) = &client.tls_client_auth_san_ip {
            has(&|name| matches!(name, AlternativeName::Ip(name) if name == ip))
        } else if let Some(email) = &client.tls_client_auth_san_email {
            has(&|name| matches!(name, AlternativeName::Email(name) if same_mailbox(name, email)))
        } else {
            false
        }
    }
}

/// The certificates of a JWK Set in DER: the first of each key's `x5c` (RFC 8705 section 2.2.2, RFC 7517 section 4.7).
pub fn certificates(jwks: &Jwks) -> impl Iterator<Item = Vec<u8>> {
    jwks.jwks().iter().filter_map(|key| STANDARD.decode(key.get("x5c")?.get(0)?.as_str()?).ok())
}

fn alternative_names(certificate: &X509Certificate<'_>) -> Result<Vec<AlternativeName>, X509Error> {
    let extension = certificate.subject_alternative_name()?;
    let names = extension.iter().flat_map(|extension| &extension.value.general_names);
    Ok(names.filter_map(alternative_name).collect())
}

fn alternative_name(name: &GeneralName<'_>) -> Option<AlternativeName> {
    match name {
        GeneralName::DNSName(dns) => Some(AlternativeName::Dns((*dns).to_owned())),
        GeneralName::URI(uri) => Some(AlternativeName::Uri((*uri).to_owned())),
        GeneralName::RFC822Name(email) => Some(AlternativeName::Email((*email).to_owned())),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from)).ok().map(AlternativeName::Ip)
        }
        GeneralName::OtherName(..)
        | GeneralName::X400Address(_)
        | GeneralName::DirectoryName(_)
        | GeneralName::EDIPartyName(_)
        | GeneralName::RegisteredID(_)
        | GeneralName::Invalid(..) => None,
    }
}

// RFC 5280 section 7.5: the local part to the letter, the host in any case.
fn same_mailbox(left: &str, right: &str) -> bool {
    match (left.rsplit_once('@'), right.rsplit_once('@')) {
        (Some((left, left_host)), Some((right, right_host))) => {
            left == right && left_host.eq_ignore_ascii_case(right_host)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mailbox_is_compared_by_its_parts() {
        assert!(same_mailbox("Ada@example.com", "Ada@EXAMPLE.com"));
        for other in ["ada@example.com", "Ada@example.org", "Ada", "@example.com"] {
            assert!(!same_mailbox("Ada@example.com", other), "{other}");
        }
    }

    #[test]
    fn only_one_whole_certificate_in_pem_is_read() {
        for bad in ["", "x", BEGIN, END, "-----BEGIN CERTIFICATE----------END CERTIFICATE-----", &"x".repeat(20_000)] {
            assert_eq!(Certificate::from_pem(bad), Err(Reason::MalformedCertificate), "{bad}");
        }
    }
}
