//! The lists in a folder of chosen images, which `label` writes, and whether two data sets have images in common as far as their lists
//! tell.
//!
//! Reads no file: `plan` compares the images themselves before a run, but reports and tables must know it where the images are away.

use super::{Dataset, Format};

/// The images that have labels, one a line.
pub const LABELLED: &str = "labelled.txt";
/// Those of them that were drawn at random, if all of these have labels.
pub const RANDOM: &str = "random.txt";
/// Those of them that weren't.
pub const NOT_RANDOM: &str = "not-random.txt";

/// Whether two data sets of one folder have images in common: the same list of it or none, or two lists of chosen images of which one
/// holds the other. Other lists may be anything.
pub(super) fn have_images_in_common(one: &Dataset, other: &Dataset) -> bool {
    let (Format::Folder { root, list, .. }, Format::Folder { root: other_root, list: other_list, .. }) =
        (&one.format, &other.format)
    else {
        return false;
    };
    if root != other_root {
        return false;
    }
    let (Some(list), Some(other_list)) = (list, other_list) else { return true };
    let names = [list, other_list].map(|list| list.file_name().and_then(|name| name.to_str()));
    let is_part = |name: Option<&str>| name.is_some_and(|name| [LABELLED, RANDOM, NOT_RANDOM].contains(&name));
    let is_in_it = list.starts_with(root) && other_list.starts_with(root);
    list == other_list || is_in_it && names.into_iter().all(is_part) && names.contains(&Some(LABELLED))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::load;

    #[test]
    fn lists_tell_whether_data_sets_have_images_in_common() {
        let dir = tempfile::tempdir().unwrap();
        let sets = ["labelled", "random", "not-random", "some", "other"];
        let set =
            |name: &&str| format!("[datasets.{name}]\nformat = \"folder\"\nroot = \"L\"\nlist = \"L/{name}.txt\"\n");
        let text = format!(
            "format = 1\n[pipeline]\nclasses = \"idd-7\"\n{}[datasets.all]\nformat = \"folder\"\nroot = \"L\"\n\
             [datasets.away]\nformat = \"folder\"\nroot = \"M\"\n[stages.c]\nkind = \"command\"\ncommand = [\"true\"]\n\
             outputs = [\"o\"]\n",
            sets.iter().map(set).collect::<String>()
        );
        let file = dir.path().join("p.toml");
        std::fs::write(&file, text).unwrap();
        let pipeline = load(&file, &[]).unwrap_or_else(|problems| panic!("{problems}"));
        let of = |name: &str| pipeline.datasets.iter().find(|dataset| dataset.name == name).unwrap();
        let have = |one: &str, other: &str| have_images_in_common(of(one), of(other));
        assert!(
            have("some", "some") && have("some", "all") && have("labelled", "random") && have("not-random", "labelled")
        );
        assert!(
            !have("random", "not-random")
                && !have("some", "other")
                && !have("labelled", "some")
                && !have("all", "away")
        );
    }
}
