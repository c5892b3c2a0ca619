//! Whether what is to be drawn fits into memory, found out before anything is loaded.

use plantain::{DeviceChoice, MemoryPlan, Model, PrecisionChoice, Request, available_memory};

use crate::failure::Failure;
use crate::out;

/// What was asked for on the command line.
pub(super) struct Asked {
    pub(super) device: DeviceChoice,
    pub(super) precision: PrecisionChoice,
    /// Most memory to plan for, in megabytes; else what is free.
    pub(super) megabytes: Option<u64>,
    /// Whether pictures are decoded in tiles however much there is.
    pub(super) tiled: bool,
    pub(super) quiet: bool,
}

/// How the pictures of `request` are fitted into memory, where that is the CPU's and the system tells how much there is.
pub(super) fn fit(
    model: &Model,
    request: &Request,
    asked: &Asked,
) -> Result<Option<MemoryPlan>, Failure> {
    let megabytes = asked.megabytes;
    let limit = megabytes.map(|megabytes| megabytes.saturating_mul(1_000_000));
    let Some(available) = limit.or_else(available_memory) else {
        return Ok(None);
    };
    if !DeviceChoice::CPU.contains(&asked.device.resolve()) {
        return Ok(None);
    }
    let plan = MemoryPlan::new(model, request, asked.precision, available)
        .map_err(|error| Failure::new(error.to_string()))?;
    let megabytes = available / 1_000_000;
    if !asked.quiet && plan.precision != asked.precision {
        let precision = plan.precision.name();
        out::note(format_args!(
            "note: to fit into {megabytes} MB of memory, weights are kept in {precision}"
        ));
    }
    if !asked.quiet && plan.tiled && !asked.tiled {
        out::note(format_args!(
            "note: to fit into {megabytes} MB of memory, the picture is decoded in tiles"
        ));
    }
    Ok(Some(plan))
}
