//! diffusers schedulers: which sampler they are here, and what their models were trained for.

use std::path::Path;

use plantain_sampling::{SamplerKind, ScheduleConfig, TimestepSpacing};

use super::files::read_text;
use crate::error::ReadError;
use crate::manifest::{Components, SamplerInfo};

/// diffusers' scheduler classes and their sampler here. A model brings its noise schedule, not its
/// method: classes without a sampler of their own here become the nearest one.
const SCHEDULERS: [(&str, SamplerKind); 11] = [
    ("LCMScheduler", SamplerKind::Lcm),
    ("TCDScheduler", SamplerKind::Tcd),
    ("EulerDiscreteScheduler", SamplerKind::Euler),
    ("EulerAncestralDiscreteScheduler", SamplerKind::EulerA),
    ("DDIMScheduler", SamplerKind::Ddim),
    ("PNDMScheduler", SamplerKind::Ddim),
    ("DDPMScheduler", SamplerKind::Ddim),
    ("UniPCMultistepScheduler", SamplerKind::Dpmpp2m),
    ("DEISMultistepScheduler", SamplerKind::Dpmpp2m),
    ("DPMSolverMultistepScheduler", SamplerKind::Dpmpp2m),
    ("FlowMatchEulerDiscreteScheduler", SamplerKind::FlowEuler),
];

/// The sampler of the model in `folder`; DDIM with Stable Diffusion's schedule where none is given.
pub(super) fn read(folder: &Path) -> Result<SamplerInfo, ReadError> {
    if !folder.is_dir() {
        return Ok(SamplerInfo {
            kind: SamplerKind::Ddim,
            schedule: ScheduleConfig::default(),
        });
    }
    let path = folder.join("scheduler_config.json");
    // Python writes `-Infinity` (lambda_min_clipped of DPM-Solver), which is no JSON.
    let text = read_text(&path)?.replace(": -Infinity", ": null");
    let schedule: ScheduleConfig =
        serde_json::from_str(&text).map_err(|e| ReadError::json(path.display(), e))?;
    let unsupported = |what: String, supported| ReadError::Unsupported {
        path: path.clone(),
        what,
        supported,
    };
    let class = schedule.class_name.as_deref().unwrap_or("no `_class_name`");
    let Some((_, kind)) = SCHEDULERS.iter().find(|(name, _)| *name == class) else {
        let what = format!("the scheduler {class}");
        return Err(unsupported(what, KNOWN));
    };
    schedule.validate().map_err(|e| {
        let change = "change the key, or save the model with another scheduler";
        unsupported(format!("this scheduler ({e})"), change)
    })?;
    Ok(SamplerInfo {
        kind: *kind,
        schedule,
    })
}

const KNOWN: &str = "LCM, TCD, EulerDiscrete, EulerAncestralDiscrete, DDIM, DDPM, PNDM, DPMSolverMultistep, DEISMultistep, UniPCMultistep or FlowMatchEulerDiscrete";

/// Steps and guidance for models that do not say what they were trained for.
pub(super) fn defaults(sampler: &SamplerInfo, components: &Components) -> (u32, f64) {
    let unet = components.unet.as_ref();
    let embeds_guidance = unet.is_some_and(|unet| unet.time_cond_proj_dim.is_some());
    match sampler.kind {
        // What diffusers' pipeline for latent consistency models tells the network.
        SamplerKind::Lcm if embeds_guidance => (4, 8.5),
        SamplerKind::Lcm | SamplerKind::Tcd => (4, 1.0),
        SamplerKind::FlowEuler => (8, 3.0),
        // How Turbo models are published.
        SamplerKind::Euler | SamplerKind::EulerA
            if sampler.schedule.timestep_spacing == TimestepSpacing::Trailing =>
        {
            (1, 1.0)
        }
        SamplerKind::Euler | SamplerKind::EulerA | SamplerKind::Ddim | SamplerKind::Dpmpp2m => {
            (20, 7.5)
        }
    }
}
