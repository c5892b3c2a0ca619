//! diffusers schedulers: which sampler they are here, and what their models were trained for.

use std::path::Path;

use plantain_sampling::{PredictionType, SamplerKind, ScheduleConfig, TimestepSpacing};
use serde::Deserialize;

use super::files::read_text;
use crate::error::ReadError;
use crate::manifest::{Components, SamplerInfo};

/// diffusers' scheduler classes and their sampler here.
const SCHEDULERS: [(&str, SamplerKind); 7] = [
    ("LCMScheduler", SamplerKind::Lcm),
    ("TCDScheduler", SamplerKind::Tcd),
    ("EulerDiscreteScheduler", SamplerKind::Euler),
    ("EulerAncestralDiscreteScheduler", SamplerKind::EulerA),
    ("DDIMScheduler", SamplerKind::Ddim),
    ("DPMSolverMultistepScheduler", SamplerKind::Dpmpp2m),
    ("FlowMatchEulerDiscreteScheduler", SamplerKind::FlowEuler),
];
/// Classes without a sampler of their own, with the nearest one: a model brings its noise schedule, not its method.
const OTHERS: [(&str, SamplerKind); 10] = [
    ("PNDMScheduler", SamplerKind::Ddim),
    ("DDPMScheduler", SamplerKind::Ddim),
    ("UniPCMultistepScheduler", SamplerKind::Dpmpp2m),
    ("DEISMultistepScheduler", SamplerKind::Dpmpp2m),
    ("DPMSolverSinglestepScheduler", SamplerKind::Dpmpp2m),
    ("DPMSolverSDEScheduler", SamplerKind::Dpmpp2m),
    ("HeunDiscreteScheduler", SamplerKind::Euler),
    ("LMSDiscreteScheduler", SamplerKind::Euler),
    ("KDPM2DiscreteScheduler", SamplerKind::Euler),
    ("KDPM2AncestralDiscreteScheduler", SamplerKind::EulerA),
];

/// What a scheduler's file says itself, where its schedule may have what is usual.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Stated {
    pub(super) prediction_type: Option<PredictionType>,
    timestep_spacing: Option<TimestepSpacing>,
}

/// The sampler of the model in `folder`, and what is stated of it there; DDIM with Stable Diffusion's schedule where none is given.
pub(super) fn read(folder: &Path) -> Result<(SamplerInfo, Stated), ReadError> {
    if !folder.is_dir() {
        let sampler = SamplerInfo {
            kind: SamplerKind::Ddim,
            schedule: ScheduleConfig::default(),
        };
        return Ok((sampler, Stated::default()));
    }
    let path = folder.join("scheduler_config.json");
    // Python writes `-Infinity` (lambda_min_clipped of DPM-Solver), which is no JSON.
    let text = read_text(&path)?.replace(": -Infinity", ": null");
    let no_json = |e| ReadError::json(path.display(), e);
    let mut schedule: ScheduleConfig = serde_json::from_str(&text).map_err(no_json)?;
    let stated: Stated = serde_json::from_str(&text).map_err(no_json)?;
    let unsupported = |what: String, supported| ReadError::Unsupported {
        path: path.clone(),
        what,
        supported,
    };
    let class = schedule.class_name.as_deref().unwrap_or("no `_class_name`");
    let is_class = |(name, _): &&(&str, SamplerKind)| *name == class;
    let own = SCHEDULERS.iter().find(is_class);
    let Some((_, kind)) = own.or_else(|| OTHERS.iter().find(is_class)) else {
        let what = format!("the scheduler {class}");
        return Err(unsupported(what, KNOWN));
    };
    if own.is_none() {
        schedule.refused = schedule.refused.without_method();
    }
    schedule.validate().map_err(|e| {
        let change = "change the key, or save the model with another scheduler";
        unsupported(format!("this scheduler ({e})"), change)
    })?;
    let sampler = SamplerInfo {
        kind: *kind,
        schedule,
    };
    Ok((sampler, stated))
}

const KNOWN: &str = "LCM, TCD, EulerDiscrete, EulerAncestralDiscrete, HeunDiscrete, LMSDiscrete, KDPM2Discrete, KDPM2AncestralDiscrete, DDIM, DDPM, PNDM, DPMSolverMultistep, DPMSolverSinglestep, DPMSolverSDE, DEISMultistep, UniPCMultistep or FlowMatchEulerDiscrete";

/// Steps and guidance for models that do not say what they were trained for.
pub(super) fn defaults(
    sampler: &SamplerInfo,
    stated: &Stated,
    components: &Components,
) -> (u32, f64) {
    let unet = components.unet.as_ref();
    let embeds_guidance = unet.is_some_and(|unet| unet.time_cond_proj_dim.is_some());
    match sampler.kind {
        // What diffusers' pipeline for latent consistency models tells the network.
        SamplerKind::Lcm if embeds_guidance => (4, 8.5),
        SamplerKind::Lcm | SamplerKind::Tcd => (4, 1.0),
        SamplerKind::FlowEuler => (8, 3.0),
        // How Turbo models are published.
        SamplerKind::Euler | SamplerKind::EulerA
            if stated.timestep_spacing == Some(TimestepSpacing::Trailing) =>
        {
            (1, 1.0)
        }
        SamplerKind::Euler | SamplerKind::EulerA | SamplerKind::Ddim | SamplerKind::Dpmpp2m => {
            (20, 7.5)
        }
    }
}
