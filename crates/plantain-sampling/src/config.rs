//! `scheduler_config.json`, as diffusers writes it.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::SamplingError;

/// Far above any trained model; a config file must not choose what is allocated.
const MAX_TRAIN_TIMESTEPS: usize = 100_000;

/// How betas are spread between `beta_start` and `beta_end`.
///
/// ```
/// use plantain_sampling::{BetaSchedule, ScheduleConfig};
///
/// assert_eq!(ScheduleConfig::default().beta_schedule, BetaSchedule::ScaledLinear);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BetaSchedule {
    /// Evenly (DDPM, arXiv:2006.11239).
    Linear,
    /// Evenly in their square roots (latent diffusion, arXiv:2112.10752).
    ScaledLinear,
    /// From a squared cosine, each capped at 0.999 (arXiv:2102.09672);
    /// `beta_start` and `beta_end` are not used.
    #[serde(rename = "squaredcos_cap_v2")]
    SquaredcosCapV2,
}

/// What the network's output is, for latent `x_t = alpha x_0 + sigma e`.
///
/// ```
/// use plantain_sampling::{PredictionType, ScheduleConfig};
///
/// let config = ScheduleConfig {
///     prediction_type: Some(PredictionType::VPrediction),
///     ..ScheduleConfig::default()
/// };
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PredictionType {
    /// The noise `e`.
    Epsilon,
    /// The velocity `alpha e - sigma x_0` (arXiv:2202.00512).
    VPrediction,
    /// The denoised sample `x_0`.
    Sample,
    /// The flow `e - x_0` of `x_t = (1 - sigma) x_0 + sigma e` (arXiv:2209.03003).
    FlowPrediction,
}

impl PredictionType {
    /// The name used in `scheduler_config.json`.
    ///
    /// ```
    /// assert_eq!(plantain_sampling::PredictionType::VPrediction.name(), "v_prediction");
    /// ```
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Epsilon => "epsilon",
            Self::VPrediction => "v_prediction",
            Self::Sample => "sample",
            Self::FlowPrediction => "flow_prediction",
        }
    }
}

impl fmt::Display for PredictionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which training timesteps a short run visits (Table 2 of arXiv:2305.08891).
///
/// ```
/// use plantain_sampling::{ScheduleConfig, TimestepSpacing};
///
/// assert_eq!(ScheduleConfig::default().timestep_spacing, TimestepSpacing::Trailing);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimestepSpacing {
    /// Evenly, counted down from the last timestep, which is included.
    Trailing,
    /// Evenly, counted up from `steps_offset`.
    Leading,
    /// Evenly, with both ends included.
    Linspace,
}

/// The noise level after the last step of `euler` and `dpmpp-2m`.
///
/// ```
/// use plantain_sampling::{FinalSigmas, ScheduleConfig};
///
/// assert_eq!(ScheduleConfig::default().final_sigmas_type, FinalSigmas::Zero);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinalSigmas {
    /// No noise.
    Zero,
    /// The noise of training timestep 0.
    SigmaMin,
}

/// How the sigmas of a flow-matching run are spaced before they are shifted.
///
/// ```
/// use plantain_sampling::{FlowSpacing, ScheduleConfig};
///
/// assert_eq!(ScheduleConfig::default().flow_spacing, FlowSpacing::default());
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlowSpacing {
    /// Evenly from 1 to the lowest noise level of training, as diffusers' scheduler does by itself:
    /// the last step, from there to 0, changes next to nothing.
    #[default]
    ToSigmaMin,
    /// `1, 1 - 1/n, ..., 1/n`, as diffusers' FLUX pipelines ask of it: every step counts, which
    /// matters when there are few.
    Even,
}

