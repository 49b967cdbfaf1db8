//! The defaults of a stage's parameters, as they hold for this stage: some depend on others of its parameters.

use super::{Parameter, Stage, Value};
use crate::kind::model::ARCHS;
use crate::kind::{KeySpec, Keys};

impl Stage {
    /// The key of the tables that a parameter belongs to: of the stage's kind, or of its model's architecture. `None` for those of
    /// one of several models.
    pub fn key_of(&self, parameter: &Parameter) -> Option<&'static KeySpec> {
        let find = |keys: Keys, name: &str| keys.iter().copied().flatten().find(|key| key.name == name);
        match parameter.name.strip_prefix("model.") {
            None => find(self.kind.keys, &parameter.name),
            Some(name) => {
                let arch = self.parameter("model.arch")?.as_text()?;
                find(ARCHS.iter().find(|variant| variant.name == arch)?.keys, name)
            }
        }
    }

    /// The default of a parameter, given the others; `None` if it has none.
    pub fn default_of(&self, parameter: &Parameter) -> Option<Value> {
        self.key_of(parameter)?.default_where(|only| self.meets(&only)).map(Value::from)
    }
}
