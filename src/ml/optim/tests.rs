//! The literals are PyTorch 2.11's, in double precision: five steps of SGD(lr 0.01, momentum 0.9, weight_decay 5e-4) or
//! Adam(lr 0.01, betas (0.9, 0.99)) on `loss` below, the second parameter in a group with lr 0.1.
use proptest::prelude::*;
use tch::{Device, Kind};

use super::*;

struct Problem {
    a: Tensor,
    b: Tensor,
}

impl Problem {
    fn new() -> Problem {
        let leaf = |values: &[f64]| Tensor::from_slice(values).set_requires_grad(true);
        Problem { a: leaf(&[0.5, -1.25, 2.0]), b: leaf(&[1.5, -0.25]) }
    }

    fn parameters(&self, repeats: u32) -> Vec<Parameter> {
        let parameter = |name: &str, tensor: &Tensor, group, repeats| Parameter {
            name: name.to_owned(),
            tensor: tensor.shallow_clone(),
            group,
            repeats,
        };
        vec![parameter("a", &self.a, RateGroup::Body, repeats), parameter("b", &self.b, RateGroup::Head, 1)]
    }

    fn steps(&self, optimizer: &mut dyn Optimizer, range: std::ops::Range<u32>) {
        for step in range {
            optimizer.zero_grad();
            let product = (&self.a * Tensor::from_slice(&[1.0, -2.0, 3.0])).sum(Kind::Double).square() / 8.0;
            let decay = self.b.square().sum(Kind::Double) * f64::from(step + 1) / 8.0;
            (product + (self.a.sin() * 3.0).sum(Kind::Double) + decay).backward();
            optimizer.step(Rates { body: 0.01, head: 0.1 });
        }
    }

    fn values(&self) -> Vec<f64> {
        Tensor::cat(&[self.a.detach(), self.b.detach()], 0).try_into().unwrap()
    }
}

#[track_caller]
fn close(ours: &[f64], theirs: &[f64]) {
    assert_eq!(ours.len(), theirs.len());
    for (a, b) in ours.iter().zip(theirs) {
        assert!((a - b).abs() < 1e-13, "{ours:?} instead of {theirs:?}");
    }
}

const B_BY_SGD: [f64; 2] = [0.49076573383715777, -0.08179428897285966];

#[test]
fn sgd_with_momentum_decay_and_two_rates_walks_pytorchs_path() {
    let problem = Problem::new();
    problem.steps(&mut Sgd::new(problem.parameters(1), 0.9, 5e-4, Repeats::Once), 0..5);
    let a = [-0.13638453695788932, -0.8547021176470057, 1.2933801766803785];
    close(&problem.values(), &[&a[..], &B_BY_SGD].concat());
}

#[test]
fn sgd_moves_a_parameter_listed_three_times_as_pytorch_does() {
    let problem = Problem::new();
    problem.steps(&mut Sgd::new(problem.parameters(3), 0.9, 5e-4, Repeats::Released), 0..5);
    let a = [-2.0816643427595487, -0.488019453387707, -1.0870627286963568];
    close(&problem.values(), &[&a[..], &B_BY_SGD].concat());
}

#[test]
fn sgd_moves_a_parameter_listed_three_times_as_pytorchs_multi_tensor_loop_does() {
    let problem = Problem::new();
    problem.steps(&mut Sgd::new(problem.parameters(3), 0.9, 5e-4, Repeats::MultiTensor), 0..5);
    let a = [-2.161016798989796, -0.826244062385346, -1.3614492919910324];
    close(&problem.values(), &[&a[..], &B_BY_SGD].concat());
}

