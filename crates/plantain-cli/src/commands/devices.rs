//! `plantain devices`

use plantain::DeviceChoice;

use crate::failure::Failure;
use crate::out;

pub(crate) fn run() -> Result<(), Failure> {
    for device in DeviceChoice::CPU {
        out::line(format_args!("{device:10} {}", device.description()))?;
    }
    adapters()?;
    let auto = DeviceChoice::Auto;
    let (description, now) = (auto.description(), auto.resolve());
    match auto.why_cpu() {
        Some(reason) => out::line(format_args!("{auto:10} {description}, now {now}: {reason}")),
        None => out::line(format_args!("{auto:10} {description}, now {now}")),
    }
}

#[cfg(feature = "wgpu")]
fn adapters() -> Result<(), Failure> {
    use plantain::{AdapterKind, GraphicsApi};

    let adapters = plantain::adapters(GraphicsApi::Any);
    if adapters.is_empty() {
        return out::line(
            "wgpu       no graphics processor: neither Vulkan, Metal nor DirectX 12 reports one",
        );
    }
    for (index, adapter) in adapters.iter().enumerate() {
        let device = DeviceChoice::Gpu(GraphicsApi::Any, index);
        out::line(format_args!("{device:10} {adapter}"))?;
        if adapter.kind == AdapterKind::Software {
            out::line("           runs on the CPU, slower than flex; only chosen by name")?;
        }
    }
    Ok(())
}

#[cfg(not(feature = "wgpu"))]
fn adapters() -> Result<(), Failure> {
    out::line("wgpu       not in this build: it lacks the feature `wgpu`")
}
