//! Medians and quantiles.

/// The middle one; the mean of the middle two. `NaN` of nothing.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.get(middle), sorted.len() % 2) {
        (Some(upper), 0) => (sorted[middle - 1] + upper) / 2.0,
        (Some(one), _) => *one,
        (None, _) => f64::NAN,
    }
}

/// The least and the most.
pub(crate) fn span(values: &[f64]) -> (f64, f64) {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (least, most)
}

/// The value below which the part `q` of all lies, of values that are sorted here.
pub(crate) fn quantile(values: &mut [u64], q: f64) -> u64 {
    values.sort_unstable();
    let at = (values.len() as f64 * q) as usize;
    let last = values.len().saturating_sub(1);
    values.get(at.min(last)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_and_the_tail() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
        assert_eq!(span(&[3.0, 1.0, 2.0]), (1.0, 3.0));
        let mut values: Vec<u64> = (0..100).rev().collect();
        assert_eq!(quantile(&mut values, 0.5), 50);
        assert_eq!(quantile(&mut values, 0.99), 99);
        assert_eq!(quantile(&mut [], 0.5), 0);
    }
}
