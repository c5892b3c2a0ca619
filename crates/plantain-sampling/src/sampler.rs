//! The samplers by name, and one run of one of them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::plan::{Plan, StepPlan};
use crate::{PredictionType, SamplingError, ScheduleConfig, samplers};

/// The samplers. Names are the same on the command line, in configs and in metadata.
///
/// ```
/// use plantain_sampling::SamplerKind;
///
/// assert_eq!("dpmpp-2m".parse::<SamplerKind>()?, SamplerKind::Dpmpp2m);
/// # Ok::<(), plantain_sampling::SamplingError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SamplerKind {
    /// Multistep sampling of latent consistency models (arXiv:2310.04378).
    Lcm,
    /// Strategic stochastic sampling (arXiv:2402.19159).
    Tcd,
    /// Euler steps of the probability-flow equation (arXiv:2206.00364).
    Euler,
    /// Euler steps to a lower noise level, with noise added back.
    EulerA,
    /// Deterministic DDIM (arXiv:2010.02502).
    Ddim,
    /// DPM-Solver++, second-order multistep (arXiv:2211.01095).
    #[serde(rename = "dpmpp-2m")]
    Dpmpp2m,
    /// Euler steps of a flow-matching model (arXiv:2403.03206).
    FlowEuler,
}

impl SamplerKind {
    /// Every sampler.
    pub const ALL: [Self; 7] = [
        Self::Lcm,
        Self::Tcd,
        Self::Euler,
        Self::EulerA,
        Self::Ddim,
        Self::Dpmpp2m,
        Self::FlowEuler,
    ];

    /// The sampler's name.
    ///
    /// ```
    /// assert_eq!(plantain_sampling::SamplerKind::EulerA.name(), "euler-a");
    /// ```
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lcm => "lcm",
            Self::Tcd => "tcd",
            Self::Euler => "euler",
            Self::EulerA => "euler-a",
            Self::Ddim => "ddim",
            Self::Dpmpp2m => "dpmpp-2m",
            Self::FlowEuler => "flow-euler",
        }
    }

    /// What the sampler is and for which models, in one line.
    ///
    /// ```
    /// for kind in plantain_sampling::SamplerKind::ALL {
    ///     println!("{kind:10} {}", kind.description());
    /// }
    /// ```
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Lcm => "latent consistency models, 1 to 8 steps; adds noise",
            Self::Tcd => "trajectory consistency models, 1 to 8 steps; adds noise",
            Self::Euler => "first-order solver; Turbo models in 1 to 4 steps",
            Self::EulerA => "ancestral Euler; Turbo models in 1 to 4 steps; adds noise",
            Self::Ddim => "deterministic DDIM, 20 steps and more; zero terminal SNR",
            Self::Dpmpp2m => "DPM-Solver++ 2M, second-order multistep, about 20 steps",
            Self::FlowEuler => {
                "Euler for flow-matching models; adds noise where their schedule says so"
            }
        }
    }

    /// The prediction types the sampler has formulas for.
    ///
    /// ```
    /// use plantain_sampling::{PredictionType, SamplerKind};
    ///
    /// let flow = SamplerKind::FlowEuler.prediction_types();
    /// assert_eq!(flow, [PredictionType::FlowPrediction]);
    /// ```
    #[must_use]
    pub const fn prediction_types(self) -> &'static [PredictionType] {
        use PredictionType::{Epsilon, FlowPrediction, Sample, VPrediction};
        match self {
            Self::EulerA => &[Epsilon, VPrediction],
            Self::FlowEuler => &[FlowPrediction],
            _ => &[Epsilon, VPrediction, Sample],
        }
    }

    pub(crate) fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    pub(crate) fn prediction_type_names(self) -> String {
        let names: Vec<_> = self.prediction_types().iter().map(|p| p.name()).collect();
        names.join(", ")
    }
}

impl fmt::Display for SamplerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for SamplerKind {
    type Err = SamplingError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let mut kinds = Self::ALL.into_iter();
        kinds
            .find(|kind| kind.name() == name)
            .ok_or_else(|| SamplingError::UnknownSampler {
                name: name.to_owned(),
            })
    }
}

/// Choices of a run that are not part of the model's schedule.
///
/// ```
/// use plantain_sampling::SamplerOptions;
///
/// let deterministic = SamplerOptions { gamma: 0.0 };
/// assert_eq!(SamplerOptions::default().gamma, 0.3);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SamplerOptions {
    /// `tcd`: how stochastic a step is, from 0 (not at all) to 1; 0.3 by
    /// default. Diffusers calls it `eta`.
    pub gamma: f64,
}

