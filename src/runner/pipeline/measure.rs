//! Parses sizes and durations in a pipeline file and on the command line: `24 GiB`, `1 h 30 min`.
//!
//! Knows nothing of what they limit. A number without a unit is refused as ambiguous, except the size 0. `measures` formats
//! them.

/// The units of sizes with their bytes.
const SIZES: [(&str, u64); 9] = [
    ("bytes", 1),
    ("kB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// The units of durations with their seconds.
const DURATIONS: [(&str, f64); 5] = [("s", 1.0), ("min", 60.0), ("h", 3600.0), ("d", 86_400.0), ("w", 7.0 * 86_400.0)];
/// Maximum duration in seconds, short enough to be added to an `Instant`.
const LONGEST: f64 = 1e9;

/// A duration in seconds: numbers and their units, as in `90 s`, `1.5h`, `1 h 30 min`. `None` if it isn't one or is longer
/// than 30 years.
pub fn seconds(text: &str) -> Option<f64> {
    let (mut rest, mut seconds) = (text.trim(), 0.0);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (number, after) = split(rest)?;
        let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (_, factor) = DURATIONS.iter().find(|(name, _)| *name == &after[..end])?;
        seconds += number * factor;
        rest = after[end..].trim_start();
    }
    (seconds <= LONGEST).then_some(seconds)
}

/// A size in bytes: a number and its unit, with or without a space between them. `None` if it isn't one or doesn't fit 63
/// bits.
pub fn bytes(text: &str) -> Option<i64> {
    let (number, unit) = split(text.trim())?;
    let of_unit = SIZES.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
    let factor = of_unit.or((unit.is_empty() && number == 0.0).then_some(1))?;
    let bytes = (number * factor as f64).round();
    (bytes < i64::MAX as f64).then_some(bytes as i64)
}

/// An exact size, as it could be typed: `24 GiB`.
pub(super) fn size(bytes: u64) -> String {
    let exact = SIZES.iter().filter(|(_, factor)| bytes.is_multiple_of(*factor));
    let exact = exact.max_by_key(|(_, factor)| *factor).expect("every size is a multiple of one byte");
    format!("{} {}", bytes / exact.1, exact.0)
}

/// `1.5 h` → 1.5 and `h`.
fn split(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit.trim_start_matches(' ')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_numbers_and_their_units() {
        for (text, duration) in [
            ("90 s", 90.0),
            ("1.5h", 5400.0),
            ("1 h 30 min", 5400.0),
            ("2d", 172_800.0),
            ("2 w", 1_209_600.0),
            ("0 s", 0.0),
        ] {
            assert_eq!(seconds(text), Some(duration), "{text}");
        }
        for text in ["2", "0", "h", "2 hours", "-1 s", "1 h 30", "100000 d", "1e3 s", "NaN s", " ", ""] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn a_size_is_a_number_and_its_unit() {
        let cases = [
            ("24 GiB", 24 << 30),
            ("1.5MiB", 3 << 19),
            ("8 GB", 8_000_000_000),
            ("7 bytes", 7),
            ("0", 0),
            ("0 GiB", 0),
        ];
        for (text, size) in cases {
            assert_eq!(bytes(text), Some(size), "{text}");
        }
        assert_eq!([size(24 << 30), size(8_000_000_000), size(7)], ["24 GiB", "8 GB", "7 bytes"]);
        for text in ["24", "24G", "GiB", "24 gib", "-1 GiB", "1 2 GiB", "1.2.3 GiB", "99999999999 TiB", ""] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }
}
