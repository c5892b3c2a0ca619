//! How far values are from those of a reference.

/// Largest difference of a pair.
pub(crate) fn max_abs(values: &[f32], reference: &[f32]) -> f64 {
    let errors = pairs(values, reference).map(|(a, b)| (a - b).abs());
    errors.fold(0.0, f64::max)
}

/// L2 norm of the difference over that of the reference; the former itself where the latter is 0.
pub(crate) fn relative(values: &[f32], reference: &[f32]) -> f64 {
    let norm = sum_of_squares(reference.iter().map(|v| f64::from(*v))).sqrt();
    let error = squared_error(values, reference).sqrt();
    if norm > 0.0 { error / norm } else { error }
}

/// Peak signal to noise ratio in dB, for values that span `range`; `None` where all values are the same.
pub(crate) fn psnr(values: &[f32], reference: &[f32], range: f64) -> Option<f64> {
    let mean = squared_error(values, reference) / values.len() as f64;
    (mean > 0.0).then(|| 10.0 * (range * range / mean).log10())
}

fn squared_error(values: &[f32], reference: &[f32]) -> f64 {
    sum_of_squares(pairs(values, reference).map(|(a, b)| a - b))
}

fn sum_of_squares(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|v| v * v).sum()
}

fn pairs(values: &[f32], reference: &[f32]) -> impl Iterator<Item = (f64, f64)> {
    let pairs = values.iter().zip(reference);
    pairs.map(|(a, b)| (f64::from(*a), f64::from(*b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_by_hand() {
        let (values, reference) = ([1.0, 2.0, 2.0], [1.0, 2.0, 0.0]);
        assert_eq!(max_abs(&values, &reference), 2.0);
        assert_eq!(relative(&values, &reference), 2.0 / 5f64.sqrt());
        // The mean of the squares is 4/3.
        let expected = 10.0 * 3f64.log10();
        assert!((psnr(&values, &reference, 2.0).unwrap() - expected).abs() < 1e-12);
        assert_eq!(psnr(&values, &values, 2.0), None);
        assert_eq!(relative(&values, &[0.0; 3]), 3.0);
    }
}