impl Default for SamplerOptions {
    fn default() -> Self {
        Self { gamma: 0.3 }
    }
}

/// One run of a sampler: a schedule of steps and, for the multistep solver,
/// the prediction of the step before.
///
/// Latents, model outputs and noise are flat slices of one length.
///
/// ```
/// use plantain_sampling::{Sampler, SamplerKind, SamplerOptions, ScheduleConfig};
///
/// let (config, options) = (ScheduleConfig::default(), SamplerOptions::default());
/// let mut euler = Sampler::new(SamplerKind::Euler, &config, 4, options)?;
/// let mut latent = vec![euler.init_noise_sigma(); 2];
/// for step in 0..euler.steps() {
///     let input = euler.scale_model_input(step, &latent)?;
///     // A network that finds no noise changes nothing.
///     let output = vec![0.0; input.len()];
///     latent = euler.step(step, &output, &latent, None)?;
/// }
/// assert_eq!(latent, [euler.init_noise_sigma(); 2]);
/// # Ok::<(), plantain_sampling::SamplingError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Sampler {
    kind: SamplerKind,
    plan: Plan,
    /// The last step taken and its data prediction, if the next step needs it.
    previous: Option<(usize, Vec<f32>)>,
}

impl Sampler {
    /// Plans a run of `steps` steps.
    ///
    /// # Errors
    ///
    /// Those of [`ScheduleConfig::validate`]; a prediction type that the
    /// sampler cannot serve; a number of steps that is 0, above
    /// `num_train_timesteps` (for `lcm` and `tcd`: `original_inference_steps`)
    /// or so large that the spacing repeats or leaves the training timesteps;
    /// `epsilon` at zero signal-to-noise ratio; a `gamma` outside `0..=1`.
    ///
    /// ```
    /// use plantain_sampling::{Sampler, SamplerKind, SamplerOptions, ScheduleConfig};
    ///
    /// let (config, options) = (ScheduleConfig::default(), SamplerOptions::default());
    /// assert!(Sampler::new(SamplerKind::Ddim, &config, 20, options).is_ok());
    /// assert!(Sampler::new(SamplerKind::Ddim, &config, 0, options).is_err());
    /// ```
    pub fn new(
        kind: SamplerKind,
        config: &ScheduleConfig,
        steps: usize,
        options: SamplerOptions,
    ) -> Result<Self, SamplingError> {
        config.validate()?;
        let prediction_type = config.prediction();
        if !kind.prediction_types().contains(&prediction_type) {
            return Err(SamplingError::UnsupportedPrediction {
                sampler: kind,
                prediction_type,
            });
        }
        let max = config.num_train_timesteps;
        if !(1..=max).contains(&steps) {
            return Err(SamplingError::StepCount {
                sampler: kind,
                steps,
                max,
            });
        }
        let plan = match kind {
            SamplerKind::Lcm => samplers::lcm::plan(config, steps)?,
            SamplerKind::Tcd => samplers::tcd::plan(config, steps, options.gamma)?,
            SamplerKind::Euler => samplers::euler::plan(config, steps)?,
            SamplerKind::EulerA => samplers::euler::ancestral_plan(config, steps)?,
            SamplerKind::Ddim => samplers::ddim::plan(config, steps)?,
            SamplerKind::Dpmpp2m => samplers::dpmpp::plan(config, steps)?,
            SamplerKind::FlowEuler => samplers::flow::plan(config, steps),
        };
        if !(config.use_karras_sigmas && kind == SamplerKind::Dpmpp2m) {
            check_falling(&plan.timesteps)?;
        }
        Ok(Self {
            kind,
            plan,
            previous: None,
        })
    }

    /// The same run without its first `start` steps, for a latent that [`Sampler::add_noise`] brought
    /// to the first remaining one; steps are counted anew. A multistep solver begins with a first-order
    /// step, as it does at the beginning of a whole run.
    ///
    /// Source: diffusers `pipelines/stable_diffusion/pipeline_stable_diffusion_img2img.py`,
    /// `get_timesteps`.
    ///
    /// # Errors
    ///
    /// [`SamplingError::StepIndex`] when no step would remain.
    ///
    /// ```
    /// # use plantain_sampling::{Sampler, SamplerKind, SamplerOptions, ScheduleConfig};
    /// # let (config, options) = (ScheduleConfig::default(), SamplerOptions::default());
    /// let whole = Sampler::new(SamplerKind::Ddim, &config, 20, options)?;
    /// let rest = whole.clone().starting_at(8)?;
    /// assert_eq!(rest.steps(), 12);
    /// assert_eq!(rest.timesteps(), &whole.timesteps()[8..]);
    /// # Ok::<(), plantain_sampling::SamplingError>(())
    /// ```
    pub fn starting_at(mut self, start: usize) -> Result<Self, SamplingError> {
        self.step_plan(start)?;
        self.plan.timesteps.drain(..start);
        self.plan.sigmas.drain(..start);
        self.plan.steps.drain(..start);
        // Without a prediction before it, the one of the step stands for both.
        let first = &mut self.plan.steps[0].next;
        first.data += std::mem::take(&mut first.previous_data);
        self.previous = None;
        Ok(self)
    }

