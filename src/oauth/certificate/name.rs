//! Distinguished names: as a certificate has them (RFC 5280 section 4.1.2.4), and as text (RFC 4514).
//!
//! Two names are the same if they have the same attributes in the same order and grouping, each value to the letter. What RFC 4514
//! leaves open makes no difference: `CN` or `2.5.4.3`, `\2C` or `\,`, the string type that a certificate uses.

use serde::{Deserialize, Serialize};
use x509_parser::{
    asn1_rs::{Any, FromDer as _, Tag},
    x509::X509Name,
};

use crate::oauth::client::OutOfRange;

/// A distinguished name of at least one attribute.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DistinguishedName {
    // As it was written; empty for a certificate's own.
    text: String,
    // From the root on, as a certificate has them: the text has them the other way round (RFC 4514 section 2.1).
    attributes: Vec<Vec<Attribute>>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Attribute {
    // The object identifier in dots.
    oid: String,
    value: AttributeValue,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum AttributeValue {
    Text(String),
    // Of a type that is no text: its ASN.1 tag and bytes.
    Other(u32, Vec<u8>),
}

// RFC 4514 section 3, RFC 4519, RFC 2985, and what certificates of the EU's eIDAS carry.
const KEYWORDS: &[(&str, &str)] = &[
    ("CN", "2.5.4.3"),
    ("SN", "2.5.4.4"),
    ("SERIALNUMBER", "2.5.4.5"),
    ("C", "2.5.4.6"),
    ("L", "2.5.4.7"),
    ("ST", "2.5.4.8"),
    ("STREET", "2.5.4.9"),
    ("O", "2.5.4.10"),
    ("OU", "2.5.4.11"),
    ("TITLE", "2.5.4.12"),
    ("BUSINESSCATEGORY", "2.5.4.15"),
    ("POSTALCODE", "2.5.4.17"),
    ("GN", "2.5.4.42"),
    ("GIVENNAME", "2.5.4.42"),
    ("DNQUALIFIER", "2.5.4.46"),
    ("ORGANIZATIONIDENTIFIER", "2.5.4.97"),
    ("UID", "0.9.2342.19200300.100.1.1"),
    ("DC", "0.9.2342.19200300.100.1.25"),
    ("EMAILADDRESS", "1.2.840.113549.1.9.1"),
];

impl DistinguishedName {
    /// Reads the text form (RFC 4514 section 3). Spaces around separators are let pass, as many tools write them.
    ///
    /// # Errors
    /// [`OutOfRange`] for another text, for an attribute type that is not known by name, and for a name without attributes,
    /// which every certificate without a subject would have.
    pub fn parse(text: impl Into<String>) -> Result<Self, OutOfRange> {
        const FAULT: OutOfRange = OutOfRange("not a distinguished name (RFC 4514)");
        let text = text.into();
        let mut rest = text.as_str();
        let mut attributes = vec![Vec::new()];
        loop {
            let (kind, after) = rest.split_once('=').ok_or(FAULT)?;
            let oid = object_identifier(kind.trim_matches(' ')).ok_or(FAULT)?;
            let (value, separator, after) = read_value(after.trim_start_matches(' ')).ok_or(FAULT)?;
            attributes.last_mut().ok_or(FAULT)?.push(Attribute { oid, value });
            rest = after;
            match separator {
                None => break,
                Some(',') => attributes.push(Vec::new()),
                Some(_) => {}
            }
        }
        for group in &mut attributes {
            group.sort();
        }
        attributes.reverse();
        Ok(Self { text, attributes })
    }

    // A certificate's own. `None` for a value that is not of the type that it says it is.
    pub(super) fn of(name: &X509Name<'_>) -> Option<Self> {
        let group = |group: &x509_parser::x509::RelativeDistinguishedName<'_>| {
            let attribute = |attribute: &x509_parser::x509::AttributeTypeAndValue<'_>| {
                let value = attribute_value(attribute.attr_value())?;
                Some(Attribute { oid: attribute.attr_type().to_id_string(), value })
            };
            let mut group: Vec<_> = group.iter().map(attribute).collect::<Option<_>>()?;
            group.sort();
            Some(group)
        };
        Some(Self { text: String::new(), attributes: name.iter_rdn().map(group).collect::<Option<_>>()? })
    }
}

