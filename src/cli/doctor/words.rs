//! Small texts that findings are made of.

use std::borrow::Cow;

/// A time span in one unit, rounded down.
pub(super) fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..10_800 => format!("{} min", seconds / 60),
        10_800..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// A word of a command line, quoted where a shell would not take it for one word.
pub(super) fn word(text: &str) -> Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@%+=,".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")))
    }
}

/// A text that somebody else wrote, fit for a terminal: no control characters, of bounded length.
pub(super) fn foreign(text: &str) -> String {
    const MOST: usize = 200;
    let shown: String = text.chars().take(MOST).flat_map(char::escape_debug).collect();
    if text.chars().nth(MOST).is_some() { shown + "..." } else { shown }
}

/// The first few of many.
pub(super) fn few(all: &[String]) -> String {
    const MOST: usize = 5;
    let shown = all.iter().take(MOST).map(String::as_str).collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(MOST) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// `1 key`, `2 keys`.
pub(super) fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_told_in_its_largest_fitting_unit() {
        let told = [0, 119, 120, 10_799, 10_800, 172_799, 172_800].map(span);
        assert_eq!(told, ["0 s", "119 s", "2 min", "179 min", "3 h", "47 h", "2 d"]);
    }

    #[test]
    fn a_word_that_a_shell_would_split_is_quoted() {
        assert_eq!(word("arn:aws:a/b-1"), "arn:aws:a/b-1");
        assert_eq!(word("a b"), "'a b'");
        assert_eq!(word("it's"), r"'it'\''s'");
        assert_eq!(word(""), "''");
    }

    #[test]
    fn a_foreign_text_cannot_steer_the_terminal_or_fill_it() {
        assert_eq!(foreign("a\u{1b}[31m\n"), r"a\u{1b}[31m\n");
        assert_eq!(foreign(&"x".repeat(201)), "x".repeat(200) + "...");
    }

    #[test]
    fn of_many_the_first_five_are_named() {
        let names: Vec<String> = ('a'..='g').map(String::from).collect();
        assert_eq!(few(&names), "a, b, c, d, e and 2 more");
        assert_eq!(few(&names[..2]), "a, b");
    }
}
