//! SGD, Adam and AdamW by libtorch's fused kernels, as PyTorch's `fused = True`, and schedules.
//!
//! tch has both, but keeps their momentum inside C++ where it can't be saved, which resuming bit-identically requires. A fused step
//! passes over memory once, and rounds less: a product and a sum at a time. They know named parameters and gradients; losses and the
//! time of a step are the loop's concern.
use intrada_shim::fused;
use serde::{Deserialize, Serialize};
use tch::{Tensor, no_grad};

use crate::network::{Parameter, RateGroup};

/// DeepLab's "poly" schedule: base · (1 − i/max)^power, for iteration i = 0, 1, …, max.
pub fn polynomial(base: f64, iteration: u64, max: u64, power: f64) -> f64 {
    base * (1.0 - iteration as f64 / max as f64).powf(power)
}

/// A polynomial schedule that begins slowly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// The rate at iteration 0, but for the warm-up.
    pub base: f64,
    /// The iteration at which it would reach 0.
    pub max: u64,
    /// The polynomial's exponent.
    pub power: f64,
    /// How many iterations the warm-up takes; 0: none.
    pub warmup: u64,
    /// The share of the rate at which the warm-up begins.
    pub warmup_ratio: f64,
}

impl Schedule {
    /// The rate of an iteration, from 0. During the warm-up the *decaying* rate is multiplied by a factor that grows linearly to
    /// 1 (mmcv 1.3.7, `hooks/lr_updater.py`, `warmup = "linear"`), not a constant one.
    pub fn at(self, iteration: u64) -> f64 {
        let rate = polynomial(self.base, iteration, self.max, self.power);
        if iteration >= self.warmup {
            return rate;
        }
        rate * (1.0 - (1.0 - iteration as f64 / self.warmup as f64) * (1.0 - self.warmup_ratio))
    }
}

/// The learning rates of one step.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// Of [`RateGroup::Body`].
    pub body: f64,
    /// Of [`RateGroup::Head`].
    pub head: f64,
}

impl Rates {
    fn of(self, group: RateGroup) -> f64 {
        match group {
            RateGroup::Body => self.body,
            RateGroup::Head => self.head,
        }
    }
}

/// Where [`fused`] refuses.
const BELONG_TOGETHER: &str = "state is made like its parameters, and gradients are by libtorch";

/// The interface between optimiser and adaptation loop.
pub trait Optimizer {
    /// Leaves all parameters without gradients, as PyTorch's `zero_grad` does.
    fn zero_grad(&mut self);

    /// Updates the parameters with their gradients. A parameter without a gradient stays, without decay.
    fn step(&mut self, rates: Rates);

    /// Scales all gradients down so that their common Euclidean norm is at most `largest`, as PyTorch's `clip_grad_norm_`.
    fn clip(&mut self, largest: f64);

    /// Shallow copies of the live state by name, for saving, or for copying into on resume.
    fn state(&self) -> Vec<(String, Tensor)>;

    /// Steps taken so far: the only part of the state that is not a tensor.
    fn steps(&self) -> u64;

    /// On resume, in addition to copying into [`Optimizer::state`].
    fn set_steps(&mut self, steps: u64);
}

/// How parameters are treated that the released code passes to SGD repeatedly ([`Parameter::repeats`]): PyTorch applies the
/// update once each time, and the momentum depends on which of its loops runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Repeats {
    /// Every parameter is moved once, as the papers say. With the released rates the body then learns at about a third
    /// of the released speed.
    #[default]
    Once,
    /// One update after the other, each with the decay of where the parameter is by then: PyTorch's plain loop, which a CPU
    /// runs. In the first step each of them starts a buffer of its own and the last one is kept.
    Released,
    /// All at once: gradients and decay of one place summed, momentum kept k times over. PyTorch's multi-tensor loop, which
    /// a GPU runs.
    MultiTensor,
}

