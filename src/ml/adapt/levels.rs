//! One tensor a level: the main head's, and the auxiliary head's where there is one.
//!
//! All losses are taken on both levels alike, so the loop says each of them once. It knows no loss.
use tch::Tensor;

use super::terms::LevelWeights;

/// A tensor for each level.
pub(super) struct Levels {
    pub aux: Option<Tensor>,
    pub main: Tensor,
}

impl Levels {
    pub(super) fn map(&self, mut f: impl FnMut(&Tensor) -> Tensor) -> Levels {
        Levels { aux: self.aux.as_ref().map(&mut f), main: f(&self.main) }
    }

    /// Without the auxiliary level if its loss counts nothing.
    pub(super) fn adapted(&self, weights: LevelWeights) -> Levels {
        let aux = self.aux.as_ref().filter(|_| weights.aux != 0.0).map(Tensor::shallow_clone);
        Levels { aux, main: self.main.shallow_clone() }
    }

    /// Weighted sum of two losses.
    pub(super) fn weighted(&self, weights: LevelWeights) -> Tensor {
        let main = &self.main * weights.main;
        match &self.aux {
            Some(aux) => main + aux * weights.aux,
            None => main,
        }
    }

    /// Each level's tensor under its name: aux, main.
    pub(super) fn named<N>(self, [aux, main]: [N; 2]) -> impl Iterator<Item = (N, Tensor)> {
        self.aux.map(|loss| (aux, loss)).into_iter().chain([(main, self.main)])
    }
}