    /// Which sampler this is.
    ///
    /// ```
    /// # use plantain_sampling::{Sampler, SamplerKind, SamplerOptions, ScheduleConfig};
    /// # let (config, options) = (ScheduleConfig::default(), SamplerOptions::default());
    /// let sampler = Sampler::new(SamplerKind::Lcm, &config, 4, options)?;
    /// assert_eq!(sampler.kind(), SamplerKind::Lcm);
    /// # Ok::<(), plantain_sampling::SamplingError>(())
    /// ```
    #[must_use]
    pub fn kind(&self) -> SamplerKind {
        self.kind
    }

    /// Number of steps.
    ///
    /// ```
    /// # use plantain_sampling::{Sampler, SamplerKind, SamplerOptions, ScheduleConfig};
    /// # let (config, options) = (ScheduleConfig::default(), SamplerOptions::default());
    /// let sampler = Sampler::new(SamplerKind::Lcm, &config, 4, options)?;
    /// assert_eq!(sampler.steps(), 4);
    /// # Ok::<(), plantain_sampling::SamplingError>(())
    /// ```
    #[must_use]
    pub fn steps(&self) -> usize {
        self.plan.steps.len()
    }

    /// The timestep given to the network at every step, strictly falling but for Karras sigmas
    /// in `dpmpp-2m`, several of which may stand at one.
    ///
    /// ```
    /// # use plantain_sampling::{Sampler, SamplerKind, SamplerOptions, ScheduleConfig};
    /// # let (config, options) = (ScheduleConfig::default(), SamplerOptions::default());
    /// let sampler = Sampler::new(SamplerKind::Lcm, &config, 4, options)?;
    /// assert_eq!(sampler.timesteps(), [999.0, 759.0, 499.0, 259.0]);
    /// # Ok::<(), plantain_sampling::SamplingError>(())
    /// ```
    #[must_use]
    pub fn timesteps(&self) -> &[f32] {
        &self.plan.timesteps
    }

    /// The noise level before every step and, last, after the final one:
    /// `steps + 1` values. For `flow-euler` it is the share of noise, from 1 to
    /// 0; for all others the noise-to-signal ratio, which is infinite at zero
    /// terminal SNR in `lcm`, `tcd` and `ddim`.
    ///
    /// ```
    /// # use plantain_sampling::{PredictionType, Sampler, SamplerKind, SamplerOptions, ScheduleConfig};
    /// let config = ScheduleConfig {
    ///     prediction_type: Some(PredictionType::FlowPrediction),
    ///     ..ScheduleConfig::default()
    /// };
    /// let flow = Sampler::new(SamplerKind::FlowEuler, &config, 4, SamplerOptions::default())?;
    /// assert_eq!(flow.sigmas().len(), 5);
    /// assert_eq!((flow.sigmas()[0], flow.sigmas()[4]), (1.0, 0.0));
    /// # Ok::<(), plantain_sampling::SamplingError>(())
    /// ```
    #[must_use]
    pub fn sigmas(&self) -> &[f32] {
        &self.plan.sigmas
    }

    /// The factor that turns standard normal noise into the first latent of a whole run.
    ///
    /// ```
    /// # use plantain_sampling::{Sampler, SamplerKind, SamplerOptions, ScheduleConfig};
    /// # let (config, options) = (ScheduleConfig::default(), SamplerOptions::default());
    /// let ddim = Sampler::new(SamplerKind::Ddim, &config, 20, options)?;
    /// assert_eq!(ddim.init_noise_sigma(), 1.0);
    /// # Ok::<(), plantain_sampling::SamplingError>(())
    /// ```
    #[must_use]
    pub fn init_noise_sigma(&self) -> f32 {
        self.plan.init_noise_sigma
    }

