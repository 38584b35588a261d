//! Durations as they are typed: `7d`, `12h`, `30m`, `45s`, or plain seconds.

/// Reads a duration, in seconds.
///
/// # Errors
/// What a duration looks like.
pub fn parse(text: &str) -> Result<u64, String> {
    let units = [('d', 24 * 60 * 60), ('h', 60 * 60), ('m', 60), ('s', 1)];
    let of_unit = units.into_iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)));
    let (number, seconds) = of_unit.unwrap_or((text, 1));
    // `parse` would take a sign.
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.then(|| number.parse::<u64>().ok()).flatten();
    // A time to come has to fit into what DynamoDB and JSON numbers hold exactly.
    let bounded = number.and_then(|number| number.checked_mul(seconds)).filter(|seconds| *seconds <= MAX_SECONDS);
    bounded.ok_or_else(|| {
        "a duration is a whole number with d, h, m or s behind it, or of seconds: 7d, 12h, 604800".to_owned()
    })
}

// A hundred years.
const MAX_SECONDS: u64 = 100 * 366 * 24 * 60 * 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_a_unit_or_is_in_seconds() {
        for (text, seconds) in
            [("7d", 604_800), ("12h", 43_200), ("30m", 1800), ("45s", 45), ("604800", 604_800), ("0", 0), ("0d", 0)]
        {
            assert_eq!(parse(text), Ok(seconds), "{text}");
        }
        for bad in
            ["", "d", "7 d", "+7d", "-7d", "1.5d", "7w", "7D", "7dd", "99999999999999999999", "99999999999d", "é"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