impl PartialEq for DistinguishedName {
    fn eq(&self, other: &Self) -> bool {
        self.attributes == other.attributes
    }
}

impl Eq for DistinguishedName {}

impl TryFrom<String> for DistinguishedName {
    type Error = OutOfRange;

    fn try_from(text: String) -> Result<Self, OutOfRange> {
        Self::parse(text)
    }
}

impl From<DistinguishedName> for String {
    fn from(name: DistinguishedName) -> Self {
        name.text
    }
}

fn object_identifier(kind: &str) -> Option<String> {
    let known = KEYWORDS.iter().find(|(keyword, _)| keyword.eq_ignore_ascii_case(kind));
    let is_number = |arc: &str| !arc.is_empty() && arc.bytes().all(|byte| byte.is_ascii_digit());
    match known {
        Some((_, oid)) => Some((*oid).to_owned()),
        None => (kind.contains('.') && kind.split('.').all(is_number)).then(|| kind.to_owned()),
    }
}

// A value, the separator that ends it, and what is left after that.
fn read_value(text: &str) -> Option<(AttributeValue, Option<char>, &str)> {
    let mut bytes = Vec::new();
    // Up to where the value reaches at least: spaces at its end count only if they are escaped.
    let mut kept = 0;
    let mut chars = text.chars();
    let separator = loop {
        match chars.next() {
            end @ (None | Some(',' | '+')) => break end,
            Some('\\') => {
                bytes.push(read_escape(&mut chars)?);
                kept = bytes.len();
            }
            Some('"' | ';' | '<' | '>' | '\0') => return None,
            Some(plain) => {
                bytes.extend_from_slice(plain.encode_utf8(&mut [0; 4]).as_bytes());
                if plain != ' ' {
                    kept = bytes.len();
                }
            }
        }
    };
    bytes.truncate(kept);
    let value = match (text.strip_prefix('#'), bytes.split_first()) {
        (Some(_), Some((_, digits))) => from_hex(digits)?,
        _ => AttributeValue::Text(String::from_utf8(bytes).ok()?),
    };
    Some((value, separator, chars.as_str()))
}

fn read_escape(chars: &mut std::str::Chars<'_>) -> Option<u8> {
    let escaped = chars.next()?;
    if let Some(high) = escaped.to_digit(16) {
        let low = chars.next()?.to_digit(16)?;
        return u8::try_from(high << 4 | low).ok();
    }
    if " \"#+,;<=>\\".contains(escaped) { u8::try_from(escaped).ok() } else { None }
}

// The whole encoding of a value in hexadecimal digits.
fn from_hex(digits: &[u8]) -> Option<AttributeValue> {
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let byte = |[high, low]: &[u8; 2]| u8::try_from(digit(*high)? << 4 | digit(*low)?).ok();
    let encoding: Vec<u8> = pairs.iter().map(byte).collect::<Option<_>>()?;
    let (rest, any) = Any::from_der(&encoding).ok()?;
    if rest.is_empty() { attribute_value(&any) } else { None }
}

