//! Formats numbers for people: durations, counts, sizes.
//!
//! Knows no events. One format per measure, so that all screens agree.

use std::time::{SystemTime, UNIX_EPOCH};

/// `0.1 s`, `38.0 s`, `4 min 11 s`, `14 h 02 min`, `3 d 4 h`. `seconds` of wall time.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        _ if !seconds.is_finite() || seconds < 0.0 => "unknown".to_owned(),
        _ if seconds < 59.95 => format!("{seconds:.1} s"),
        0..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        3600..86400 => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} d {} h", whole / 86400, whole % 86400 / 3600),
    }
}

/// The current time, in seconds since the Unix epoch.
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// A time, given in seconds since the Unix epoch: `2026-11-24 09:14 UTC`.
pub fn date(moment: f64) -> String {
    let [year, month, day, hour, minute, _] = calendar(moment);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
}

/// The same for programs, in ISO 8601: `2026-11-24T09:14:00Z`.
pub fn timestamp(moment: f64) -> String {
    let [year, month, day, hour, minute, second] = calendar(moment);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month, day, hour, minute and second, in UTC.
fn calendar(moment: f64) -> [i64; 6] {
    let seconds = moment.max(0.0) as i64;
    // Days in years that begin in March, so that the leap day comes last (Hinnant, "chrono-compatible date algorithms").
    let days = seconds / 86_400 + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    [year, month, day, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60]
}

/// How long ago a time was, given in seconds since the Unix epoch: `4 min 11 s ago`.
pub fn ago(moment: f64) -> String {
    format!("{} ago", duration((now() - moment).max(0.0)))
}

/// `1,993`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 stage`, `3 stages`.
pub fn plural(number: usize, noun: &str) -> String {
    format!("{} {noun}{}", count(number as u64), if number == 1 { "" } else { "s" })
}

/// `64 × 32`: width and height in pixels.
pub fn pixels([width, height]: [u32; 2]) -> String {
    format!("{width} × {height}")
}

/// `12 bytes`, `4.0 KiB`, `1.2 GiB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A loss or another number with three significant digits: `0.312`, `2.41e-5`.
pub fn brief(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        v if (0.001..10_000.0).contains(&v) => format!("{value:.3}"),
        _ => format!("{value:.2e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_name_their_two_largest_units() {
        let cases = [
            (0.04, "0.0 s"),
            (59.94, "59.9 s"),
            (59.96, "1 min 00 s"),
            (251.0, "4 min 11 s"),
            (50520.0, "14 h 02 min"),
            (273_600.0, "3 d 4 h"),
        ];
        for (seconds, text) in cases {
            assert_eq!(duration(seconds), text);
        }
        assert_eq!(duration(f64::NAN), "unknown");
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        let cases = [
            (0.0, "1970-01-01 00:00 UTC", "1970-01-01T00:00:00Z"),
            (951_782_399.0, "2000-02-28 23:59 UTC", "2000-02-28T23:59:59Z"),
            (951_782_400.0, "2000-02-29 00:00 UTC", "2000-02-29T00:00:00Z"),
            (951_868_799.9, "2000-02-29 23:59 UTC", "2000-02-29T23:59:59Z"),
            (1_795_511_640.0, "2026-11-24 09:14 UTC", "2026-11-24T09:14:00Z"),
            (4_107_542_400.0, "2100-03-01 00:00 UTC", "2100-03-01T00:00:00Z"),
        ];
        for (moment, text, iso) in cases {
            assert_eq!((date(moment), timestamp(moment)), (text.to_owned(), iso.to_owned()));
        }
    }

    #[test]
    fn counts_and_sizes_are_grouped_and_scaled() {
        assert_eq!([count(7), count(1993), count(1_234_567)], ["7", "1,993", "1,234,567"]);
        assert_eq!([size(12), size(4096), size(1 << 30)], ["12 bytes", "4.0 KiB", "1.0 GiB"]);
        assert_eq!([plural(1, "stage"), plural(0, "stage")], ["1 stage", "0 stages"]);
    }

    #[test]
    fn brief_numbers_keep_three_digits() {
        assert_eq!([brief(0.31234), brief(0.0000241), brief(412.6), brief(0.0)], ["0.312", "2.41e-5", "412.600", "0"]);
    }
}