    /// Whether step `step` consumes noise. No final step does.
    ///
    /// ```
    /// # use plantain_sampling::{Sampler, SamplerKind, SamplerOptions, ScheduleConfig};
    /// # let (config, options) = (ScheduleConfig::default(), SamplerOptions::default());
    /// let lcm = Sampler::new(SamplerKind::Lcm, &config, 4, options)?;
    /// assert!(lcm.adds_noise(0));
    /// assert!(!lcm.adds_noise(3));
    /// # Ok::<(), plantain_sampling::SamplingError>(())
    /// ```
    #[must_use]
    pub fn adds_noise(&self, step: usize) -> bool {
        self.plan
            .steps
            .get(step)
            .is_some_and(|plan| plan.next.noise > 0.0)
    }

    /// Whether any step consumes noise.
    ///
    /// ```
    /// # use plantain_sampling::{Sampler, SamplerKind, SamplerOptions, ScheduleConfig};
    /// # let (config, options) = (ScheduleConfig::default(), SamplerOptions::default());
    /// assert!(Sampler::new(SamplerKind::EulerA, &config, 4, options)?.is_stochastic());
    /// assert!(!Sampler::new(SamplerKind::Euler, &config, 4, options)?.is_stochastic());
    /// # Ok::<(), plantain_sampling::SamplingError>(())
    /// ```
    #[must_use]
    pub fn is_stochastic(&self) -> bool {
        (0..self.steps()).any(|step| self.adds_noise(step))
    }

    /// `clean` with as much of the standard normal `noise` as the latent has before step `step`:
    /// `(1 - sigma) clean + sigma noise` for `flow-euler`, `clean + sigma noise` for `euler` and
    /// `euler-a`, and the same divided by `sqrt(sigma^2 + 1)` for all others.
    ///
    /// Source: `add_noise` of the diffusers schedulers, `scale_noise` of
    /// `schedulers/scheduling_flow_match_euler_discrete.py`.
    ///
    /// # Errors
    ///
    /// [`SamplingError::StepIndex`], [`SamplingError::Length`].
    ///
    /// ```
    /// # use plantain_sampling::{Noise, Sampler, SamplerKind, SamplerOptions, ScheduleConfig};
    /// # let (config, options) = (ScheduleConfig::default(), SamplerOptions::default());
    /// let sampler = Sampler::new(SamplerKind::Ddim, &config, 20, options)?.starting_at(8)?;
    /// let clean = vec![0.5; 16];
    /// let noisy = sampler.add_noise(0, &clean, &Noise::new(7).normal(16))?;
    /// assert_eq!(noisy.len(), 16);
    /// # Ok::<(), plantain_sampling::SamplingError>(())
    /// ```
    pub fn add_noise(
        &self,
        step: usize,
        clean: &[f32],
        noise: &[f32],
    ) -> Result<Vec<f32>, SamplingError> {
        self.step_plan(step)?;
        check_length("the noise", clean.len(), noise)?;
        let sigma = f64::from(self.plan.sigmas[step]);
        let (signal, share) = match self.kind {
            SamplerKind::FlowEuler => (1.0 - sigma, sigma),
            SamplerKind::Euler | SamplerKind::EulerA => (1.0, sigma),
            // Zero terminal SNR.
            _ if sigma.is_infinite() => (0.0, 1.0),
            _ => {
                let signal = 1.0 / (sigma * sigma + 1.0).sqrt();
                (signal, sigma * signal)
            }
        };
        let (signal, share) = (signal as f32, share as f32);
        let pairs = clean.iter().zip(noise);
        Ok(pairs.map(|(&x, &e)| signal * x + share * e).collect())
    }

    /// The sample without noise that the network's output at step `step` predicts, given the latent
    /// before the step.
    ///
    /// # Errors
    ///
    /// [`SamplingError::StepIndex`], [`SamplingError::Length`].
    ///
    /// ```
    /// # use plantain_sampling::{PredictionType, Sampler, SamplerKind, SamplerOptions, ScheduleConfig};
    /// let config = ScheduleConfig {
    ///     prediction_type: Some(PredictionType::Sample),
    ///     ..ScheduleConfig::default()
    /// };
    /// let sampler = Sampler::new(SamplerKind::Ddim, &config, 20, SamplerOptions::default())?;
    /// // Such a network says it itself.
    /// assert_eq!(sampler.denoised(0, &[0.25], &[1.0])?, [0.25]);
    /// # Ok::<(), plantain_sampling::SamplingError>(())
    /// ```
    pub fn denoised(
        &self,
        step: usize,
        model_output: &[f32],
        sample: &[f32],
    ) -> Result<Vec<f32>, SamplingError> {
        let plan = self.step_plan(step)?;
        check_length("the model output", sample.len(), model_output)?;
        Ok(plan.predict_data(model_output, sample))
    }

