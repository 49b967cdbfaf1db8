//! The rules by which images are chosen, and how many by each.
//!
//! Knows no image.

use serde::{Deserialize, Serialize};

/// A rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Each image with the same probability.
    Random,
    /// Those of the highest mean entropy.
    Uncertain,
    /// Those that differ most from each other.
    Diverse,
}

impl Rule {
    /// All, in the order in which they choose. Random first: what another rule had taken before couldn't be drawn.
    pub const ALL: [Rule; 3] = [Rule::Random, Rule::Uncertain, Rule::Diverse];

    /// Its name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Rule::Random => "random",
            Rule::Uncertain => "uncertain",
            Rule::Diverse => "diverse",
        }
    }

    fn of(name: &str) -> Option<Rule> {
        Rule::ALL.into_iter().find(|rule| rule.name() == name)
    }
}

/// How many images each rule chooses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mixture(Vec<(Rule, usize)>);

impl Mixture {
    /// Of `--by`, such as `random`, `random,uncertain` or `random=10,diverse=5`, and of `--count`, if given. Rules without
    /// numbers share the count, [`Mixture::USUAL`] if there is none; the first of them get one more each where it doesn't
    /// divide.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn parse(by: &str, count: Option<usize>) -> Result<Mixture, String> {
        let mut wanted: Vec<(Rule, Option<usize>)> = Vec::new();
        for part in by.split(',').map(str::trim) {
            let (name, number) = part.split_once('=').map_or((part, None), |(name, number)| (name, Some(number)));
            let rule = Rule::of(name.trim()).ok_or_else(|| format!("--by {part}: the rules are {}", names()))?;
            let number = number.map(|text| text.trim().parse::<usize>().ok().filter(|number| *number > 0));
            if number == Some(None) {
                return Err(format!("--by {part}: expected a number of images, as in {}=5", rule.name()));
            }
            if wanted.iter().any(|(other, _)| *other == rule) {
                return Err(format!("--by names {} twice", rule.name()));
            }
            wanted.push((rule, number.flatten()));
        }
        let numbers: Vec<usize> = wanted.iter().filter_map(|(_, number)| *number).collect();
        let sum: usize = numbers.iter().sum();
        let parts = match (numbers.len(), count) {
            (0, count) => shared(&wanted, count.unwrap_or(Mixture::USUAL))?,
            (given, _) if given < wanted.len() => {
                return Err("--by has a number for some rules only; give each rule one, or none".to_owned());
            }
            (_, Some(count)) if count != sum => {
                return Err(format!("--count is {count}, and the numbers of --by make {sum}; leave out --count"));
            }
            _ => wanted.iter().zip(&numbers).map(|((rule, _), number)| (*rule, *number)).collect(),
        };
        let mut parts: Vec<(Rule, usize)> = parts;
        parts.sort_unstable();
        Ok(Mixture(parts))
    }

    /// The number of images unless another is given.
    pub const USUAL: usize = 20;

    /// The rules with their numbers, in the order in which they choose.
    pub fn parts(&self) -> &[(Rule, usize)] {
        &self.0
    }

    /// How many a rule chooses.
    pub fn of(&self, rule: Rule) -> usize {
        self.0.iter().find(|(other, _)| *other == rule).map_or(0, |(_, number)| *number)
    }

    /// How many in all.
    pub fn count(&self) -> usize {
        self.0.iter().map(|(_, number)| number).sum()
    }

    /// Whether each image of the pool must be looked at: for a random draw it needn't.
    pub fn looks_at_all(&self) -> bool {
        self.of(Rule::Uncertain) + self.of(Rule::Diverse) > 0
    }
}

fn names() -> String {
    Rule::ALL.map(Rule::name).join(", ")
}

fn shared(rules: &[(Rule, Option<usize>)], count: usize) -> Result<Vec<(Rule, usize)>, String> {
    if count < rules.len() {
        return Err(format!("--count {count} is less than one image for each of {} rules", rules.len()));
    }
    let each = |place: usize| count / rules.len() + usize::from(place < count % rules.len());
    Ok(rules.iter().enumerate().map(|(place, (rule, _))| (*rule, each(place))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(by: &str, count: Option<usize>) -> Vec<(Rule, usize)> {
        Mixture::parse(by, count).unwrap().parts().to_vec()
    }

    #[test]
    fn rules_share_the_count_or_have_numbers_of_their_own() {
        use Rule::{Diverse, Random, Uncertain};
        assert_eq!(parts("random", None), [(Random, 20)]);
        assert_eq!(parts("uncertain,random", Some(7)), [(Random, 3), (Uncertain, 4)]);
        assert_eq!(parts("diverse=5, random=10", Some(15)), [(Random, 10), (Diverse, 5)]);
        assert!(!Mixture::parse("random", None).unwrap().looks_at_all());
        assert!(Mixture::parse("random=1,diverse=1", None).unwrap().looks_at_all());
    }

    #[test]
    fn what_is_wrong_with_a_mixture_is_said() {
        let told = |by: &str, count| Mixture::parse(by, count).unwrap_err();
        assert!(told("hardest", None).contains("the rules are random, uncertain, diverse"));
        assert!(told("", None).contains("the rules are"));
        assert!(told("random=", None).contains("random=5"));
        assert!(told("random=0", None).contains("random=5"));
        assert!(told("random,random", None).contains("twice"));
        assert!(told("random=3,diverse", None).contains("for some rules only"));
        assert!(told("random=3", Some(4)).contains("make 3"));
        assert!(told("random,diverse", Some(1)).contains("less than one image"));
    }
}