/// A model's noise schedule, with the keys of diffusers'
/// `scheduler_config.json`. Unknown keys are ignored.
///
/// The defaults are diffusers', except those of the betas, which are Stable
/// Diffusion's, of `timestep_spacing`, which is `trailing`, and of
/// `clip_sample`, which is off for every sampler (latents are not bounded).
///
/// ```
/// use plantain_sampling::ScheduleConfig;
///
/// let config = ScheduleConfig { beta_end: 0.02, ..ScheduleConfig::default() };
/// assert!(config.validate().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScheduleConfig {
    /// The diffusers scheduler the config was written for. Only consulted for
    /// a missing `prediction_type`; the sampler is the caller's choice.
    #[serde(rename = "_class_name", skip_serializing_if = "Option::is_none")]
    pub class_name: Option<String>,
    /// What the network predicts; see [`ScheduleConfig::prediction`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prediction_type: Option<PredictionType>,
    /// Number of noise levels the network was trained on.
    pub num_train_timesteps: usize,
    /// The first beta.
    pub beta_start: f64,
    /// The last beta.
    pub beta_end: f64,
    /// The betas between them.
    pub beta_schedule: BetaSchedule,
    /// The betas themselves, one per training timestep, instead of the three keys above.
    pub trained_betas: Option<Vec<f64>>,
    /// Whether betas are rescaled so that the last timestep has no signal
    /// (Algorithm 1 of arXiv:2305.08891).
    pub rescale_betas_zero_snr: bool,
    /// Which timesteps are visited; `lcm`, `tcd` and `flow-euler` have their own.
    pub timestep_spacing: TimestepSpacing,
    /// Added to every timestep of `leading` spacing.
    pub steps_offset: usize,
    /// `ddim`: whether the last step goes to no noise rather than to timestep 0.
    pub set_alpha_to_one: bool,
    /// `ddim` and `lcm`: whether the predicted sample is clamped.
    pub clip_sample: bool,
    /// The largest magnitude kept by `clip_sample`.
    pub clip_sample_range: f64,
    /// `euler` and `dpmpp-2m`: whether the noise levels between the first and the last are spaced
    /// evenly in their seventh roots (arXiv:2206.00364, eq. 5) and not as the timesteps are.
    #[serde(
        deserialize_with = "null_as_false",
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub use_karras_sigmas: bool,
    /// `lcm` and `tcd`: number of timesteps the model was distilled on.
    pub original_inference_steps: usize,
    /// `lcm`: factor on the timestep in the boundary conditions.
    pub timestep_scaling: f64,
    /// `euler` and `dpmpp-2m`: the noise level after the last step.
    pub final_sigmas_type: FinalSigmas,
    /// `dpmpp-2m`: whether the last step of a run of fewer than 15 is first-order.
    pub lower_order_final: bool,
    /// `dpmpp-2m`: whether the last step is first-order in any case.
    pub euler_at_final: bool,
    /// `flow-euler`: shift of the sigmas towards noise, below 1 towards the sample (arXiv:2403.03206, eq. 23).
    pub shift: f64,
    /// `flow-euler`: where the steps begin. A key of ours, which diffusers passes over: there the
    /// pipeline and not the scheduler decides.
    pub flow_spacing: FlowSpacing,
    /// `flow-euler`: whether a step goes all the way to the predicted sample and back to the next sigma with new noise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stochastic_sampling: bool,
    /// Keys that are only accepted with values that change nothing.
    #[serde(flatten)]
    pub refused: RefusedOptions,
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self {
            class_name: None,
            prediction_type: None,
            num_train_timesteps: 1000,
            beta_start: 0.00085,
            beta_end: 0.012,
            beta_schedule: BetaSchedule::ScaledLinear,
            trained_betas: None,
            rescale_betas_zero_snr: false,
            timestep_spacing: TimestepSpacing::Trailing,
            steps_offset: 0,
            set_alpha_to_one: true,
            clip_sample: false,
            clip_sample_range: 1.0,
            use_karras_sigmas: false,
            original_inference_steps: 50,
            timestep_scaling: 10.0,
            final_sigmas_type: FinalSigmas::Zero,
            lower_order_final: true,
            euler_at_final: false,
            shift: 1.0,
            flow_spacing: FlowSpacing::default(),
            stochastic_sampling: false,
            refused: RefusedOptions::default(),
        }
    }
}

impl ScheduleConfig {
    /// What the network predicts: `prediction_type` if the config has it.
    /// Configs of `FlowMatchEulerDiscreteScheduler` never do and mean
    /// `flow_prediction`; for all others diffusers' default is `epsilon`.
    ///
    /// ```
    /// use plantain_sampling::{PredictionType, ScheduleConfig};
    ///
    /// assert_eq!(ScheduleConfig::default().prediction(), PredictionType::Epsilon);
    /// ```
    #[must_use]
    pub fn prediction(&self) -> PredictionType {
        let flow = self.class_name.as_deref() == Some("FlowMatchEulerDiscreteScheduler");
        self.prediction_type.unwrap_or(if flow {
            PredictionType::FlowPrediction
        } else {
            PredictionType::Epsilon
        })
    }

