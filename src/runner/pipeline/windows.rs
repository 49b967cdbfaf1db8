//! The window of a stage that predicts: what its keys and its network must be to one another, and the default stride.
//!
//! Knows no image: one that is smaller than a window is seen whole.

use super::problem::Problem;
use super::resolve::{Building, Resolver};
use super::typed::Typed;
use super::value::Value;
use super::{Parameter, Stage};
use crate::kind::Role;
use crate::kind::model::smallest_side;
use crate::kind::viewing::{STRIDE, WINDOW, default_stride};

impl Resolver<'_> {
    /// Checks the window of a stage whose models are known, and adds a stride to it if there is none.
    pub(super) fn window(&mut self, building: &mut Building<'_>) {
        let values = &building.table.values;
        let Some(window) = values.get(WINDOW) else { return };
        self.problems.extend(too_small(window, &building.model));
        match values.get(STRIDE) {
            Some(stride) => self.problems.extend(too_far(window, stride)),
            None if values.has(STRIDE) => {}
            None => {
                let sides = default_stride(sides(&window.value)).map(Value::Integer).to_vec();
                let (name, value) = (STRIDE.to_owned(), Value::List(sides));
                building.stage.parameters.push(Parameter { name, value, role: Role::Meaning, span: window.span });
            }
        }
    }
}

impl Stage {
    /// Whether it sees its images window by window, if it predicts.
    pub fn has_window(&self) -> bool {
        !self.is_training() && self.parameter(WINDOW).is_some()
    }
}

fn sides(value: &Value) -> [i64; 2] {
    [0, 1].map(|axis| value.elements().get(axis).and_then(Value::as_integer).unwrap_or_default())
}

/// A network has a smallest image, and windows are its images.
fn too_small(window: &Typed, models: &[Parameter]) -> Option<Problem> {
    let shorter = sides(&window.value).into_iter().min()?;
    let archs = models.iter().filter(|parameter| parameter.name.ends_with(".arch"));
    let least = archs.filter_map(|arch| Some((i64::from(smallest_side(arch.value.as_text()?)), arch.value.as_text()?)));
    let (least, arch) = least.max()?;
    let title = format!("`{WINDOW}` is too small for `{arch}`, which needs {least} pixels a side");
    (shorter < least).then(|| Problem::error(title).at(window.span, ""))
}

/// Windows that are farther apart than they are large.
fn too_far(window: &Typed, stride: &Typed) -> Option<Problem> {
    let [size, steps] = [window, stride].map(|typed| sides(&typed.value));
    let is_farther = steps.into_iter().zip(size).any(|(step, side)| step > side);
    let title = format!("`{STRIDE}` is larger than `{WINDOW}`: pixels between two windows would not be seen");
    let most = format!("at most [{}, {}]", size[0], size[1]);
    is_farther.then(|| Problem::error(title).at(stride.span, most).beside(window.span, ""))
}
