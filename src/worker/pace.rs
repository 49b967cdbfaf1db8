//! How quickly a training computes: the operations of a step, their rate, and on a card that is known the share of its peak (MFU).
//!
//! For the log alone: no result and no key depends on it. It knows no loss and no settings but the precision.

use std::time::{Duration, Instant};

use intrada_ml::adapt::{Precision, Progress};

use crate::describe;

/// The steps of a training from its second one on in this process: the first one also waits for memory, and for algorithms to be
/// chosen.
pub(crate) struct Pace {
    /// When the first one had been done, without what took time since and was no step; and its number.
    begun: Option<(Instant, u64)>,
    last: Option<(Instant, u64)>,
    /// What took time since the last one and was no step.
    looked: Duration,
    operations: u64,
}

impl Pace {
    pub(crate) fn new() -> Pace {
        Pace { begun: None, last: None, looked: Duration::ZERO, operations: 0 }
    }

    /// Takes a step. Where its losses were read, all before it has been computed, on a GPU too; other steps may still be waiting there.
    pub(crate) fn hear(&mut self, progress: &Progress) {
        if progress.losses.is_empty() {
            return;
        }
        let now = (Instant::now(), progress.done);
        let looked = std::mem::take(&mut self.looked);
        self.begun = Some(self.begun.map_or(now, |(at, done)| (at + looked, done)));
        (self.last, self.operations) = (Some(now), progress.operations);
    }

    /// Leaves out the time of a look between two steps, such as an evaluation.
    pub(crate) fn leave_out(&mut self, looked: Duration) {
        self.looked += looked;
    }

    /// `42.1 TFLOP a step, 405 TFLOP/s; MFU 41 % of 989 TFLOP/s, bfloat16`, as far as that is known. Empty if no step was counted.
    pub(crate) fn in_words(&self, precision: Precision, card: Option<&str>) -> Option<String> {
        let step = (self.operations > 0).then_some(self.operations as f64)?;
        let mut words = format!("{} a step", amount(step));
        let Some(rate) = self.steps_a_second().map(|steps| steps * step) else { return Some(words) };
        words += &format!(", {}/s", amount(rate));
        if let Some((peak, arithmetic)) = card.and_then(|card| peak(card, precision)) {
            words += &format!("; MFU {:.0} % of {}/s, {arithmetic}", 100.0 * rate / peak, amount(peak));
        }
        Some(words)
    }

    /// None for a single step.
    fn steps_a_second(&self) -> Option<f64> {
        let ((from, first), (to, last)) = self.begun.zip(self.last)?;
        let seconds = to.saturating_duration_since(from).as_secs_f64();
        (last > first && seconds > 0.0).then(|| (last - first) as f64 / seconds)
    }
}

/// The name of the card that this process computes on, if that is certain.
pub(crate) fn card(device: tch::Device) -> Option<String> {
    matches!(device, tch::Device::Cuda(_)).then(describe::card).flatten()
}

/// `8.21 GFLOP`.
fn amount(operations: f64) -> String {
    const PREFIXES: [&str; 6] = ["", "k", "M", "G", "T", "P"];
    let (mut value, mut prefix) = (operations, 0);
    while value >= 999.5 && prefix + 1 < PREFIXES.len() {
        value /= 1000.0;
        prefix += 1;
    }
    let decimals = match value {
        _ if value < 9.995 => 2,
        _ if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$} {}FLOP", PREFIXES[prefix])
}

/// Peaks of a card without sparsity, in TFLOP/s; absent where it can't, or only slowly.
struct Card {
    /// All of them are words of its name, as the driver gives it.
    words: &'static [&'static str],
    bfloat16: Option<f64>,
    tf32: Option<f64>,
    float32: f64,
}

const fn card_of(words: &'static [&'static str], bfloat16: f64, tf32: f64, float32: f64) -> Card {
    Card { words, bfloat16: Some(bfloat16), tf32: Some(tf32), float32 }
}

/// The first whose words are all there counts. From NVIDIA's data sheets of each card, whose numbers with sparsity are halved;
/// of GeForce cards from the whitepapers on their architectures, Ada and GA102, with sums in float32.
const CARDS: &[Card] = &[
    card_of(&["H200", "NVL"], 835.0, 417.0, 60.0),
    card_of(&["H200"], 989.0, 494.0, 67.0),
    card_of(&["H100", "PCIe"], 756.0, 378.0, 51.0),
    card_of(&["H100", "NVL"], 835.0, 417.0, 60.0),
    card_of(&["H100"], 989.0, 494.0, 67.0),
    card_of(&["A100"], 312.0, 156.0, 19.5),
    card_of(&["A40"], 149.7, 74.8, 37.4),
    card_of(&["A10"], 125.0, 62.5, 31.2),
    card_of(&["L40S"], 362.0, 183.0, 91.6),
    card_of(&["L40"], 181.0, 90.5, 90.5),
    card_of(&["L4"], 121.0, 60.0, 30.3),
    card_of(&["GeForce", "RTX", "4090"], 165.2, 82.6, 82.6),
    card_of(&["GeForce", "RTX", "3090"], 71.0, 35.6, 35.6),
    Card { words: &["V100", "SXM2"], bfloat16: None, tf32: None, float32: 15.7 },
    Card { words: &["V100", "PCIE"], bfloat16: None, tf32: None, float32: 14.0 },
    Card { words: &["T4"], bfloat16: None, tf32: None, float32: 8.1 },
];

