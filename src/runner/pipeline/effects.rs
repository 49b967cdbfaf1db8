//! Warns of keys of a training that have no effect with its network.
//!
//! Knows no network, only its table. Keys that depend on another key of the same table are checked where that is read.

use super::models::Model;
use super::problem::Problem;
use super::read::Values;
use super::value::Value;

/// The keys of the auxiliary level.
const AUXILIARY: [&str; 4] =
    ["segmentation_weight_aux", "entropy_weight_aux", "adversarial_weight_aux", "discriminator_init_aux"];

/// Those of a training with this model.
pub(super) fn without_effect(values: &Values, model: &Model) -> Vec<Problem> {
    let of_model = |key: &str| model.parameters.iter().find(|(name, ..)| name == key).map(|(_, value, _)| value);
    let arch = of_model("arch").and_then(Value::as_text).unwrap_or_default();
    let mut found = Vec::new();
    let mut tell = |key: &str, why: String| {
        if let Some(typed) = values.get(key).filter(|typed| !is_off(&typed.value)) {
            let title = format!("`{key}` has no effect here: {why}");
            found.push(Problem::warning(title).at(typed.span, "").help("leave it out"));
        }
    };
    let without_aux = match of_model("multi_level") {
        None => Some(format!("{arch} has no auxiliary head")),
        Some(Value::Flag(false)) => {
            Some(format!("the model `{}` has no auxiliary head (`multi_level = false`)", model.name))
        }
        Some(_) => None,
    };
    if let Some(why) = without_aux {
        for key in AUXILIARY {
            tell(key, why.clone());
        }
    } else if values.value("adversarial_weight_aux").as_ref().is_some_and(is_off) {
        let why = "the auxiliary level has no discriminator (`adversarial_weight_aux = 0`)";
        tell("discriminator_init_aux", why.to_owned());
    }
    if !arch.starts_with("deeplabv2") {
        tell(
            "parameter_repeats",
            format!("only networks of DeepLab-v2 have such parameters, and `{}` is {arch}", model.name),
        );
    }
    found
}

/// Whether the value means no effect.
fn is_off(value: &Value) -> bool {
    *value == Value::Number(0.0) || value.as_text() == Some("once")
}
