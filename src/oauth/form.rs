//! Strict `application/x-www-form-urlencoded` decoding (RFC 6749 appendix B).
//!
//! The usual crates decode leniently: a bad escape is passed through, bad UTF-8 is replaced. A token endpoint has to
//! refuse both, so that a request means one thing to every reader of it.

use std::borrow::Cow;

/// Decodes one name or value: `+` is a space, `%XX` a byte, and the whole is UTF-8 without NUL.
///
/// `None` for a lone `%`, a `%` without two hex digits, bytes that are not UTF-8, or a NUL.
#[must_use]
pub fn decode(encoded: &str) -> Option<Cow<'_, str>> {
    if encoded.contains('\0') {
        return None;
    }
    if !encoded.contains(['%', '+']) {
        return Some(Cow::Borrowed(encoded));
    }
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut bytes = encoded.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => match (hex(bytes.next()?)?, hex(bytes.next()?)?) {
                (0, 0) => return None,
                (high, low) => high << 4 | low,
            },
            plain => plain,
        });
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

/// The `name=value` pairs of a form or a query string, still encoded; a pair without `=` has an empty value.
pub fn pairs(encoded: &str) -> impl Iterator<Item = (&str, &str)> {
    encoded.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_plus_signs_are_decoded() {
        assert_eq!(decode("a+b%2Bc%3d").as_deref(), Some("a b+c="));
        assert_eq!(decode("%C3%A9").as_deref(), Some("é"));
        assert_eq!(decode("plain").as_deref(), Some("plain"));
    }

    #[test]
    fn anything_that_could_be_read_two_ways_is_refused() {
        for bad in ["%", "%2", "%zz", "%+1", "a%", "%00", "%C3", "%C0%AF", "%ED%A0%80", "\0"] {
            assert_eq!(decode(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn pairs_split_at_the_first_equals_sign() {
        let read: Vec<_> = pairs("a=1&&b&c==x=&=v").collect();
        assert_eq!(read, [("a", "1"), ("b", ""), ("c", "=x="), ("", "v")]);
    }
}
