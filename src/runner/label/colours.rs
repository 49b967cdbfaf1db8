//! The colours of the classes in label tools, no two the same: a colour is all that a mask says of a class.

use std::collections::HashSet;

use super::folder::LabelClass;
use super::format::BACKGROUND;
use crate::digest::Digest;
use crate::exec::job::Class;

/// The classes in colours that differ, each in its own where no earlier one has it. Black means no label, except of a class that is
/// called as tools call what has none.
pub(super) fn distinct(classes: &[Class]) -> Vec<LabelClass> {
    const BLACK: [u8; 3] = [0; 3];
    let mut used: HashSet<[u8; 3]> = HashSet::new();
    let has_background = classes.iter().any(|class| class.name == BACKGROUND);
    used.insert(BLACK);
    let own: HashSet<[u8; 3]> = classes.iter().map(|class| class.colour).collect();
    let other = |class: &Class, used: &HashSet<[u8; 3]>| {
        let drawn = (0_u32..).map(|number| {
            let digest = Digest::of(format!("{number} {}", class.name).as_bytes());
            let [red, green, blue, ..] = *digest.as_bytes();
            [red, green, blue]
        });
        drawn
            .into_iter()
            .find(|colour| !used.contains(colour) && !own.contains(colour))
            .expect("there are 2^24 colours")
    };
    let colour = |class: &Class| {
        if has_background && class.name == BACKGROUND {
            return BLACK;
        }
        let colour = if used.contains(&class.colour) { other(class, &used) } else { class.colour };
        used.insert(colour);
        colour
    };
    let colours: Vec<[u8; 3]> = classes.iter().map(colour).collect();
    classes.iter().zip(colours).map(|(class, colour)| LabelClass { name: class.name.clone(), colour }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn colours(classes: &[(&str, [u8; 3])]) -> Vec<[u8; 3]> {
        let class = |(name, colour): &(&str, [u8; 3])| Class {
            name: (*name).to_owned(),
            colour: *colour,
            rare: false,
            thing: false,
        };
        let classes: Vec<Class> = classes.iter().map(class).collect();
        distinct(&classes).into_iter().map(|class| class.colour).collect()
    }

    #[test]
    fn a_class_keeps_its_colour_unless_another_has_it_or_it_means_no_label() {
        let given = [("a", [1, 2, 3]), ("b", [1, 2, 3]), ("c", [0; 3]), ("d", [9; 3])];
        let found = colours(&given);
        assert_eq!((found[0], found[3]), ([1, 2, 3], [9; 3]));
        let all: HashSet<[u8; 3]> = found.iter().copied().chain([[0; 3]]).collect();
        assert_eq!(all.len(), 5, "{found:?}");
        assert_eq!(found, colours(&given), "the same each time");
    }

    #[test]
    fn a_class_called_background_is_black_as_what_has_no_label() {
        assert_eq!(colours(&[("background", [7; 3]), ("object", [0; 3])])[0], [0; 3]);
        assert_ne!(colours(&[("background", [7; 3]), ("object", [0; 3])])[1], [0; 3]);
    }
}
