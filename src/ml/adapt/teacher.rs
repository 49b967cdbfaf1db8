//! The mean teacher: a second network whose weights are an average of the student's over time.
//!
//! Its checkpoint state is all of its tensors; how often it has averaged is the iteration's number. The released code keeps no
//! such counter, so that a resumed training restarts its teacher. What is learnt from its pseudo-labels is the loop's.
use tch::{Tensor, no_grad};

use super::terms::Teacher as Terms;
use crate::equations::teacher_keeps;
use crate::network::Network;

/// A teacher at work.
pub(super) struct Teacher<'a> {
    pub network: &'a dyn Network,
    alpha: f64,
    /// Ours and the student's, of each parameter.
    parameters: Vec<(Tensor, Tensor)>,
    /// The same of everything else: running statistics and counters.
    buffers: Vec<(Tensor, Tensor)>,
    /// Whether it looks at images, which moves its own running statistics.
    is_asked: bool,
}

impl<'a> Teacher<'a> {
    /// `is_asked`: whether pseudo-labels are wanted of it.
    pub(super) fn new(network: &'a dyn Network, student: &dyn Network, terms: &Terms, is_asked: bool) -> Teacher<'a> {
        let of_student = student.state();
        let is_learnt: std::collections::HashSet<String> = student.parameters().into_iter().map(|p| p.name).collect();
        let mut pairs = (Vec::new(), Vec::new());
        for ((name, ours), (other, theirs)) in network.state().into_iter().zip(of_student) {
            assert_eq!(name, other, "teacher and student are networks of the same kind");
            let ours = ours.set_requires_grad(false);
            let side = if is_learnt.contains(&name) { &mut pairs.0 } else { &mut pairs.1 };
            side.push((ours, theirs));
        }
        let (parameters, buffers) = pairs;
        Teacher { network, alpha: terms.alpha, parameters, buffers, is_asked }
    }

    /// Takes in the student as it is at the start of an iteration: a copy at first, then parameters by their average and no
    /// buffers (DAFormer, `dacs.py`), which its own batches move. One that sees no batch takes the student's.
    pub(super) fn follow(&mut self, iteration: u64) {
        let keeps = teacher_keeps(iteration, self.alpha);
        no_grad(|| {
            for (ours, theirs) in &mut self.parameters {
                if iteration == 0 {
                    ours.copy_(theirs);
                } else {
                    let share = theirs.detach() * (1.0 - keeps);
                    let _ = ours.g_mul_scalar_(keeps).g_add_(&share);
                }
            }
            if iteration == 0 || !self.is_asked {
                self.buffers.iter_mut().for_each(|(ours, theirs)| ours.copy_(theirs));
            }
        });
    }

    /// All its tensors by key.
    pub(super) fn state(&self) -> Vec<(String, Tensor)> {
        self.network.state()
    }
}
