//! Classifier-free guidance.

use crate::SamplingError;

/// Combines the model's output without and with the prompt:
/// `uncond + scale * (cond - uncond)`.
///
/// Both slices are model outputs of the same latent, flat. `scale` 1 is the
/// conditional output up to rounding; 0 is the unconditional one.
///
/// Source: Ho & Salimans, "Classifier-Free Diffusion Guidance"
/// (arXiv:2207.12598), in the form of Imagen (arXiv:2205.11487, eq. 2) that
/// Stable Diffusion's pipelines use.
///
/// # Errors
///
/// [`SamplingError::Length`] when the slices have different lengths.
///
/// ```
/// use plantain_sampling::guide;
///
/// assert_eq!(guide(&[1.0, -2.0], &[3.0, -2.0], 7.5)?, [16.0, -2.0]);
/// # Ok::<(), plantain_sampling::SamplingError>(())
/// ```
pub fn guide(uncond: &[f32], cond: &[f32], scale: f32) -> Result<Vec<f32>, SamplingError> {
    if uncond.len() != cond.len() {
        return Err(SamplingError::Length {
            what: "the conditional output",
            expected: uncond.len(),
            found: cond.len(),
        });
    }
    let pairs = uncond.iter().zip(cond);
    Ok(pairs.map(|(&u, &c)| u + scale * (c - u)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extrapolates_from_unconditional_to_conditional() {
        assert_eq!(guide(&[1.0, -2.0], &[3.0, -2.0], 7.5), Ok(vec![16.0, -2.0]));
        assert_eq!(guide(&[1.0], &[3.0], 0.0), Ok(vec![1.0]));
        assert_eq!(guide(&[1.0], &[3.0], 1.0), Ok(vec![3.0]));
    }

    #[test]
    fn refuses_different_lengths() {
        let error = guide(&[1.0], &[1.0, 2.0], 1.0).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the conditional output has 2 elements, not 1"
        );
    }
}
