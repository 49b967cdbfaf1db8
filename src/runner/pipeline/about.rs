//! `description` and `tags` of `[pipeline]`: what a pipeline is for, in its author's words.
//!
//! Knows no stage. Both are shown and used to select pipelines and runs; they enter no key, so an edit of them runs nothing.

use super::problem::Problem;
use super::read::{Reader, Values};

/// The most characters of a tag.
const LONGEST: usize = 50;

/// What a pipeline is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// A sentence or more; empty if the file has none.
    pub description: String,
    /// Words to select by, in the order of the file, each once.
    pub tags: Vec<String>,
}

impl About {
    /// Whether it has all of these tags.
    pub fn has_tags(&self, wanted: &[String]) -> bool {
        wanted.iter().all(|tag| self.tags.contains(tag))
    }

    /// For people, in one line: `does MIC help at night? (night, mic)`; empty if the file says nothing.
    pub fn line(&self) -> String {
        let description = self.description.split_whitespace().collect::<Vec<_>>().join(" ");
        let tags = if self.tags.is_empty() { String::new() } else { format!("({})", self.tags.join(", ")) };
        [description, tags].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
    }
}

/// Reads both keys.
pub(super) fn read_about(reader: &mut Reader<'_>, values: &Values) -> About {
    let mut about = About::default();
    if let Some(description) = values.get("description") {
        about.description = description.text().trim().to_owned();
        if about.description.is_empty() {
            let problem = Problem::error("`description` has only blanks").at(description.span, "expected a sentence");
            reader.problems.push(problem);
        }
    }
    for (tag, span) in values.get("tags").map(|tags| tags.texts()).unwrap_or_default() {
        if !is_tag(tag) {
            let rule = format!("expected a word without blanks and commas, at most {LONGEST} characters");
            reader.problems.push(Problem::error(format!("`{tag}` can't be a tag")).at(span, rule));
        } else if about.tags.iter().any(|known| known == tag) {
            reader.problems.push(Problem::error(format!("`tags` lists `{tag}` twice")).at(span, ""));
        } else {
            about.tags.push(tag.to_owned());
        }
    }
    about
}

/// Whether this is a word, so that it can be typed as an argument and listed in a line.
pub fn is_tag(tag: &str) -> bool {
    let is_part = |c: char| !c.is_whitespace() && !c.is_control() && c != ',';
    !tag.is_empty() && tag.chars().count() <= LONGEST && tag.chars().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_a_word_of_any_language() {
        for tag in ["night", "λ=0.6", "Zürich", "a-b_c.d", &"x".repeat(50)] {
            assert!(is_tag(tag), "{tag}");
        }
        for other in ["", "two words", "a,b", "tab\t", "line\n", &"x".repeat(51)] {
            assert!(!is_tag(other), "{other:?}");
        }
    }

    #[test]
    fn a_description_of_several_lines_is_one_line_with_its_tags() {
        let about = About { description: "Does it\n  help?".into(), tags: vec!["a".into(), "b".into()] };
        assert_eq!(about.line(), "Does it help? (a, b)");
        assert_eq!(About { tags: Vec::new(), ..about.clone() }.line(), "Does it help?");
        assert_eq!(About::default().line(), "");
        let has = |tags: &[&str]| about.has_tags(&tags.iter().map(|&tag| tag.to_owned()).collect::<Vec<_>>());
        assert!(has(&[]) && has(&["b"]) && has(&["b", "a"]) && !has(&["a", "c"]));
    }
}
