//! Amounts as people type them: `30d`, `50GiB`, `5%`.
//!
//! Knows nothing of what they limit. A number without a unit is refused where it could mean two things.

use std::time::Duration;

/// `90min`, `12h`, `30d`, `2w`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let expected = || format!("`{text}` is no length of time; expected a number and a unit, as in 12h, 30d or 8w");
    let (number, unit) = parts(text).ok_or_else(expected)?;
    let seconds = match unit {
        "s" => 1.0,
        "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        "w" => 7.0 * 86_400.0,
        _ => return Err(expected()),
    };
    Duration::try_from_secs_f64(number * seconds).map_err(|_| expected())
}

/// `500MiB`, `50GiB`, `1.5TB`, in bytes: KiB, MiB, … are powers of 1024, KB, MB, … of 1000.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let expected = || format!("`{text}` is no size; expected a number and a unit, as in 500MiB or 50GiB");
    let (number, unit) = parts(text).ok_or_else(expected)?;
    let factor: f64 = match unit.to_ascii_lowercase().as_str() {
        "b" | "bytes" => 1.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "tb" => 1e12,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        "tib" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        "" if number == 0.0 => 1.0,
        _ => return Err(expected()),
    };
    Ok((number * factor) as u64)
}

/// `5%`, `0.5 %`: a share of 1.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let number = text.trim().strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
    let share = number.filter(|number| (0.0..=100.0).contains(number)).map(|number| number / 100.0);
    share.ok_or_else(|| format!("`{text}` is no share; expected 0% to 100%, as in 5%"))
}

fn parts(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    Some((number, text[end..].trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_with_their_units_and_refused_without() {
        let days = |days: u64| Ok(Duration::from_secs(days * 86_400));
        assert_eq!(
            [duration("30d"), duration("2 w"), duration("36h")],
            [days(30), days(14), Ok(Duration::from_secs(129_600))]
        );
        assert_eq!([size("50GiB"), size("1.5 kB"), size("0")], [Ok(50 << 30), Ok(1500), Ok(0)]);
        assert_eq!([share("5%"), share("100 %")], [Ok(0.05), Ok(1.0)]);
        for text in ["5", "-1%", "101%", "NaN%"] {
            assert!(share(text).is_err(), "{text}");
        }
        for text in ["30", "", "d", "-1d", "1e9d", "30 days ago", "999999999999999999999999d"] {
            assert!(duration(text).is_err(), "{text}");
        }
        for text in ["50", "GiB", "1.2.3GiB", "-1MB", "50G"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
