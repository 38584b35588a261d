//! Where a client certificate may come from: from whoever terminated TLS and nobody else.

use std::{borrow::Cow, fmt};

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    digest::{SHA256, digest},
};
use http::HeaderName;

use super::Call;

/// Where the deployment's client certificates come from.
#[derive(Clone, Debug, Default)]
pub struct MutualTls {
    /// The base URL of the endpoints that ask for a certificate, if it is another than the issuer's (RFC 8705 section 5).
    pub base_url: Option<String>,
    /// What CloudFront proves itself with, if it stands in front and terminates TLS.
    pub origin_secret: Option<OriginSecret>,
}

/// The digest of a secret that only CloudFront and this server know. `Debug` is blank.
#[derive(Clone)]
pub struct OriginSecret([u8; 32]);

/// The header in which CloudFront sends the origin secret.
pub const ORIGIN_SECRET_HEADER: HeaderName = HeaderName::from_static("x-origin-verify");
// CloudFront sets it for a certificate that it has verified, and never passes on what a viewer sends under that name. What it
// sends of certificates that it has not verified has other names.
const CERTIFICATE_HEADER: HeaderName = HeaderName::from_static("cloudfront-viewer-cert-pem");

impl MutualTls {
    /// The certificate of the client's connection in PEM.
    ///
    /// Of a request with the origin secret it is what CloudFront says, and nothing else: the connection that API Gateway sees is
    /// then CloudFront's own. Of any other it is what API Gateway says, and headers say nothing.
    #[must_use]
    pub fn certificate<'a>(&self, call: &'a Call) -> Option<Cow<'a, str>> {
        if self.origin_secret.as_ref().is_some_and(|secret| secret.is_sent_with(call)) {
            let mut values = call.headers.get_all(CERTIFICATE_HEADER).iter();
            let (value, None) = (values.next()?, values.next()) else { return None };
            return value.to_str().ok().map(percent_decoded);
        }
        call.client_certificate.as_deref().map(Cow::Borrowed)
    }
}

impl OriginSecret {
    /// The least length of an origin secret, in bytes.
    pub const MIN_BYTES: usize = 32;

    /// Takes the text of a secret.
    ///
    /// `None` if it is shorter than [`OriginSecret::MIN_BYTES`], or has characters that no header value can have.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fits = text.len() >= Self::MIN_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self(sha256(text.as_bytes())))
    }

    fn is_sent_with(&self, call: &Call) -> bool {
        let mut sent = call.headers.get_all(ORIGIN_SECRET_HEADER).iter();
        let (Some(value), None) = (sent.next(), sent.next()) else { return false };
        verify_slices_are_equal(&self.0, &sha256(value.as_bytes())).is_ok()
    }
}

impl fmt::Debug for OriginSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OriginSecret(..)")
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

// CloudFront percent-encodes the line breaks at least. A plus sign stands for itself: it is a digit of base64. What is
// no escape is kept, and is then no base64 either.
fn percent_decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut parts = text.split('%');
    let mut decoded = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let escape = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(u8::is_ascii);
        if let Some((byte, rest)) = escape.zip(part.get(2..)) {
            decoded.push(char::from(byte));
            decoded.push_str(rest);
        } else {
            decoded.push('%');
            decoded.push_str(part);
        }
    }
    Cow::Owned(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escape_is_a_byte_and_a_plus_sign_is_one() {
        assert_eq!(percent_decoded("a%20b%0A+%2B%3d"), "a b\n++=");
        assert_eq!(percent_decoded("a%zz%4%"), "a%zz%4%");
    }

    #[test]
    fn an_origin_secret_is_long_and_never_shown() {
        let text = "an-origin-secret-of-32-characters";
        assert_eq!(format!("{:?}", OriginSecret::new(text)), "Some(OriginSecret(..))");
        for bad in ["", "short", "an origin secret with spaces in it", "an-origin-secret-with-\n-line-break"] {
            assert!(OriginSecret::new(bad).is_none(), "{bad}");
        }
    }
}
