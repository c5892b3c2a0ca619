//! Noise schedules, few-step samplers and host noise.
//!
//! Everything here is arithmetic on host slices: the crate knows no tensor
//! library, no network and no clock. A sampler is built from a model's
//! `scheduler_config.json` ([`ScheduleConfig`]) and a number of steps, and is
//! driven by [`sample`], which calls the denoiser once per step:
//!
//! ```
//! use std::convert::Infallible;
//! use plantain_sampling::{Noise, Sampler, SamplerKind, SamplerOptions, ScheduleConfig, sample};
//!
//! let config = ScheduleConfig::default();
//! let mut sampler = Sampler::new(SamplerKind::Lcm, &config, 4, SamplerOptions::default())?;
//! let noise = Noise::new(7);
//! let latents = sample(
//!     &mut sampler,
//!     noise.normal(16),
//!     |step| noise.step_normal(step, 16),
//!     |info, input| Ok::<_, Infallible>(input.iter().map(|x| x * info.timestep / 1000.0).collect()),
//! )?;
//! assert_eq!(latents.len(), 16);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Latents are flat: a batch of images is their concatenation, because no
//! sampler here mixes elements. Coefficients are computed in `f64` and applied
//! in `f32`; the schedule tables are rounded to `f32` where diffusers rounds
//! them, so that latents agree with its schedulers.

mod config;
mod driver;
mod error;
mod guidance;
mod noise;
mod plan;
mod sampler;
mod samplers;
mod schedule;
mod spacing;

pub use config::{
    BetaSchedule, FinalSigmas, FlowSpacing, PredictionType, RefusedOptions, ScheduleConfig,
    TimestepSpacing,
};
pub use driver::{SampleError, StepDone, StepInfo, sample, sample_from};
pub use error::SamplingError;
pub use guidance::guide;
pub use noise::Noise;
pub use sampler::{Sampler, SamplerKind, SamplerOptions};
pub use schedule::NoiseSchedule;