    /// The latent as the network takes it at step `step`.
    ///
    /// # Errors
    ///
    /// [`SamplingError::StepIndex`].
    ///
    /// ```
    /// # use plantain_sampling::{Sampler, SamplerKind, SamplerOptions, ScheduleConfig};
    /// # let (config, options) = (ScheduleConfig::default(), SamplerOptions::default());
    /// let ddim = Sampler::new(SamplerKind::Ddim, &config, 20, options)?;
    /// assert_eq!(ddim.scale_model_input(0, &[2.0])?, [2.0]);
    /// let euler = Sampler::new(SamplerKind::Euler, &config, 20, options)?;
    /// assert!(euler.scale_model_input(0, &[2.0])?[0] < 2.0);
    /// # Ok::<(), plantain_sampling::SamplingError>(())
    /// ```
    pub fn scale_model_input(
        &self,
        step: usize,
        sample: &[f32],
    ) -> Result<Vec<f32>, SamplingError> {
        self.step_plan(step)?;
        if !self.plan.scale_input {
            return Ok(sample.to_vec());
        }
        let sigma = f64::from(self.plan.sigmas[step]);
        let scale = (1.0 / (sigma * sigma + 1.0).sqrt()) as f32;
        Ok(sample.iter().map(|value| value * scale).collect())
    }

    /// The latent after step `step`, from the network's output at it and the
    /// latent before it. `noise` is standard normal; it is required where
    /// [`Sampler::adds_noise`] and ignored elsewhere.
    ///
    /// # Errors
    ///
    /// [`SamplingError::StepIndex`], [`SamplingError::Length`],
    /// [`SamplingError::MissingNoise`], and [`SamplingError::StepOrder`] when a
    /// multistep solver was not taken through the step before.
    ///
    /// ```
    /// # use plantain_sampling::{Noise, Sampler, SamplerKind, SamplerOptions, ScheduleConfig};
    /// # let (config, options) = (ScheduleConfig::default(), SamplerOptions::default());
    /// let mut lcm = Sampler::new(SamplerKind::Lcm, &config, 2, options)?;
    /// let (latent, noise) = (Noise::new(7).normal(4), Noise::new(7).step_normal(0, 4));
    /// let latent = lcm.step(0, &[0.0; 4], &latent, Some(&noise))?;
    /// let latent = lcm.step(1, &[0.0; 4], &latent, None)?;
    /// # Ok::<(), plantain_sampling::SamplingError>(())
    /// ```
    pub fn step(
        &mut self,
        step: usize,
        model_output: &[f32],
        sample: &[f32],
        noise: Option<&[f32]>,
    ) -> Result<Vec<f32>, SamplingError> {
        let plan = *self.step_plan(step)?;
        check_length("the model output", sample.len(), model_output)?;
        let data = plan.predict_data(model_output, sample);
        let mut next = plan.advance(model_output, sample, &data);
        if plan.next.previous_data != 0.0 {
            let previous = self.data_before(step)?;
            check_length("the latent", previous.len(), sample)?;
            accumulate(&mut next, plan.next.previous_data, previous);
        }
        if plan.next.noise > 0.0 {
            let noise = noise.ok_or(SamplingError::MissingNoise { step })?;
            check_length("the step noise", sample.len(), noise)?;
            accumulate(&mut next, plan.next.noise, noise);
        }
        self.previous = (self.kind == SamplerKind::Dpmpp2m).then_some((step, data));
        Ok(next)
    }

    fn step_plan(&self, step: usize) -> Result<&StepPlan, SamplingError> {
        let steps = self.steps();
        self.plan
            .steps
            .get(step)
            .ok_or(SamplingError::StepIndex { step, steps })
    }

    fn data_before(&self, step: usize) -> Result<&[f32], SamplingError> {
        match &self.previous {
            Some((previous, data)) if previous + 1 == step => Ok(data),
            _ => Err(SamplingError::StepOrder { step }),
        }
    }
}

fn accumulate(next: &mut [f32], weight: f64, values: &[f32]) {
    let weight = weight as f32;
    for (next, value) in next.iter_mut().zip(values) {
        *next += weight * value;
    }
}

fn check_falling(timesteps: &[f32]) -> Result<(), SamplingError> {
    let steps = timesteps.len();
    match timesteps.windows(2).find(|pair| pair[1] >= pair[0]) {
        Some(pair) => Err(SamplingError::RepeatedTimestep {
            steps,
            timestep: pair[1],
        }),
        None => Ok(()),
    }
}

fn check_length(what: &'static str, expected: usize, values: &[f32]) -> Result<(), SamplingError> {
    let found = values.len();
    if found == expected {
        return Ok(());
    }
    Err(SamplingError::Length {
        what,
        expected,
        found,
    })
}
