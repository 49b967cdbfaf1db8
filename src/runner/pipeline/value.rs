//! The value of a parameter, independent of TOML and of kinds.
//!
//! Keys hash its canonical text and `why` shows it, so equal values have equal texts however they were typed: `0.60` and `0.6`,
//! `1_000` and `1000`. The type of the key decides whether `1` is an integer or a number.

use std::fmt::{self, Write as _};

use serde::{Serialize, Serializer};

use crate::kind::Literal;

/// The value of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `true` or `false`.
    Flag(bool),
    /// An integer.
    Integer(i64),
    /// A number; finite, and never -0.
    Number(f64),
    /// A string.
    Text(String),
    /// A list of values.
    List(Vec<Value>),
}

impl Value {
    /// The canonical text of this value: JSON without spaces, numbers as the shortest text that parses to the same value.
    pub fn canonical(&self) -> String {
        self.to_string()
    }

    /// The string, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The integer, if it is one.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Value::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// The boolean, if it is one.
    pub fn as_flag(&self) -> Option<bool> {
        match self {
            Value::Flag(flag) => Some(*flag),
            _ => None,
        }
    }

    /// Whether it is one of these values of a condition: strings as they are, a boolean as `true` or `false`.
    pub fn is_among(&self, values: &[&str]) -> bool {
        match self {
            Value::Text(text) => values.contains(&text.as_str()),
            Value::Flag(flag) => values.contains(&if *flag { "true" } else { "false" }),
            _ => false,
        }
    }

    /// The elements of a list, else empty.
    pub fn elements(&self) -> &[Value] {
        match self {
            Value::List(elements) => elements,
            _ => &[],
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Flag(flag) => write!(f, "{flag}"),
            Value::Integer(number) => write!(f, "{number}"),
            // `{:?}` keeps the decimal point of integral numbers and uses exponents for very large and small ones.
            Value::Number(number) => write!(f, "{number:?}"),
            Value::Text(text) => f.write_str(&serde_json::Value::from(text.as_str()).to_string()),
            Value::List(elements) => {
                f.write_char('[')?;
                for (i, element) in elements.iter().enumerate() {
                    if i > 0 {
                        f.write_char(',')?;
                    }
                    element.fmt(f)?;
                }
                f.write_char(']')
            }
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Flag(flag) => serializer.serialize_bool(*flag),
            Value::Integer(number) => serializer.serialize_i64(*number),
            Value::Number(number) => serializer.serialize_f64(*number),
            Value::Text(text) => serializer.serialize_str(text),
            Value::List(elements) => serializer.collect_seq(elements),
        }
    }
}

impl From<Literal> for Value {
    fn from(literal: Literal) -> Value {
        match literal {
            Literal::Flag(flag) => Value::Flag(flag),
            Literal::Integer(number) => Value::Integer(number),
            Literal::Number(number) => Value::Number(number),
            Literal::Text(text) => Value::Text(text.to_owned()),
            Literal::Pair(pair) => Value::List(pair.map(Value::Number).to_vec()),
            Literal::Texts(texts) => Value::List(texts.iter().map(|&text| Value::Text(text.to_owned())).collect()),
            Literal::Size(size) => Value::List(size.map(|side| Value::Integer(side.into())).to_vec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop};
    use proptest::{prop_assert_eq, proptest};

    #[test]
    fn the_canonical_text_is_json_without_blanks() {
        let value = Value::List(vec![
            Value::Number(0.6),
            Value::Number(2.0),
            Value::Integer(2),
            Value::Flag(true),
            Value::Text("a \"b\"\n".to_owned()),
        ]);
        assert_eq!(value.canonical(), r#"[0.6,2.0,2,true,"a \"b\"\n"]"#);
    }

    proptest! {
        #[test]
        fn a_number_reads_back_from_its_canonical_text(number in prop::num::f64::NORMAL) {
            prop_assert_eq!(Value::Number(number).canonical().parse::<f64>().unwrap(), number);
        }

        #[test]
        fn a_text_reads_back_from_its_canonical_text(text in any::<String>()) {
            prop_assert_eq!(serde_json::from_str::<String>(&Value::Text(text.clone()).canonical()).unwrap(), text);
        }
    }
}
