//! The correlation of ranks: whether two quantities order things alike.

/// Spearman's ρ: the correlation of ranks, ties sharing their mean rank. None for fewer than three pairs, or if all values
/// of a side are equal.
pub fn spearman(pairs: &[(f64, f64)]) -> Option<f64> {
    let (x, y): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let (x, y) = (ranks(&x), ranks(&y));
    // Also for ranks with ties.
    let mean = (pairs.len() as f64 + 1.0) / 2.0;
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>();
    let spread = (product(&x, &x) * product(&y, &y)).sqrt();
    (pairs.len() >= 3 && spread > 0.0).then(|| product(&x, &y) / spread)
}

/// From 1; ties have their mean rank.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    for equal in order.chunk_by(|a, b| values[*a] == values[*b]) {
        for at in equal {
            ranks[*at] = start as f64 + (equal.len() as f64 + 1.0) / 2.0;
        }
        start += equal.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn spearmans_rho_is_that_of_textbooks_with_ties_and_without() {
        let pairs = |x: &[f64], y: &[f64]| x.iter().copied().zip(y.iter().copied()).collect::<Vec<_>>();
        // 1 − 6 Σd² / (n (n² − 1)), d being 1, 1, 0, 1, 1.
        let rho = spearman(&pairs(&[1.0, 2.0, 3.0, 4.0, 5.0], &[2.0, 1.0, 3.0, 5.0, 4.0])).unwrap();
        assert!((rho - 0.8).abs() < 1e-12);
        assert_eq!(ranks(&[5.0, 1.0, 5.0, 7.0, 5.0]), [3.0, 1.0, 3.0, 5.0, 3.0]);
        // Pearson's r of 1, 2.5, 2.5, 4, 5 and 5, 3, 3, 3, 1: −8 / √(9.5 · 8).
        let rho = spearman(&pairs(&[1.0, 2.0, 2.0, 4.0, 5.0], &[5.0, 4.0, 4.0, 4.0, 1.0])).unwrap();
        assert!((rho + 8.0 / 76f64.sqrt()).abs() < 1e-12, "{rho}");
        assert_eq!(spearman(&pairs(&[1.0, 2.0], &[1.0, 2.0])), None);
        assert_eq!(spearman(&pairs(&[1.0, 2.0, 3.0], &[4.0, 4.0, 4.0])), None);
    }

    proptest! {
        #[test]
        fn rho_asks_for_the_order_alone_and_turns_its_sign_with_it(values in vec((0u8..9, 0u8..9), 3..40)) {
            let pairs: Vec<(f64, f64)> = values.iter().map(|(x, y)| (f64::from(*x), f64::from(*y))).collect();
            if let Some(rho) = spearman(&pairs) {
                prop_assert!((-1.0 - 1e-12..=1.0 + 1e-12).contains(&rho));
                let stretched: Vec<(f64, f64)> = pairs.iter().map(|(x, y)| (x.exp(), -y.powi(3))).collect();
                prop_assert!((spearman(&stretched).unwrap() + rho).abs() < 1e-12);
            } else {
                let is_flat = |of: fn(&(f64, f64)) -> f64| pairs.iter().all(|pair| of(pair) == of(&pairs[0]));
                prop_assert_eq!(true, is_flat(|pair| pair.0) || is_flat(|pair| pair.1));
            }
        }
    }
}