fn attribute_value(any: &Any<'_>) -> Option<AttributeValue> {
    Some(match any.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::NumericString => {
            AttributeValue::Text(std::str::from_utf8(any.data).ok()?.to_owned())
        }
        Tag::BmpString => {
            let (units, []) = any.data.as_chunks::<2>() else { return None };
            let units: Vec<u16> = units.iter().map(|unit| u16::from_be_bytes(*unit)).collect();
            AttributeValue::Text(String::from_utf16(&units).ok()?)
        }
        other => AttributeValue::Other(other.0, any.data.to_vec()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> DistinguishedName {
        DistinguishedName::parse(text).unwrap_or_else(|_| panic!("{text}"))
    }

    #[test]
    fn what_rfc_4514_leaves_open_makes_no_difference() {
        let name = r"CN=Ada\, Ltd.,OU=Engines+L=Turin,O=Example Corp,C=GB";
        for same in [
            r"cn=Ada\, Ltd.,ou=Engines+l=Turin,o=Example Corp,c=GB",
            r"2.5.4.3=Ada\, Ltd.,OU=Engines+L=Turin,O=Example Corp,C=GB",
            r"CN=Ada\2C Ltd.,OU=Engines+L=Turin,O=Example Corp,C=GB",
            r"CN=Ada\, Ltd.,L=Turin+OU=Engines,O=Example Corp,C=GB",
            r"CN = Ada\, Ltd. , OU = Engines + L = Turin, O = Example Corp, C = GB",
            r"CN=#0c094164612c204c74642e,OU=Engines+L=Turin,O=Example Corp,C=GB",
        ] {
            assert_eq!(parse(name), parse(same), "{same}");
        }
        assert_eq!(parse("CN=Zo\\C3\\AB"), parse("CN=Zoë"));
        assert_eq!(String::from(parse(name)), name);
    }

    #[test]
    fn what_differs_is_another_name() {
        let name = r"CN=ada,OU=Engines+L=Turin,O=Example";
        for other in [
            r"CN=Ada,OU=Engines+L=Turin,O=Example",
            r"CN=ada,OU=Engines,L=Turin,O=Example",
            r"O=Example,OU=Engines+L=Turin,CN=ada",
            r"CN=ada,OU=Engines+L=Turin",
            r"CN=ada,OU=Engines+L=Turin,O=Example,C=GB",
            r"CN=ada\ ,OU=Engines+L=Turin,O=Example",
            r"CN=ada\,OU\=Engines+L=Turin,O=Example",
            r"SN=ada,OU=Engines+L=Turin,O=Example",
        ] {
            assert_ne!(parse(name), parse(other), "{other}");
        }
    }

    // One group of attributes in DER; each is an object identifier's bytes, a tag and a value (RFC 5280 section 4.1.2.4).
    fn der(attributes: &[(&[u8], u8, &[u8])]) -> Vec<u8> {
        let tlv = |tag: u8, content: &[u8]| [&[tag, u8::try_from(content.len()).unwrap()], content].concat();
        let attribute =
            |(oid, tag, value): &(&[u8], u8, &[u8])| tlv(0x30, &[tlv(0x06, oid), tlv(*tag, value)].concat());
        tlv(0x30, &tlv(0x31, &attributes.iter().map(attribute).collect::<Vec<_>>().concat()))
    }

    fn of(der: &[u8]) -> Option<DistinguishedName> {
        DistinguishedName::of(&X509Name::from_der(der).unwrap().1)
    }

    #[test]
    fn a_certificate_may_have_a_group_in_any_order_and_a_value_in_any_type_of_text() {
        let (unit, place) = ([0x55, 4, 11], [0x55, 4, 7]);
        let name = parse("OU=Engines+L=Turin");
        for certificates in [
            der(&[(&unit, 0x0c, b"Engines"), (&place, 0x0c, b"Turin")]),
            der(&[(&place, 0x13, b"Turin"), (&unit, 0x16, b"Engines")]),
            der(&[(&place, 0x1e, b"\0T\0u\0r\0i\0n"), (&unit, 0x0c, b"Engines")]),
        ] {
            assert_eq!(of(&certificates), Some(name.clone()));
        }
        for other in [
            der(&[(&place, 0x0c, b"Engines"), (&unit, 0x0c, b"Turin")]),
            der(&[(&place, 0x04, b"Turin"), (&unit, 0x0c, b"Engines")]),
        ] {
            assert_ne!(of(&other), Some(name.clone()));
        }
    }

    #[test]
    fn a_value_that_is_not_of_its_type_is_in_no_name() {
        for (tag, value) in [(0x0c, b"\xff".as_slice()), (0x13, b"\xff"), (0x1e, b"\0a\0"), (0x1e, b"\xd8\0")] {
            assert_eq!(of(&der(&[(&[0x55, 4, 3], tag, value)])), None, "{value:?}");
        }
    }

    #[test]
    fn another_text_is_no_name() {
        for bad in [
            "",
            " ",
            "CN",
            "=a",
            "CN=a,",
            "CN=a,,O=b",
            "CN=a+",
            "FOO=a",
            "2.=a",
            "2..5=a",
            "3=a",
            "CN=a;O=b",
            "CN=\"a\"",
            "CN=a\\",
            "CN=a\\z",
            "CN=a\\4",
            "CN=\\FF",
            "CN=#",
            "CN=#0",
            "CN=#zz",
            "CN=#0c05",
            "CN=#0c0161ff",
            "CN=a\0",
            "/CN=a/O=b",
        ] {
            assert!(DistinguishedName::parse(bad).is_err(), "{bad:?}");
        }
    }
}
