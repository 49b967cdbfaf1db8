//! "Did you mean": the nearest name.
//!
//! Knows no names; the caller passes those that are valid at that place, so that no suggestion is invalid.

/// Maximum errors with a suggestion: no more are shown, and a search goes through all names.
pub(super) const WORTH: usize = 50;

/// Maximum letters of a name with a suggestion, as the search takes quadratic time.
const LONGEST: usize = 500;

/// The nearest of `names`: at most a third of the letters of `typed` differ, or only their case.
pub fn nearest<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = typed.chars().take(LONGEST + 1).count();
    if length > LONGEST {
        return None;
    }
    let limit = length / 3;
    let distance = |name: &str| {
        if name.eq_ignore_ascii_case(typed) {
            return Some(0);
        }
        // Cheaper than the distance, which is at least this.
        if name.chars().count().abs_diff(length) > limit {
            return None;
        }
        Some(strsim::osa_distance(typed, name)).filter(|distance| *distance <= limit)
    };
    names
        .into_iter()
        .filter_map(|name| Some((distance(name)?, name)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// `did you mean …?`, for the help line of a message.
pub(super) fn did_you_mean<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(typed, names).map(|name| format!("did you mean `{name}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_of_the_letters_may_differ() {
        assert_eq!(nearest("entropyy", ["rank", "entropy"]), Some("entropy"));
        assert_eq!(nearest("lamda", ["scores", "lambda"]), Some("lambda"));
        assert_eq!(nearest("tagret", ["target", "source"]), Some("target"));
        assert_eq!(nearest("ab", ["ac"]), None);
        assert_eq!(nearest("ADVENT", ["minent", "advent"]), Some("advent"));
        assert_eq!(nearest("", ["a"]), None);
    }
}