    /// Checks every value that does not depend on the sampler or on the number
    /// of steps. [`Sampler::new`](crate::Sampler::new) calls it.
    ///
    /// # Errors
    ///
    /// [`SamplingError::UnsupportedOption`] for a key whose mathematics is not
    /// implemented, [`SamplingError::InvalidOption`] for a value outside its
    /// domain; both name the key.
    ///
    /// ```
    /// use plantain_sampling::ScheduleConfig;
    ///
    /// let config = ScheduleConfig { beta_start: -1.0, ..ScheduleConfig::default() };
    /// assert!(config.validate().is_err());
    /// ```
    pub fn validate(&self) -> Result<(), SamplingError> {
        self.refused.validate()?;
        self.validate_karras()?;
        self.validate_betas()?;
        positive("clip_sample_range", self.clip_sample_range)?;
        positive("timestep_scaling", self.timestep_scaling)?;
        positive("shift", self.shift)
    }

    fn validate_karras(&self) -> Result<(), SamplingError> {
        if !self.use_karras_sigmas {
            return Ok(());
        }
        if self.prediction() == PredictionType::FlowPrediction {
            return off("use_karras_sigmas", Some(true));
        }
        accept("sigma_min", self.refused.sigma_min.as_ref(), |_| false)?;
        accept("sigma_max", self.refused.sigma_max.as_ref(), |_| false)
    }

    fn validate_betas(&self) -> Result<(), SamplingError> {
        let count = self.num_train_timesteps;
        if !(1..=MAX_TRAIN_TIMESTEPS).contains(&count) {
            let reason = "it has to be between 1 and 100000";
            return Err(invalid("num_train_timesteps", &count, reason));
        }
        if self.steps_offset >= count {
            let reason = "it has to be less than num_train_timesteps";
            return Err(invalid("steps_offset", &self.steps_offset, reason));
        }
        if let Some(betas) = &self.trained_betas {
            if betas.len() != count {
                let found = format!("a list of {}", betas.len());
                let reason = "it has to have num_train_timesteps values";
                return Err(invalid("trained_betas", &found, reason));
            }
            return betas
                .iter()
                .try_for_each(|&beta| check_beta("trained_betas", beta));
        }
        check_beta("beta_start", self.beta_start)?;
        check_beta("beta_end", self.beta_end)
    }
}

/// Keys of `scheduler_config.json` that change the mathematics in a way that
/// is not implemented. A config may have them with the value that changes
/// nothing, which is given for each; [`ScheduleConfig::validate`] refuses any other.
///
/// ```
/// use plantain_sampling::{RefusedOptions, ScheduleConfig};
///
/// let refused = RefusedOptions {
///     thresholding: Some(true),
///     ..RefusedOptions::default()
/// };
/// let config = ScheduleConfig { refused, ..ScheduleConfig::default() };
/// assert!(config.validate().is_err());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RefusedOptions {
    /// The least of Karras sigmas, where there are any: `null`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sigma_min: Option<f64>,
    /// The greatest of them, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sigma_max: Option<f64>,
    /// Exponential sigmas: `false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_exponential_sigmas: Option<bool>,
    /// Beta-distributed sigmas: `false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_beta_sigmas: Option<bool>,
    /// Uniform log-SNR steps: `false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_lu_lambdas: Option<bool>,
    /// Flow sigmas in DPM-Solver: `false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_flow_sigmas: Option<bool>,
    /// Resolution-dependent shift: `false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_dynamic_shifting: Option<bool>,
    /// Dynamic thresholding: `false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thresholding: Option<bool>,
    /// Sigmas counted upwards: `false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invert_sigmas: Option<bool>,
    /// Last sigma of a stretched flow schedule: `null` or 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shift_terminal: Option<f64>,
    /// Lower bound of the log-SNR: `null` (or minus infinity).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lambda_min_clipped: Option<f64>,
    /// Order of DPM-Solver: 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub solver_order: Option<u64>,
    /// Variant of DPM-Solver: `dpmsolver++`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub algorithm_type: Option<String>,
    /// Second-order formula of DPM-Solver: `midpoint`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub solver_type: Option<String>,
    /// Variance in the model output: anything but `learned` and `learned_range`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variance_type: Option<String>,
    /// Interpolation of sigmas: `linear`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interpolation_type: Option<String>,
    /// Timesteps given to the network: `discrete`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestep_type: Option<String>,
}

