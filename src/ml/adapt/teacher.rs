//! The mean teacher: a second network whose weights are an average of the student's over time.
//!
//! Its checkpoint state is all of its tensors; how often it has averaged is the iteration's number. The released code keeps no
//! such counter, so that a resumed training restarts its teacher. What is learnt from its pseudo-labels is the loop's.
use intrada_shim::fused;
use tch::{Tensor, no_grad};

use super::terms::Teacher as Terms;
use crate::equations::teacher_keeps;
use crate::network::Network;

/// A teacher at work.
pub(super) struct Teacher<'a> {
    pub network: &'a dyn Network,
    alpha: f64,
    /// Ours and the student's parameters, in the same order.
    parameters: [Vec<Tensor>; 2],
    /// Ours and the student's of everything else: running statistics and counters.
    buffers: Vec<(Tensor, Tensor)>,
    /// Whether it looks at images, which moves its own running statistics.
    is_asked: bool,
}

impl<'a> Teacher<'a> {
    /// `is_asked`: whether pseudo-labels are wanted of it.
    pub(super) fn new(network: &'a dyn Network, student: &dyn Network, terms: &Terms, is_asked: bool) -> Teacher<'a> {
        let of_student = student.state();
        let is_learnt: std::collections::HashSet<String> = student.parameters().into_iter().map(|p| p.name).collect();
        let (mut parameters, mut buffers) = ([Vec::new(), Vec::new()], Vec::new());
        for ((name, ours), (other, theirs)) in network.state().into_iter().zip(of_student) {
            assert_eq!(name, other, "teacher and student are networks of the same kind");
            let ours = ours.set_requires_grad(false);
            if is_learnt.contains(&name) {
                let [all, all_theirs] = &mut parameters;
                all.push(ours);
                all_theirs.push(theirs);
            } else {
                buffers.push((ours, theirs));
            }
        }
        Teacher { network, alpha: terms.alpha, parameters, buffers, is_asked }
    }

    /// Takes in the student as it is at the start of an iteration: a copy at first, then parameters by their average and no
    /// buffers (DAFormer, `dacs.py`), which its own batches move. One that sees no batch takes the student's.
    pub(super) fn follow(&mut self, iteration: u64) {
        let keeps = teacher_keeps(iteration, self.alpha);
        let [ours, theirs] = &mut self.parameters;
        no_grad(|| {
            if iteration == 0 {
                ours.iter_mut().zip(&*theirs).for_each(|(ours, theirs)| ours.copy_(theirs));
            } else {
                fused::lerp(ours, theirs, 1.0 - keeps).expect("teacher and student are networks of the same kind");
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
