//! diffusers schedulers: which sampler they are here, and what their models were trained for.

use std::path::Path;

use plantain_sampling::{SamplerKind, ScheduleConfig, TimestepSpacing};

use super::files::read_text;
use crate::error::ReadError;
use crate::manifest::SamplerInfo;

/// diffusers' scheduler classes and their sampler here. PNDM's models are those of DDIM; its own
/// method has no place at few steps.
const SCHEDULERS: [(&str, SamplerKind); 8] = [
    ("LCMScheduler", SamplerKind::Lcm),
    ("TCDScheduler", SamplerKind::Tcd),
    ("EulerDiscreteScheduler", SamplerKind::Euler),
    ("EulerAncestralDiscreteScheduler", SamplerKind::EulerA),
    ("DDIMScheduler", SamplerKind::Ddim),
    ("PNDMScheduler", SamplerKind::Ddim),
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

const KNOWN: &str = "LCM, TCD, EulerDiscrete, EulerAncestralDiscrete, DDIM, PNDM, DPMSolverMultistep or FlowMatchEulerDiscrete";

/// Steps and guidance for models that do not say what they were trained for.
pub(super) fn defaults(sampler: &SamplerInfo) -> (u32, f32) {
    match sampler.kind {
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
