//! SGD, Adam and AdamW, operation by operation like PyTorch's plain loops (`torch/optim/sgd.py`, `adam.py`), and schedules.
//!
//! tch has both, but keeps their momentum inside C++ where it can't be saved, which resuming bit-identically requires. They
//! know named parameters and gradients; losses and the time of a step are the loop's concern.
use serde::{Deserialize, Serialize};
use tch::{Tensor, no_grad};

use crate::cpu;
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

/// The interface between optimiser and adaptation loop.
pub trait Optimizer {
    /// Sets all gradients to zero.
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
        zero_grad(&mut self.parameters);
    }

    fn step(&mut self, rates: Rates) {
        let momentum = if self.steps == 0 { 0.0 } else { self.momentum };
        self.steps += 1;
        no_grad(|| {
            for (p, buffer) in self.parameters.iter_mut().zip(&mut self.buffers) {
                let gradient = p.tensor.grad();
                if !gradient.defined() {
                    continue;
                }
                // Updates one after the other, and how many are made at once in each.
                let (times, at_once) = match self.repeats {
                    Repeats::Once => (1, 1),
                    Repeats::Released => (p.repeats, 1),
                    Repeats::MultiTensor => (1, p.repeats),
                };
                // In the first step every buffer of the multi-tensor loop is a new one, of one gradient.
                let summed = if self.steps == 1 { 1 } else { at_once };
                let kept = momentum.powi(at_once as i32);
                let minus_rate = scalar(-rates.of(p.group) * f64::from(at_once), buffer);
                for _ in 0..times {
                    let _ = buffer.g_mul_scalar_(kept);
                    let _ = buffer.g_add_(&slope(&p.tensor, &gradient, self.weight_decay, f64::from(summed)));
                    // tch lacks add_'s factor; addcmul_ with a 0-dimensional tensor is the same operation.
                    let _ = p.tensor.addcmul_(buffer, &minus_rate);
                }
            }
        });
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
        zero_grad(&mut self.parameters);
    }

    fn step(&mut self, rates: Rates) {
        self.steps += 1;
        let (beta1, beta2) = self.betas;
        let correction1 = 1.0 - beta1.powf(self.steps as f64);
        let correction2 = (1.0 - beta2.powf(self.steps as f64)).sqrt();
        no_grad(|| {
            for ((p, m), v) in self.parameters.iter_mut().zip(&mut self.first).zip(&mut self.second) {
                let gradient = p.tensor.grad();
                if !gradient.defined() {
                    continue;
                }
                let decay = self.decay.as_ref().map_or(0.0, |decay| decay.of(p));
                if decay != 0.0 {
                    let _ = p.tensor.g_mul_scalar_(1.0 - rates.of(p.group) * decay);
                }
                let _ = m.lerp_(&gradient, 1.0 - beta1);
                let _ = v.g_mul_scalar_(beta2);
                let _ = v.addcmul_(&(&gradient * (1.0 - beta2)), &gradient);
                let bottom = cpu::sqrt(v).g_div_scalar_(correction2).g_add_scalar_(Self::EPSILON);
                let _ = p.tensor.addcdiv_(&(&*m * (-rates.of(p.group) / correction1)), &bottom);
            }
        });
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

/// `times` · (gradient + decay · parameter).
fn slope(parameter: &Tensor, gradient: &Tensor, decay: f64, times: f64) -> Tensor {
    let slope = match decay {
        0.0 => gradient.shallow_clone(),
        decay => (parameter * decay).g_add_(gradient),
    };
    if times == 1.0 { slope } else { slope * times }
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

fn zero_grad(parameters: &mut [Parameter]) {
    parameters.iter_mut().for_each(|p| p.tensor.zero_grad());
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

fn scalar(value: f64, like: &Tensor) -> Tensor {
    Tensor::scalar_tensor(value, (like.kind(), like.device()))
}

#[cfg(test)]
mod tests;
