//! Manual pages of the pipeline file's tables for the terminal: `intrada-run help ranking`.
//!
//! Uses the texts of `reference`. A terminal is too narrow for a table of four columns, so each key is shown as it would be
//! typed, with its description below.

use std::iter;

use super::near::nearest;
use super::reference::{condition, meaning, other_defaults};
use super::value::Value;
use super::words::expected;
use crate::kind::{
    self, KeySpec, Kind, Presence, Variant, cache, classes, dataset, execution, executor, model, pipeline,
};

/// A manual page.
#[derive(Clone, Debug)]
pub struct Page {
    /// The word that selects it.
    pub name: &'static str,
    /// The table of the pipeline file that it describes.
    place: String,
    /// One sentence.
    pub summary: &'static str,
    body: Body,
}

#[derive(Clone, Debug)]
enum Body {
    Kind(&'static Kind),
    Keys(Vec<&'static [KeySpec]>),
    /// The keys of a stage of any kind; the kinds have pages of their own.
    Stage(&'static [KeySpec]),
    /// The forms that a key selects from.
    Forms(&'static [Variant]),
    ClassSets,
}

/// There is no such page.
#[derive(Debug, thiserror::Error)]
#[error("there is no command, kind or section called `{word}`{}", near.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
pub struct Unknown {
    word: String,
    near: Option<String>,
}

/// The names of the kinds of stages.
pub fn kinds() -> String {
    kind::ALL.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ")
}

/// All pages: the kinds, then the other sections of the file.
pub fn pages() -> Vec<Page> {
    let kinds = kind::ALL.iter().map(|kind| Page {
        name: kind.name,
        place: format!("[stages.<name>] with kind = \"{}\"", kind.name),
        summary: kind.summary,
        body: Body::Kind(kind),
    });
    let forms = |section: &'static str, by: &'static str, variants: &'static [Variant]| {
        variants.iter().map(move |variant| Page {
            name: variant.name,
            place: format!("[{section}.<name>] with {by} = \"{}\"", variant.name),
            summary: variant.summary,
            body: Body::Keys(variant.keys.to_vec()),
        })
    };
    let section = |name, place: &str, summary, body| iter::once(Page { name, place: place.to_owned(), summary, body });
    let keys = |keys: &'static [KeySpec]| Body::Keys(vec![keys]);
    let (formats, archs) = (Body::Forms(dataset::FORMATS), Body::Forms(model::ARCHS));
    let systems = Body::Forms(executor::SYSTEMS);
    kinds
        .chain(section("stage", "[stages.<name>]", "How a stage of any kind is run.", Body::Stage(execution::KEYS)))
        .chain(section("dataset", "[datasets.<name>]", "Where images come from; `format` selects the layout.", formats))
        .chain(forms("datasets", "format", dataset::FORMATS))
        .chain(section("model", "[models.<name>]", "The networks; `arch` selects the architecture.", archs))
        .chain(forms("models", "arch", model::ARCHS))
        .chain(section(
            "executor",
            "[executors.<name>]",
            "Batch systems to run stages on; `kind` selects which.",
            systems,
        ))
        .chain(forms("executors", "kind", executor::SYSTEMS))
        .chain(section("pipeline", "[pipeline]", "Settings for all stages.", keys(pipeline::KEYS)))
        .chain(section("resources", "[resources]", "Resources for running stages.", keys(execution::RESOURCES)))
        .chain(section("cache", "[cache]", "Who signs results, and whose results count.", keys(cache::KEYS)))
        .chain(section("upstream", "[[cache.upstream]]", "Shared caches.", keys(cache::UPSTREAM_KEYS)))
        .chain(section("classes", "[[classes]]", "Custom classes, and the named class sets.", Body::ClassSets))
        .collect()
}

/// The page that `words` select, in lines of at most `columns`: `ranking`, `dataset`, `dataset folder`.
///
/// # Errors
/// There is no such page; the error suggests a near one, among the pages and `others`.
pub fn page(words: &[String], others: &[&str], columns: usize) -> Result<String, Unknown> {
    let all = pages();
    let word = match words {
        [section, word] if ["stage", "dataset", "model", "executor"].contains(&section.as_str()) => word.clone(),
        words => words.join(" "),
    };
    match all.iter().find(|page| page.name == word) {
        Some(page) => Ok(page.write(columns)),
        None => {
            let near = nearest(&word, all.iter().map(|page| page.name).chain(others.iter().copied()));
            Err(Unknown { near: near.map(str::to_owned), word })
        }
    }
}

impl Page {
    fn write(&self, columns: usize) -> String {
        let mut sheet = Sheet { text: format!("{}\n", self.place), columns };
        sheet.paragraph(0, self.summary);
        match &self.body {
            Body::Keys(keys) => sheet.keys(keys),
            Body::Stage(keys) => {
                sheet.keys(&[keys]);
                sheet.text += &format!("\nThe kinds, each with a page of its own: {}\n", kinds());
            }
            Body::Kind(kind) => sheet.kind(kind),
            Body::Forms(variants) => {
                for Variant { name, summary, .. } in *variants {
                    sheet.text += &format!("\n  {name}\n");
                    sheet.paragraph(6, summary);
                }
                sheet.text += &format!("\nKeys of one of these: intrada-run help {}\n", variants[0].name);
            }
            Body::ClassSets => {
                sheet.keys(&[pipeline::CLASS_KEYS]);
                for set in classes::SETS {
                    sheet.text += &format!("\n  {}\n", set.name);
                    sheet.paragraph(6, &set.classes.iter().map(|class| class.name).collect::<Vec<_>>().join(", "));
                }
            }
        }
        sheet.text
    }
}

/// Text that grows downwards.
struct Sheet {
    text: String,
    columns: usize,
}

impl Sheet {
    fn kind(&mut self, kind: &Kind) {
        self.keys(kind.keys);
        if !kind.exactly_one.is_empty() {
            self.text += &format!("\nExactly one of `{}` is required.\n", kind.exactly_one.join("` and `"));
        }
        if !kind.outputs.is_empty() {
            self.text += "\nOutputs\n";
        }
        for output in kind.outputs {
            let only = output.only.map(|only| format!(" (only if {})", condition(only))).unwrap_or_default();
            let slash = if output.folder { "/" } else { "" };
            self.text += &format!("  {:<15} {}{slash}\n", output.name, output.path);
            self.paragraph(18, &format!("{}{only}", output.role.words()));
        }
        self.text += "\nKeys of every stage: intrada-run help stage\n";
    }

    fn keys(&mut self, keys: &[&[KeySpec]]) {
        for key in keys.iter().copied().flatten() {
            let presence = match key.presence {
                Presence::Required => "  (required)".to_owned(),
                Presence::Optional => "  (optional)".to_owned(),
                Presence::Default(literal) => {
                    format!(" = {}{}", Value::from(literal).to_string().replace(',', ", "), other_defaults(key))
                }
                Presence::OfPipeline => "  (default: the pipeline's)".to_owned(),
            };
            self.text += &format!("\n  {}{presence}\n", key.name);
            self.paragraph(6, &expected(key.value_type));
            self.paragraph(6, &meaning(key));
            if !key.origin.is_empty() {
                self.paragraph(6, &format!("From: {}.", key.origin));
            }
        }
    }

    /// Words one after the other, each line from the column `indent` on.
    fn paragraph(&mut self, indent: usize, words: &str) {
        let mut width = 0;
        for word in words.split_whitespace() {
            let length = word.chars().count();
            if width > 0 && width + 1 + length <= self.columns {
                self.text += " ";
                width += 1;
            } else {
                self.text += if width > 0 { "\n" } else { "" };
                self.text += &" ".repeat(indent);
                width = indent;
            }
            self.text += word;
            width += length;
        }
        self.text += "\n";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(words: &str) -> Result<String, Unknown> {
        page(&words.split(' ').map(str::to_owned).collect::<Vec<_>>(), &["plan"], 60)
    }

    #[test]
    fn a_kind_says_its_keys_as_they_are_typed_its_defaults_and_what_it_gives() {
        let text = asked("ranking").unwrap();
        assert!(text.starts_with("[stages.<name>] with kind = \"ranking\"\nEntropy-based ranking: "), "{text}");
        assert!(text.contains("\n  scores  (required)\n"), "{text}");
        let lambda = "
  lambda = 0.67
      a number, between 0 and 1, both excluded
      λ = |easy| / |target|, the fraction of easy images.
      From: IntraDA, entropy.py: --lambda1.
";
        assert!(text.contains(lambda), "{text}");
        assert!(text.contains("  easy            easy_split.txt\n"), "{text}");
    }

    #[test]
    fn every_page_has_a_name_of_its_own_and_no_line_that_could_be_broken_is_too_long() {
        let mut names: Vec<&str> = pages().iter().map(|page| page.name).collect();
        for name in &names {
            let text = asked(name).unwrap();
            let is_too_long = |line: &&str| line.chars().count() > 60 && line.trim_start().contains(' ');
            assert_eq!(text.lines().filter(|line| line.starts_with("      ")).find(is_too_long), None);
        }
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn the_page_of_stages_names_every_kind() {
        let text = asked("stage").unwrap();
        assert!(kind::ALL.iter().all(|kind| text.contains(kind.name)), "{text}");
    }

    #[test]
    fn a_section_lists_its_forms_and_a_form_is_found_with_and_without_it() {
        assert!(asked("dataset").unwrap().contains("\n  cityscapes\n      Cityscapes with fine"));
        assert_eq!(asked("dataset folder").unwrap(), asked("folder").unwrap());
    }

    #[test]
    fn an_unknown_word_is_told_what_is_near_it_among_pages_and_commands() {
        let said = |words| asked(words).unwrap_err().to_string();
        assert_eq!(said("rankin"), "there is no command, kind or section called `rankin`; did you mean `ranking`?");
        assert!(said("paln").ends_with("did you mean `plan`?"));
        assert!(said("dataset foldr").ends_with("`foldr`; did you mean `folder`?"));
        assert!(said("xyz").ends_with("called `xyz`"));
    }
}
