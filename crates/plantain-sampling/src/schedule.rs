//! Betas and their cumulative products.

use std::f64::consts::FRAC_PI_2;

use crate::{BetaSchedule, SamplingError, ScheduleConfig};

/// The variance-preserving noise schedule of a model:
/// `x_t = sqrt(alphas_cumprod[t]) x_0 + sqrt(1 - alphas_cumprod[t]) e`.
///
/// Diffusers keeps these tables in float32 and rounds on the way to them. The
/// same roundings are made here, which leaves a relative difference of a few
/// 1e-7 (torch's `linspace` rounds differently with every vector width).
///
/// Source: diffusers `schedulers/scheduling_ddim.py`, `__init__`.
///
/// ```
/// use plantain_sampling::{NoiseSchedule, ScheduleConfig};
///
/// let schedule = NoiseSchedule::new(&ScheduleConfig::default())?;
/// assert_eq!(schedule.alphas_cumprod().len(), 1000);
/// # Ok::<(), plantain_sampling::SamplingError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct NoiseSchedule {
    alphas_cumprod: Vec<f32>,
}

impl NoiseSchedule {
    /// Builds the tables of a config.
    ///
    /// # Errors
    ///
    /// Those of [`ScheduleConfig::validate`], and
    /// [`SamplingError::DegenerateBetas`] when the betas are so large or small
    /// that a cumulative product rounds to 0 or to the one before it.
    ///
    /// ```
    /// use plantain_sampling::{NoiseSchedule, ScheduleConfig};
    ///
    /// let config = ScheduleConfig { num_train_timesteps: 0, ..ScheduleConfig::default() };
    /// assert!(NoiseSchedule::new(&config).is_err());
    /// ```
    pub fn new(config: &ScheduleConfig) -> Result<Self, SamplingError> {
        config.validate()?;
        let mut betas = betas(config);
        if config.rescale_betas_zero_snr {
            betas = rescale_zero_terminal_snr(&betas);
        }
        let alphas_cumprod = cumulative_product(&betas);
        let last = alphas_cumprod.len() - 1;
        let mut before = 1.0;
        for (timestep, &value) in alphas_cumprod.iter().enumerate() {
            let rescaled_end = config.rescale_betas_zero_snr && timestep == last && value == 0.0;
            if !(value > 0.0 && value < before || rescaled_end) {
                return Err(SamplingError::DegenerateBetas { timestep, value });
            }
            before = value;
        }
        Ok(Self { alphas_cumprod })
    }

    /// The signal's share of the variance at every training timestep, falling;
    /// the last is exactly 0 with `rescale_betas_zero_snr`.
    ///
    /// ```
    /// # use plantain_sampling::{NoiseSchedule, ScheduleConfig};
    /// let schedule = NoiseSchedule::new(&ScheduleConfig::default())?;
    /// assert!(schedule.alphas_cumprod().is_sorted_by(|before, after| before > after));
    /// # Ok::<(), plantain_sampling::SamplingError>(())
    /// ```
    #[must_use]
    pub fn alphas_cumprod(&self) -> &[f32] {
        &self.alphas_cumprod
    }

    /// The noise-to-signal ratio `sqrt((1 - a) / a)` at every training timestep,
    /// rising; never infinite, because a zero at the end is replaced by 2^-24
    /// as in diffusers `schedulers/scheduling_euler_discrete.py`.
    ///
    /// ```
    /// # use plantain_sampling::{NoiseSchedule, ScheduleConfig};
    /// let schedule = NoiseSchedule::new(&ScheduleConfig::default())?;
    /// assert!(schedule.sigmas().is_sorted());
    /// # Ok::<(), plantain_sampling::SamplingError>(())
    /// ```
    #[must_use]
    pub fn sigmas(&self) -> Vec<f32> {
        let smallest = 2.0_f32.powi(-24);
        let values = self.alphas_cumprod.iter();
        values
            .map(|&a| if a == 0.0 { smallest } else { a })
            .map(sigma)
            .collect()
    }
}

/// `sqrt((1 - a) / a)` in float32, as diffusers computes it.
pub(crate) fn sigma(alpha_cumprod: f32) -> f32 {
    ((1.0 - alpha_cumprod) / alpha_cumprod).sqrt()
}

fn betas(config: &ScheduleConfig) -> Vec<f32> {
    let count = config.num_train_timesteps;
    let (start, end) = (config.beta_start, config.beta_end);
    match (&config.trained_betas, config.beta_schedule) {
        (Some(betas), _) => betas.iter().map(|&beta| beta as f32).collect(),
        (None, BetaSchedule::Linear) => line(start, end, count).collect(),
        (None, BetaSchedule::ScaledLinear) => line(start.sqrt(), end.sqrt(), count)
            .map(|root| root * root)
            .collect(),
        (None, BetaSchedule::SquaredcosCapV2) => {
            (0..count).map(|i| cosine_beta(i, count)).collect()
        }
    }
}

fn line(start: f64, end: f64, count: usize) -> impl Iterator<Item = f32> {
    let step = if count > 1 {
        (end - start) / (count - 1) as f64
    } else {
        0.0
    };
    (0..count).map(move |i| (start + step * i as f64) as f32)
}

/// Beta `index` of the squared-cosine schedule (arXiv:2102.09672, eq. 17).
fn cosine_beta(index: usize, count: usize) -> f32 {
    let alpha_bar = |i: usize| {
        let time = i as f64 / count as f64;
        ((time + 0.008) / 1.008 * FRAC_PI_2).cos().powi(2)
    };
    (1.0 - alpha_bar(index + 1) / alpha_bar(index)).min(0.999) as f32
}

/// Rounds each product but accumulates unrounded, as torch's `cumprod` does.
fn cumulative_product(betas: &[f32]) -> Vec<f32> {
    let alphas = betas.iter().map(|beta| f64::from(1.0 - beta));
    let products = alphas.scan(1.0_f64, |product, alpha| {
        *product *= alpha;
        Some(*product as f32)
    });
    products.collect()
}

/// Algorithm 1 of arXiv:2305.08891: shifts and scales `sqrt(alphas_cumprod)`
/// so that its first value stays and its last is 0.
fn rescale_zero_terminal_snr(betas: &[f32]) -> Vec<f32> {
    let roots: Vec<f32> = cumulative_product(betas).iter().map(|a| a.sqrt()).collect();
    let (first, last) = (roots[0], roots[roots.len() - 1]);
    let scale = first / (first - last);
    let products = roots.iter().map(|root| ((root - last) * scale).powi(2));
    let mut before = 1.0_f32;
    products
        .map(|product| {
            let alpha = product / before;
            before = product;
            1.0 - alpha
        })
        .collect()
}