/// A parameter that starts at 2 and is listed k times, after two steps with rate 0.1 and the gradients 1 and 0.5.
fn listed(k: u32, repeats: Repeats) -> f64 {
    let w = Tensor::from_slice(&[2f64]).set_requires_grad(true);
    let parameter = Parameter { name: "w".into(), tensor: w.shallow_clone(), group: RateGroup::Body, repeats: k };
    let mut sgd = Sgd::new(vec![parameter], 0.9, 0.0, repeats);
    for gradient in [1.0, 0.5] {
        sgd.zero_grad();
        (&w * gradient).sum(Kind::Double).backward();
        sgd.step(Rates { body: 0.1, head: 0.0 });
    }
    w.double_value(&[0])
}

#[test]
fn each_of_pytorchs_loops_treats_repeated_parameters_in_its_own_way() {
    // Values of PyTorch 2.11, plain loop and multi-tensor.
    let theirs = [(1, 1.76, 1.76), (3, 1.1756, 1.0313), (4, 0.83804, 0.53756)];
    for (k, plain, multi_tensor) in theirs {
        for (repeats, expected) in
            [(Repeats::Once, 1.76), (Repeats::Released, plain), (Repeats::MultiTensor, multi_tensor)]
        {
            let ours = listed(k, repeats);
            assert!((ours - expected).abs() < 5e-6, "{repeats:?} {k}: {ours} instead of {expected}");
        }
    }
}

#[test]
fn adam_with_two_rates_walks_pytorchs_path() {
    let problem = Problem::new();
    problem.steps(&mut Adam::new(problem.parameters(1), (0.9, 0.99)), 0..5);
    let theirs = [0.45000084726863554, -1.2000725342377512, 1.9500128707105682, 1.010822555468327, 0.08312180024291124];
    close(&problem.values(), &theirs);
}

