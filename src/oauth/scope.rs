//! Scope (RFC 6749 section 3.3).

use std::fmt;

use serde::{Deserialize, Serialize};

/// An ordered set of scope tokens, held as it goes on the wire: separated by single spaces, none twice.
///
/// The empty scope is allowed: a client may be registered without any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scope(String);

/// What is wrong with a scope's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedScope;

// A bound on the work that one request can ask for; far above what any real client registers.
const MAX_TOKENS: usize = 256;

impl Scope {
    /// Reads `scope-token *( SP scope-token )`.
    ///
    /// # Errors
    /// [`MalformedScope`] for a character or a space where the grammar has none, or for more than 256 tokens.
    pub fn parse(text: &str) -> Result<Self, MalformedScope> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let mut tokens: Vec<&str> = Vec::new();
        for token in text.split(' ') {
            if token.is_empty() || !token.bytes().all(is_nqchar) {
                return Err(MalformedScope);
            }
            if !tokens.contains(&token) {
                tokens.push(token);
            }
            if tokens.len() > MAX_TOKENS {
                return Err(MalformedScope);
            }
        }
        Ok(Self(tokens.join(" ")))
    }

    /// The tokens, in order.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.0.split(' ').filter(|token| !token.is_empty())
    }

    /// Whether every token of this scope is in `granted`.
    #[must_use]
    pub fn is_within(&self, granted: &Self) -> bool {
        self.tokens().all(|token| granted.contains(token))
    }

    /// Whether `token` is in this scope.
    #[must_use]
    pub fn contains(&self, token: &str) -> bool {
        self.tokens().any(|held| held == token)
    }

    /// The tokens that are in `other` too.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self(self.tokens().filter(|token| other.contains(token)).collect::<Vec<_>>().join(" "))
    }

    /// This scope less one token.
    #[must_use]
    pub fn without(&self, token: &str) -> Self {
        if self.contains(token) {
            Self(self.tokens().filter(|held| *held != token).collect::<Vec<_>>().join(" "))
        } else {
            self.clone()
        }
    }

    /// Whether there is no token at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As it goes on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Scope {
    type Error = MalformedScope;

    fn try_from(text: String) -> Result<Self, MalformedScope> {
        Self::parse(&text)
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.0
    }
}

impl fmt::Display for MalformedScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a list of scope tokens separated by single spaces (RFC 6749 section 3.3)")
    }
}

fn is_nqchar(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_is_that_of_rfc_6749() {
        assert_eq!(Scope::parse("read write read").unwrap().as_str(), "read write");
        assert_eq!(Scope::parse("").unwrap(), Scope::default());
        for bad in [" ", " a", "a ", "a  b", "a\tb", "a\"b", "a\\b", "é", "a\nb", "\u{7f}"] {
            assert_eq!(Scope::parse(bad), Err(MalformedScope), "{bad:?}");
        }
    }

    #[test]
    fn the_number_of_tokens_is_bounded() {
        let many = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        assert!(Scope::parse(&many(MAX_TOKENS)).is_ok());
        assert_eq!(Scope::parse(&many(MAX_TOKENS + 1)), Err(MalformedScope));
    }

    #[test]
    fn within_compares_whole_tokens() {
        let granted = Scope::parse("read:all write").unwrap();
        assert!(Scope::parse("write").unwrap().is_within(&granted));
        assert!(Scope::default().is_within(&granted));
        assert!(!Scope::parse("read").unwrap().is_within(&granted));
        assert!(!Scope::parse("write admin").unwrap().is_within(&granted));
        assert_eq!(granted.without("write").as_str(), "read:all");
        assert_eq!(granted.without("read"), granted);
        assert_eq!(granted.intersection(&Scope::parse("admin write read").unwrap()).as_str(), "write");
    }
}