impl RefusedOptions {
    /// Those that are left where a model brings the noise schedule and another sampler its own method: no solver, and no spacing of sigmas that is not implemented.
    ///
    /// ```
    /// use plantain_sampling::RefusedOptions;
    ///
    /// let refused = RefusedOptions {
    ///     solver_type: Some("bh2".into()),
    ///     variance_type: Some("learned".into()),
    ///     ..RefusedOptions::default()
    /// };
    /// let left = refused.without_method();
    /// assert!(left.solver_type.is_none() && left.variance_type.is_some());
    /// ```
    #[must_use]
    pub fn without_method(self) -> Self {
        Self {
            use_exponential_sigmas: None,
            use_beta_sigmas: None,
            use_lu_lambdas: None,
            lambda_min_clipped: None,
            solver_order: None,
            algorithm_type: None,
            solver_type: None,
            interpolation_type: None,
            ..self
        }
    }

    fn validate(&self) -> Result<(), SamplingError> {
        off("use_exponential_sigmas", self.use_exponential_sigmas)?;
        off("use_beta_sigmas", self.use_beta_sigmas)?;
        off("use_lu_lambdas", self.use_lu_lambdas)?;
        off("use_flow_sigmas", self.use_flow_sigmas)?;
        off("use_dynamic_shifting", self.use_dynamic_shifting)?;
        off("thresholding", self.thresholding)?;
        off("invert_sigmas", self.invert_sigmas)?;
        accept("shift_terminal", self.shift_terminal.as_ref(), |&v| {
            v == 0.0
        })?;
        accept(
            "lambda_min_clipped",
            self.lambda_min_clipped.as_ref(),
            |&v| v == f64::NEG_INFINITY,
        )?;
        accept("solver_order", self.solver_order.as_ref(), |&v| v == 2)?;
        accept("algorithm_type", self.algorithm_type.as_ref(), |v| {
            v == "dpmsolver++"
        })?;
        accept("solver_type", self.solver_type.as_ref(), |v| {
            v == "midpoint"
        })?;
        accept("variance_type", self.variance_type.as_ref(), |v| {
            !v.starts_with("learned")
        })?;
        accept(
            "interpolation_type",
            self.interpolation_type.as_ref(),
            |v| v == "linear",
        )?;
        accept("timestep_type", self.timestep_type.as_ref(), |v| {
            v == "discrete"
        })
    }
}

fn null_as_false<'de, D: Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    Option::deserialize(value).map(Option::unwrap_or_default)
}

fn off(key: &'static str, value: Option<bool>) -> Result<(), SamplingError> {
    accept(key, value.as_ref(), |&set| !set)
}

fn accept<T: fmt::Debug>(
    key: &'static str,
    value: Option<&T>,
    harmless: impl Fn(&T) -> bool,
) -> Result<(), SamplingError> {
    match value {
        Some(value) if !harmless(value) => Err(SamplingError::UnsupportedOption {
            key,
            value: format!("{value:?}"),
        }),
        _ => Ok(()),
    }
}

fn check_beta(key: &'static str, beta: f64) -> Result<(), SamplingError> {
    if beta > 0.0 && beta < 1.0 {
        return Ok(());
    }
    Err(invalid(key, &beta, "a beta has to be between 0 and 1"))
}

fn positive(key: &'static str, value: f64) -> Result<(), SamplingError> {
    if value > 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(invalid(key, &value, "it has to be positive"))
}

pub(crate) fn invalid(
    key: &'static str,
    value: &dyn fmt::Display,
    reason: &'static str,
) -> SamplingError {
    SamplingError::InvalidOption {
        key,
        value: value.to_string(),
        reason,
    }
}