fn make(adam: bool, problem: &Problem) -> Box<dyn Optimizer> {
    if adam {
        Box::new(Adam::new(problem.parameters(2), (0.9, 0.99)))
    } else {
        Box::new(Sgd::new(problem.parameters(2), 0.9, 5e-4, Repeats::Released))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn state_taken_out_and_put_into_a_new_optimizer_continues_to_the_bit(adam: bool, cut in 0u32..6) {
        let whole = Problem::new();
        whole.steps(&mut *make(adam, &whole), 0..6);

        let before = Problem::new();
        let mut first = make(adam, &before);
        before.steps(&mut *first, 0..cut);
        let after = Problem::new();
        let mut second = make(adam, &after);
        let copy = |to: &Tensor, from: &Tensor| no_grad(|| to.shallow_clone().copy_(from));
        copy(&after.a, &before.a);
        copy(&after.b, &before.b);
        for ((to_name, to), (from_name, from)) in second.state().iter().zip(&first.state()) {
            prop_assert_eq!(to_name, from_name);
            copy(to, from);
        }
        second.set_steps(first.steps());
        after.steps(&mut *second, cut..6);
        prop_assert_eq!(whole.values(), after.values());
    }
}

#[test]
fn a_parameter_without_a_gradient_is_not_even_decayed() {
    let problem = Problem::new();
    let before = problem.values();
    Sgd::new(problem.parameters(1), 0.9, 0.5, Repeats::Once).step(Rates { body: 1.0, head: 1.0 });
    assert_eq!(problem.values(), before);
}

#[test]
fn the_polynomial_falls_from_the_base_to_zero() {
    assert_eq!(polynomial(2.5e-4, 0, 250_000, 0.9), 2.5e-4);
    assert!((polynomial(2.5e-4, 125_000, 250_000, 0.9) - 2.5e-4 * 0.5f64.powf(0.9)).abs() < 1e-18);
    assert_eq!(polynomial(2.5e-4, 250_000, 250_000, 0.9), 0.0);
}

#[test]
fn state_is_named_after_its_parameters() {
    let problem = Problem::new();
    let names = |o: &dyn Optimizer| o.state().into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(names(&*make(false, &problem)), ["momentum.a", "momentum.b"]);
    assert_eq!(names(&*make(true, &problem)), ["first.a", "first.b", "second.a", "second.b"]);
    assert_eq!(make(true, &problem).state()[0].1, Tensor::zeros([3], (Kind::Double, Device::Cpu)));
}

#[test]
fn a_warm_up_multiplies_the_decaying_rate_as_mmcv_does() {
    let schedule = Schedule { base: 6e-5, max: 40_000, power: 1.0, warmup: 1500, warmup_ratio: 1e-6 };
    // As logged by DAFormer's users, to their five digits.
    assert!((schedule.at(49) - 1.9577e-6).abs() < 5e-11 && (schedule.at(99) - 3.9503e-6).abs() < 5e-11);
    assert_eq!(schedule.at(1500), polynomial(6e-5, 1500, 40_000, 1.0));
    assert_eq!(Schedule { warmup: 0, ..schedule }.at(0), 6e-5);
    let Some((_, golden)) = crate::golden::modern::vectors() else { return };
    for (iteration, rate) in golden["units"]["lr_6e-5_40000_1500"].as_object().unwrap() {
        let (ours, theirs) = (schedule.at(iteration.parse().unwrap()), rate.as_f64().unwrap());
        assert!((ours - theirs).abs() <= 1e-12 * theirs, "{iteration}: {ours} instead of {theirs}");
    }
}

#[test]
fn decoupled_decay_shrinks_a_parameter_by_its_rate_and_spares_named_ones_of_the_body_only() {
    let value = |name: &str, group, decay| {
        let tensor = Tensor::from_slice(&[2.0f64]).set_requires_grad(true);
        let parameter = Parameter { name: name.to_owned(), tensor: tensor.shallow_clone(), group, repeats: 1 };
        let decay = DecoupledDecay { decay, exempt: vec!["norm".to_owned()] };
        let mut adam = Adam::decoupled(vec![parameter], (0.9, 0.999), decay);
        // A gradient of 0 moves nothing by itself.
        (&tensor * 0.0).sum(Kind::Double).backward();
        adam.step(Rates { body: 0.1, head: 0.5 });
        tensor.double_value(&[0])
    };
    assert_eq!(value("block.mlp.weight", RateGroup::Body, 0.25), 2.0 * (1.0 - 0.1 * 0.25));
    assert_eq!(value("block.mlp.bias", RateGroup::Body, 0.25), 2.0 * (1.0 - 0.1 * 0.25));
    assert_eq!(value("block.norm1.weight", RateGroup::Body, 0.25), 2.0);
    assert_eq!(value("head.norm.weight", RateGroup::Head, 0.25), 2.0 * (1.0 - 0.5 * 0.25));
    assert_eq!(value("block.mlp.weight", RateGroup::Body, 0.0), 2.0);
}

proptest! {
    #[test]
    fn clipping_keeps_the_direction_and_bounds_the_norm_of_all_gradients_together(
        a in prop::collection::vec(-5.0f64..5.0, 3),
        b in prop::collection::vec(-5.0f64..5.0, 2),
        largest in 0.1f64..20.0,
    ) {
        let problem = Problem::new();
        let mut sgd = Sgd::new(problem.parameters(1), 0.0, 0.0, Repeats::Once);
        ((&problem.a * Tensor::from_slice(&a)).sum(Kind::Double) + (&problem.b * Tensor::from_slice(&b)).sum(Kind::Double)).backward();
        sgd.clip(largest);
        let clipped: Vec<f64> = Tensor::cat(&[problem.a.grad(), problem.b.grad()], 0).try_into().unwrap();
        let before = [a, b].concat();
        let norm = |values: &[f64]| values.iter().map(|x| x * x).sum::<f64>().sqrt();
        let factor = (largest / (norm(&before) + 1e-6)).min(1.0);
        for (clipped, before) in clipped.iter().zip(&before) {
            prop_assert!((clipped - before * factor).abs() < 1e-12);
        }
        prop_assert!(norm(&clipped) <= largest);
    }
}
