//! Resource identifiers (RFC 8707 section 2).

/// Whether a text is an absolute URI (RFC 3986 section 4.3) as far as RFC 8707 needs it: a scheme, something after it, no
/// fragment.
#[must_use]
pub fn is_absolute_uri_without_fragment(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, rest)| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
            && !rest.is_empty()
            && rest.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_an_absolute_uri_without_fragment() {
        for good in ["https://api.example.com", "https://api.example.com/a?b=c", "urn:example:api"] {
            assert!(is_absolute_uri_without_fragment(good), "{good}");
        }
        for bad in ["", "/a", "api", "https:", ":a", "1a:b", "https://a/#f", "https://a b", "https://é", "a_b:c"] {
            assert!(!is_absolute_uri_without_fragment(bad), "{bad}");
        }
    }
}