/// Stochastic gradient descent with momentum; no Nesterov, dampening 0.
pub struct Sgd {
    parameters: Vec<Parameter>,
    repeats: Repeats,
    momentum: f64,
    weight_decay: f64,
    steps: u64,
    buffers: Vec<Tensor>,
}

impl Sgd {
    /// `weight_decay` acts on all parameters, biases too, as in the released code.
    pub fn new(parameters: Vec<Parameter>, momentum: f64, weight_decay: f64, repeats: Repeats) -> Sgd {
        let buffers = zeros_like(&parameters);
        Sgd { parameters, repeats, momentum, weight_decay, steps: 0, buffers }
    }
}

impl Optimizer for Sgd {
    fn zero_grad(&mut self) {
        zero_grad(&self.parameters);
    }

    fn step(&mut self, rates: Rates) {
        let is_first = self.steps == 0;
        self.steps += 1;
        for batch in batches(&self.parameters, |p| (p.group, p.repeats)) {
            let (group, repeats) = batch.by;
            // Updates one after the other, and how many are made at once in each.
            let (times, at_once) = match self.repeats {
                Repeats::Once => (1, 1),
                Repeats::Released => (repeats, 1),
                Repeats::MultiTensor => (1, repeats),
            };
            let how = fused::Sgd {
                rate: rates.of(group) * f64::from(at_once),
                decay: self.weight_decay,
                momentum: self.momentum.powi(at_once as i32),
                // In the first step every buffer of the multi-tensor loop is a new one, of one gradient; `is_first` ignores this.
                dampening: 1.0 - f64::from(at_once),
                is_first,
            };
            let buffers = batch.of(&self.buffers);
            for _ in 0..times {
                fused::sgd(&batch.parameters, &batch.gradients, &buffers, how).expect(BELONG_TOGETHER);
            }
        }
    }

    fn clip(&mut self, largest: f64) {
        clip(&self.parameters, largest);
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        named("momentum", &self.parameters, &self.buffers).collect()
    }

    fn steps(&self) -> u64 {
        self.steps
    }

    fn set_steps(&mut self, steps: u64) {
        self.steps = steps;
    }
}

/// Weight decay of [`Adam`] that is no part of the gradient (arXiv 1711.05101): w ← w·(1 − rate·decay) before the step.
#[derive(Clone, Debug, PartialEq)]
pub struct DecoupledDecay {
    /// How strongly.
    pub decay: f64,
    /// Parameters of the body that have one of these in their names aren't decayed: `norm` in DAFormer's configuration. Heads
    /// are decayed whatever their names, and so are all biases.
    pub exempt: Vec<String>,
}

impl DecoupledDecay {
    fn of(&self, parameter: &Parameter) -> f64 {
        let is_exempt =
            parameter.group == RateGroup::Body && self.exempt.iter().any(|part| parameter.name.contains(part));
        if is_exempt { 0.0 } else { self.decay }
    }
}

/// Adam (arXiv 1412.6980) with ε = 1e-8: without weight decay, as the released code's discriminators use it, or with a decoupled
/// one, as AdamW.
pub struct Adam {
    parameters: Vec<Parameter>,
    betas: (f64, f64),
    decay: Option<DecoupledDecay>,
    steps: u64,
    first: Vec<Tensor>,
    second: Vec<Tensor>,
}

impl Adam {
    const EPSILON: f64 = 1e-8;

    /// `betas`: decay of the first and of the second moment. `repeats` is only for SGD and ignored here.
    pub fn new(parameters: Vec<Parameter>, betas: (f64, f64)) -> Adam {
        let (first, second) = (zeros_like(&parameters), zeros_like(&parameters));
        Adam { parameters, betas, decay: None, steps: 0, first, second }
    }

    /// AdamW.
    pub fn decoupled(parameters: Vec<Parameter>, betas: (f64, f64), decay: DecoupledDecay) -> Adam {
        Adam { decay: Some(decay), ..Adam::new(parameters, betas) }
    }
}

