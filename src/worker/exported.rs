//! Compares the network that an exported file describes with the network that a stage reads it into.
//!
//! Names and shapes of tensors don't show how many branches a head sums, its output stride, or which class an output is
//! for. `export` writes all of that into the header of its safetensors file. Knows no format: the caller passes the header
//! as texts. Files of other programs have no such header, and older exports only part of it; missing fields are not
//! compared.

use std::path::Path;

use intrada_ml::checkpoint::Header;
use intrada_weights::shown::Shown;
use intrada_work::Failure;

/// Fields that the tensors show as well: a network of one level may drop another's auxiliary head, as its predictions are
/// the same.
const TOLD_BY_TENSORS: &[&str] = &["multi_level"];

/// The header of a file, and its path for messages.
#[derive(Clone, Copy)]
pub(crate) struct Exported<'a> {
    pub(crate) path: &'a Path,
    pub(crate) header: &'a Header,
}

impl Exported<'_> {
    /// Whether this program wrote the header: others also write an `arch`.
    fn is_ours(&self) -> bool {
        ["arch", "classes", "channel_order", "key"].iter().all(|name| self.header.contains_key(*name))
    }

    /// A warning about reading the file into a network with these values and classes, if any. `strictly`: the tensors don't
    /// fit, so any difference may be the reason.
    ///
    /// # Errors
    /// The network would compute something else, or its outputs would be assigned to other classes.
    pub(crate) fn agrees(
        &self,
        own: &[(&str, String)],
        classes: &[&str],
        strictly: bool,
    ) -> Result<Option<String>, Failure> {
        if !self.is_ours() {
            return Ok(None);
        }
        self.same_network(own, strictly)?;
        self.same_classes(classes)
    }

    fn same_network(&self, own: &[(&str, String)], strictly: bool) -> Result<(), Failure> {
        let differs = |(name, own): &(&str, String)| {
            let theirs = self.header.get(*name).filter(|theirs| *theirs != own)?;
            (strictly || !TOLD_BY_TENSORS.contains(name)).then(|| (setting(name, theirs), setting(name, own)))
        };
        let (theirs, ours): (Vec<String>, Vec<String>) = own.iter().filter_map(differs).unzip();
        if theirs.is_empty() {
            return Ok(());
        }
        let (path, theirs, ours) = (self.path.display(), theirs.join(", "), ours.join(", "));
        let message = format!("{path}: it was exported as a network with {theirs}, and is read into one with {ours}");
        Err(Failure::advised(message, format!("give the stage a model with {theirs}, or name another file")))
    }

    fn same_classes(&self, own: &[&str]) -> Result<Option<String>, Failure> {
        let theirs: Option<Vec<String>> = self.header.get("classes").and_then(|list| serde_json::from_str(list).ok());
        // A different number of classes is reported when shapes are compared.
        let Some(theirs) = theirs.filter(|theirs| theirs.len() == own.len()) else { return Ok(None) };
        let is_same = |one: &str, other: &str| one.to_lowercase() == other.to_lowercase();
        let pairs = || theirs.iter().zip(own);
        if pairs().all(|(theirs, own)| is_same(theirs, own)) {
            return Ok(None);
        }
        let lists = (listed(theirs.iter().map(String::as_str)), listed(own.iter().copied()));
        let (path, (in_file, here)) = (self.path.display(), lists);
        let moved = pairs().find(|(name, at)| !is_same(name, at) && own.iter().any(|other| is_same(name, other)));
        let Some((name, at)) = moved else {
            return Ok(Some(format!(
                "{path}: its classes are called {in_file}, those of the pipeline {here}; they are matched in \
                 this order"
            )));
        };
        let message = format!(
            "{path}: its classes are in another order: what it takes for `{}` would count as `{at}`. In the file: {in_file}; in \
             the pipeline: {here}",
            Shown(name)
        );
        Err(Failure::advised(message, "put the classes of the pipeline in the order of the file, or name another file"))
    }
}

/// As written in a pipeline file.
fn setting(name: &str, value: &str) -> String {
    match name {
        "arch" => format!("`arch = \"{}\"`", Shown(value)),
        _ => format!("`{name} = {}`", Shown(value)),
    }
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| Shown(name).to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(entries: &[(&str, &str)]) -> Header {
        let ours = [("arch", "deeplabv2-resnet50"), ("channel_order", "bgr"), ("key", "00"), ("classes", "[]")];
        ours.iter().chain(entries).map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    fn agrees(
        header: &Header,
        own: &[(&str, &str)],
        classes: &[&str],
        strictly: bool,
    ) -> Result<Option<String>, String> {
        let own: Vec<(&str, String)> = own.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Exported { path: Path::new("w"), header }.agrees(&own, classes, strictly).map_err(|failure| match failure {
            Failure::Failed { message, help, .. } => format!("{message} = {}", help.join("")),
            Failure::Interrupted { .. } => unreachable!("nobody asks it to stop"),
        })
    }

    const OWN: [(&str, &str); 3] = [("arch", "deeplabv2-resnet50"), ("multi_level", "false"), ("branches", "4")];

    #[test]
    fn a_value_that_differs_is_refused_with_both_and_the_cure() {
        let said = agrees(&header(&[("branches", "2"), ("arch", "small")]), &OWN, &[], false).unwrap_err();
        let told = "w: it was exported as a network with `arch = \"small\"`, `branches = 2`, and is read into one with `arch = \
                    \"deeplabv2-resnet50\"`, `branches = 4` = give the stage a model with `arch = \"small\"`, `branches = 2`";
        assert!(said.starts_with(told), "{said}");
        assert_eq!(agrees(&header(&[("branches", "4")]), &OWN, &[], false), Ok(None));
    }

    #[test]
    fn what_a_header_does_not_say_is_not_compared_nor_what_another_program_says() {
        assert_eq!(agrees(&header(&[]), &OWN, &["a"], true), Ok(None), "an older export");
        let foreign = Header::from([("arch", "unet"), ("branches", "7")].map(|(a, b)| (a.to_owned(), b.to_owned())));
        assert_eq!(agrees(&foreign, &OWN, &["a"], true), Ok(None));
    }

    #[test]
    fn another_number_of_levels_is_told_where_the_tensors_do_not_fit() {
        let two = header(&[("multi_level", "true")]);
        assert_eq!(agrees(&two, &OWN, &[], false), Ok(None), "its main head is the same");
        assert!(agrees(&two, &OWN, &[], true).unwrap_err().contains("a model with `multi_level = true`"));
    }

    #[test]
    fn classes_in_another_order_are_refused_and_other_names_are_doubtful() {
        let of = |classes: &str, own: &[&str]| agrees(&header(&[("classes", classes)]), &OWN, own, false);
        let file = r#"["ground","sky","car"]"#;
        assert_eq!(of(file, &["Ground", "sky", "car"]), Ok(None));
        let said = of(file, &["car", "sky", "ground"]).unwrap_err();
        let both = "In the file: ground, sky, car; in the pipeline: car, sky, ground";
        assert!(said.contains("what it takes for `ground` would count as `car`") && said.contains(both), "{said}");
        assert!(of(file, &["street", "car", "sky"]).is_err(), "some of them moved");
        let doubtful = of(file, &["road", "sky", "vehicle"]).unwrap().unwrap();
        assert!(doubtful.contains("called ground, sky, car, those of the pipeline road, sky, vehicle"), "{doubtful}");
        assert_eq!(of(file, &["a", "b"]), Ok(None), "the number is told by the shapes");
    }
}
