//! URLs that are to be compared: normalized by syntax and scheme (RFC 3986 sections 6.2.2 and 6.2.3).

/// An http or https URL in its normal form, without query and fragment (RFC 9449 section 4.3). `None`: it is none.
#[must_use]
pub fn normalized(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once(':')?;
    let rest = rest.strip_prefix("//")?;
    let default_port = match scheme {
        _ if scheme.eq_ignore_ascii_case("https") => "443",
        _ if scheme.eq_ignore_ascii_case("http") => "80",
        _ => return None,
    };
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if !rest.bytes().all(|byte| byte.is_ascii_graphic() && !br#"\"<>^`{|}"#.contains(&byte)) || authority.contains('@')
    {
        return None;
    }
    // The colons of an IPv6 address stand in brackets.
    let port_start =
        authority.rfind(':').filter(|colon| !authority.get(*colon..).is_some_and(|port| port.contains(']')));
    let (host, port) = authority.split_at(port_start.unwrap_or(authority.len()));
    let port = port.trim_start_matches(':');
    if host.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut normal = format!("{}://{}", scheme.to_ascii_lowercase(), host.to_ascii_lowercase());
    if !port.is_empty() && port != default_port {
        normal.push(':');
        normal.push_str(port);
    }
    append_path(&mut normal, path)?;
    Some(normal)
}

// Escapes of characters that need none are undone, the others are in upper case; then dot segments are removed.
fn append_path(normal: &mut String, path: &str) -> Option<()> {
    let mut unescaped = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((plain, after)) = rest.split_once('%') {
        let (digits, after) = after.split_at_checked(2)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        unescaped.push_str(plain);
        let byte = u8::from_str_radix(digits, 16).ok()?;
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            unescaped.push(byte.into());
        } else {
            unescaped.push('%');
            unescaped.push_str(&digits.to_ascii_uppercase());
        }
        rest = after;
    }
    unescaped.push_str(rest);

    let mut segments: Vec<&str> = Vec::new();
    let mut parts = unescaped.split('/').skip(1).peekable();
    while let Some(part) = parts.next() {
        // A dot segment at the end leaves the slash before it.
        let last = parts.peek().is_none();
        match part {
            "." => {}
            ".." => drop(segments.pop()),
            part => {
                segments.push(part);
                continue;
            }
        }
        if last {
            segments.push("");
        }
    }
    if segments.is_empty() {
        normal.push('/');
    }
    for segment in segments {
        normal.push('/');
        normal.push_str(segment);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_the_same_is_written_the_same() {
        for (url, normal) in [
            ("https://a.example/oauth2/token", "https://a.example/oauth2/token"),
            ("HTTPS://A.Example/oauth2/token", "https://a.example/oauth2/token"),
            ("https://a.example:443/oauth2/token", "https://a.example/oauth2/token"),
            ("https://a.example:/oauth2/token", "https://a.example/oauth2/token"),
            ("http://a.example:80/", "http://a.example/"),
            ("https://a.example:80/", "https://a.example:80/"),
            ("https://a.example/oauth2/token?a=b#c", "https://a.example/oauth2/token"),
            ("https://a.example/oauth2/token#?", "https://a.example/oauth2/token"),
            ("https://a.example", "https://a.example/"),
            ("https://a.example?x", "https://a.example/"),
            ("https://a.example/%6fauth2/t%6Fken", "https://a.example/oauth2/token"),
            ("https://a.example/%2f%c3%A9", "https://a.example/%2F%C3%A9"),
            ("https://a.example/x/../oauth2/./token", "https://a.example/oauth2/token"),
            ("https://a.example/%2e%2e/a/.", "https://a.example/a/"),
            ("https://a.example/a/..", "https://a.example/"),
            ("https://a.example//a/", "https://a.example//a/"),
            ("http://[::1]:9000/a", "http://[::1]:9000/a"),
            ("http://[::1]/a", "http://[::1]/a"),
        ] {
            assert_eq!(normalized(url).as_deref(), Some(normal), "{url}");
        }
    }

    #[test]
    fn what_is_no_http_url_has_no_normal_form() {
        for url in [
            "",
            "/oauth2/token",
            "a.example/oauth2/token",
            "https:/a.example/",
            "https:a.example/",
            "ftp://a.example/",
            "https://",
            "https:///a",
            "https://:443/a",
            "https://u@a.example/",
            "https://a.example:x/",
            "https://a.example/%",
            "https://a.example/%2",
            "https://a.example/%zz",
            "https://a.example/%+2",
            "https://a.example/%\u{e9}",
            "https://a.example/a b",
            "https://a.example/é",
            "https://a.example/\n",
            " https://a.example/",
        ] {
            assert_eq!(normalized(url), None, "{url}");
        }
    }
}
