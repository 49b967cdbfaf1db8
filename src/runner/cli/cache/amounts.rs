//! Parsers for the amounts of `cache`: `30d`, `50GiB`, `5%`.
//!
//! Knows nothing of what they limit. Sizes and durations are written as in the pipeline file.

use std::time::Duration;

use crate::pipeline::measure;

/// `90min`, `12h`, `30d`, `2w`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let expected = || format!("`{text}` is not a duration; expected a number and a unit, as in 12h, 30d or 8w");
    measure::seconds(text).map(Duration::from_secs_f64).ok_or_else(expected)
}

/// `500MiB`, `50GiB`, `1.5TB`, in bytes: KiB, MiB, … are powers of 1024, kB, MB, … of 1000.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let expected = || format!("`{text}` is not a size; expected a number and a unit, as in 500MiB or 50GiB");
    measure::bytes(text).map(i64::unsigned_abs).ok_or_else(expected)
}

/// `5%`, `0.5 %`: a share of 1.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let number = text.trim().strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
    let share = number.filter(|number| (0.0..=100.0).contains(number)).map(|number| number / 100.0);
    share.ok_or_else(|| format!("`{text}` is not a percentage; expected 0% to 100%, as in 5%"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_with_their_units_and_refused_without() {
        assert_eq!(duration("30d"), Ok(Duration::from_secs(30 * 86_400)));
        assert_eq!([size("50GiB"), size("0")], [Ok(50 << 30), Ok(0)]);
        assert_eq!([share("5%"), share("100 %")], [Ok(0.05), Ok(1.0)]);
        assert!(duration("30").unwrap_err().contains("`30` is not a duration"));
        assert!(size("50").unwrap_err().contains("`50` is not a size"));
        for text in ["5", "-1%", "101%", "NaN%"] {
            assert!(share(text).is_err(), "{text}");
        }
    }
}