/// Other cards than those without such a word.
const VARIANTS: [&str; 4] = ["Ti", "D", "Laptop", "SUPER"];

/// The peak in operations a second of this card at this precision, and by which arithmetic. In single precision convolutions are
/// rounded to TF32 where a card has it, so that its peak is the one to compare with.
fn peak(card: &str, precision: Precision) -> Option<(f64, &'static str)> {
    let words: Vec<&str> = card.split([' ', '-']).collect();
    let is_there = |word: &&str| words.contains(word);
    if VARIANTS.iter().any(is_there) {
        return None;
    }
    let card = CARDS.iter().find(|card| card.words.iter().all(is_there))?;
    let (peak, arithmetic) = match precision {
        Precision::BFloat16 => (card.bfloat16?, "bfloat16"),
        Precision::Float32 => card.tf32.map_or((card.float32, "float32"), |peak| (peak, "TF32")),
        Precision::Float64 => return None,
    };
    Some((peak * 1e12, arithmetic))
}

#[cfg(test)]
mod tests {
    use intrada_ml::adapt::LossRow;

    use super::*;

    fn pace(seconds: f64, steps: u64, operations: u64) -> Pace {
        let begun = Instant::now();
        let last = begun + Duration::from_secs_f64(seconds);
        Pace { begun: Some((begun, 1)), last: Some((last, 1 + steps)), operations, ..Pace::new() }
    }

    #[test]
    fn work_rate_and_share_of_the_peak_are_told_as_far_as_they_are_known() {
        let words = |pace: Pace, precision, card| pace.in_words(precision, card);
        let h100 = Some("NVIDIA H100 80GB HBM3");
        let quick = || pace(10.0, 100, 40_500_000_000_000);
        assert_eq!(
            words(quick(), Precision::BFloat16, h100).unwrap(),
            "40.5 TFLOP a step, 405 TFLOP/s; MFU 41 % of 989 TFLOP/s, bfloat16"
        );
        assert_eq!(
            words(quick(), Precision::Float32, h100).unwrap(),
            "40.5 TFLOP a step, 405 TFLOP/s; MFU 82 % of 494 TFLOP/s, TF32"
        );
        assert_eq!(words(quick(), Precision::Float64, h100).unwrap(), "40.5 TFLOP a step, 405 TFLOP/s");
        assert_eq!(words(quick(), Precision::BFloat16, Some("NVIDIA Z1")).unwrap(), "40.5 TFLOP a step, 405 TFLOP/s");
        assert_eq!(
            words(pace(2.0, 1, 3_000_000), Precision::Float32, None).unwrap(),
            "3.00 MFLOP a step, 1.50 MFLOP/s"
        );
        assert_eq!(words(pace(0.0, 0, 3_000), Precision::Float32, None).unwrap(), "3.00 kFLOP a step");
        assert_eq!(words(Pace::new(), Precision::Float32, None), None);
    }

    #[test]
    fn a_card_is_known_by_the_words_of_its_name_and_by_no_part_of_them() {
        let bfloat16 = |name| peak(name, Precision::BFloat16).map(|(peak, _)| peak / 1e12);
        for (name, expected) in [
            ("NVIDIA H100 80GB HBM3", Some(989.0)),
            ("NVIDIA H100 PCIe", Some(756.0)),
            ("NVIDIA H100 NVL", Some(835.0)),
            ("NVIDIA H200", Some(989.0)),
            ("NVIDIA GH200 480GB", None),
            ("NVIDIA A100-SXM4-40GB", Some(312.0)),
            ("NVIDIA A100 80GB PCIe", Some(312.0)),
            ("NVIDIA A10", Some(125.0)),
            ("NVIDIA A10G", None),
            ("NVIDIA L40S", Some(362.0)),
            ("NVIDIA L4", Some(121.0)),
            ("NVIDIA GeForce RTX 4090", Some(165.2)),
            ("NVIDIA GeForce RTX 4090 D", None),
            ("NVIDIA GeForce RTX 4090 Laptop GPU", None),
            ("NVIDIA GeForce RTX 3090 Ti", None),
            ("Tesla V100-SXM2-32GB", None),
        ] {
            assert_eq!(bfloat16(name), expected, "{name}");
        }
        assert_eq!(peak("Tesla V100-SXM2-32GB", Precision::Float32), Some((15.7e12, "float32")));
        assert_eq!(peak("Tesla T4", Precision::Float32), Some((8.1e12, "float32")));
    }

    #[test]
    fn steps_count_from_the_second_one_whose_losses_were_read_and_looks_take_no_time_of_theirs() {
        let mut pace = Pace::new();
        let rows = [LossRow::default()];
        let at = |done, losses| Progress { done, total: 40, losses, images: 0, operations: 5 };
        pace.hear(&at(1, &rows));
        pace.hear(&at(2, &[]));
        assert_eq!(pace.steps_a_second(), None, "nobody knows how far it is");
        pace.hear(&at(11, &rows));
        let (from, to) = (pace.begun.unwrap(), pace.last.unwrap());
        assert_eq!((from.1, to.1), (1, 11));
        let second = Duration::from_secs(1);
        pace.leave_out(2 * second);
        pace.leave_out(3 * second);
        assert_eq!(pace.begun, Some(from), "no step has followed the looks");
        pace.hear(&at(12, &rows));
        assert_eq!(pace.begun, Some((from.0 + 5 * second, 1)));
    }
}