impl Optimizer for Adam {
    fn zero_grad(&mut self) {
        zero_grad(&self.parameters);
    }

    fn step(&mut self, rates: Rates) {
        self.steps += 1;
        let decay_of = |p: &Parameter| self.decay.as_ref().map_or(0.0, |decay| decay.of(p));
        for batch in batches(&self.parameters, |p| (p.group, decay_of(p))) {
            let (group, decay) = batch.by;
            let rate = rates.of(group);
            let how = fused::AdamW { step: self.steps, rate, betas: self.betas, decay, epsilon: Self::EPSILON };
            let moments = [&self.first, &self.second].map(|moments| batch.of(moments));
            let [first, second] = &moments;
            fused::adamw(&batch.parameters, &batch.gradients, [first, second], how).expect(BELONG_TOGETHER);
        }
    }

    fn clip(&mut self, largest: f64) {
        clip(&self.parameters, largest);
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        let first = named("first", &self.parameters, &self.first);
        first.chain(named("second", &self.parameters, &self.second)).collect()
    }

    fn steps(&self) -> u64 {
        self.steps
    }

    fn set_steps(&mut self, steps: u64) {
        self.steps = steps;
    }
}

/// Parameters that have a gradient and are moved by the same numbers.
struct Batch<By> {
    by: By,
    /// Their places among all parameters.
    places: Vec<usize>,
    parameters: Vec<Tensor>,
    gradients: Vec<Tensor>,
}

impl<By> Batch<By> {
    /// Theirs out of a list with one tensor for each parameter.
    fn of(&self, state: &[Tensor]) -> Vec<Tensor> {
        self.places.iter().map(|place| state[*place].shallow_clone()).collect()
    }
}

/// All parameters that have a gradient, in their order within each batch.
fn batches<By: PartialEq>(parameters: &[Parameter], by: impl Fn(&Parameter) -> By) -> Vec<Batch<By>> {
    let mut batches: Vec<Batch<By>> = Vec::new();
    for (place, parameter) in parameters.iter().enumerate() {
        let gradient = parameter.tensor.grad();
        if !gradient.defined() {
            continue;
        }
        let by = by(parameter);
        let index = batches.iter().position(|batch| batch.by == by).unwrap_or_else(|| {
            batches.push(Batch { by, places: Vec::new(), parameters: Vec::new(), gradients: Vec::new() });
            batches.len() - 1
        });
        let batch = &mut batches[index];
        batch.places.push(place);
        batch.parameters.push(parameter.tensor.shallow_clone());
        batch.gradients.push(gradient);
    }
    batches
}

fn clip(parameters: &[Parameter], largest: f64) {
    no_grad(|| {
        let gradients: Vec<Tensor> = parameters.iter().map(|p| p.tensor.grad()).filter(Tensor::defined).collect();
        let norms: Vec<Tensor> = gradients.iter().map(Tensor::norm).collect();
        if norms.is_empty() {
            return;
        }
        let factor = (largest / (Tensor::stack(&norms, 0).norm() + 1e-6)).clamp_max(1.0);
        for mut gradient in gradients {
            let _ = gradient.g_mul_(&factor);
        }
    });
}

fn zero_grad(parameters: &[Parameter]) {
    let tensors: Vec<Tensor> = parameters.iter().map(|p| p.tensor.shallow_clone()).collect();
    intrada_shim::drop_gradients(&tensors).expect("parameters can have gradients");
}

fn zeros_like(parameters: &[Parameter]) -> Vec<Tensor> {
    parameters.iter().map(|p| p.tensor.detach().zeros_like()).collect()
}

fn named<'a>(
    what: &'a str,
    parameters: &'a [Parameter],
    tensors: &'a [Tensor],
) -> impl Iterator<Item = (String, Tensor)> + 'a {
    parameters.iter().zip(tensors).map(move |(p, t)| (format!("{what}.{}", p.name), t.shallow_clone()))
}

#[cfg(test)]
mod tests;
