//! Graphics processors: which there are, and opening one.

use std::collections::HashMap;
use std::fmt;
use std::sync::{LazyLock, Mutex, PoisonError};

use burn::tensor::wgpu::{WgpuBackend, wgpu};
use burn::tensor::{Device, DeviceKind, read_sync};
use plantain_kernels::{RuntimeSettings, adapter_memory};

use crate::device::{DeviceError, GraphicsApi};

/// Kernels in one submission: few, so that a slow device's watchdog does not take a long step for a hang.
const TASKS: usize = 16;

/// What kind of processor an adapter is, best first.
///
/// ```
/// use plantain::AdapterKind;
///
/// assert!(AdapterKind::Discrete < AdapterKind::Software);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AdapterKind {
    /// A card of its own.
    Discrete,
    /// Part of the processor, sharing its memory.
    Integrated,
    /// A virtual machine's share of one, or something that does not say what it is.
    Other,
    /// A program that runs on the CPU and calls itself one.
    Software,
}

impl fmt::Display for AdapterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Discrete => "discrete",
            Self::Integrated => "integrated",
            Self::Other => "other",
            Self::Software => "software",
        })
    }
}

/// A graphics processor as its driver describes it.
///
/// ```
/// use plantain::{GraphicsApi, adapters};
///
/// let half = adapters(GraphicsApi::Any).into_iter().find(|adapter| adapter.f16);
/// println!("{:?}", half.map(|adapter| adapter.name));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Adapter {
    /// Name of the processor.
    pub name: String,
    /// What it is.
    pub kind: AdapterKind,
    /// How it is reached.
    pub api: GraphicsApi,
    /// Name and version of the driver.
    pub driver: String,
    /// Whether it computes with half precision.
    pub f16: bool,
    /// Bytes of memory, where Vulkan tells; shared with the system where it has none of its own.
    pub memory: Option<u64>,
    /// The largest buffer that a kernel can read, in bytes.
    pub largest_buffer: u64,
    selector: DeviceKind,
}

impl fmt::Display for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MIB: u64 = 1 << 20;
        let half = if self.f16 { "f16" } else { "no f16" };
        let memory = self.memory.map_or_else(
            || "unknown memory".to_string(),
            |bytes| format!("{} MiB of memory", bytes / MIB),
        );
        write!(
            f,
            "{} ({}), {}, {half}, {memory}, buffers to {} MiB, driver {}",
            self.name,
            self.kind,
            self.api.name(),
            self.largest_buffer / MIB,
            self.driver
        )
    }
}

/// The adapters reached through `api`, the best first; the number after a device's name counts these.
///
/// ```
/// for adapter in plantain::adapters(plantain::GraphicsApi::Any) {
///     println!("{adapter}");
/// }
/// ```
pub fn adapters(api: GraphicsApi) -> Vec<Adapter> {
    // Asking the drivers takes a while, and they answer the same all the time that a process runs.
    static FOUND: LazyLock<Vec<Adapter>> = LazyLock::new(find);
    let reached = |adapter: &&Adapter| api == GraphicsApi::Any || adapter.api == api;
    FOUND.iter().filter(reached).cloned().collect()
}

fn find() -> Vec<Adapter> {
    let backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends,
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let mut counts = HashMap::new();
    let found = read_sync(instance.enumerate_adapters(backends));
    let described = found.iter().filter_map(|one| describe(one, &mut counts));
    let mut adapters: Vec<_> = described.collect();
    adapters.sort_by_key(|adapter| adapter.kind);
    adapters
}

/// An adapter, where `counts` has how many of each kind there were before; Burn tells adapters apart that way.
fn describe(
    adapter: &wgpu::Adapter,
    counts: &mut HashMap<(GraphicsApi, wgpu::DeviceType), usize>,
) -> Option<Adapter> {
    let (info, limits) = (adapter.get_info(), adapter.limits());
    let api = match info.backend {
        wgpu::Backend::Vulkan => GraphicsApi::Vulkan,
        wgpu::Backend::Metal => GraphicsApi::Metal,
        wgpu::Backend::Dx12 => GraphicsApi::Dx12,
        _ => return None,
    };
    let count = counts.entry((api, info.device_type)).or_default();
    let index = *count;
    *count += 1;
    let (kind, selector) = match info.device_type {
        wgpu::DeviceType::DiscreteGpu => (AdapterKind::Discrete, DeviceKind::DiscreteGpu(index)),
        wgpu::DeviceType::IntegratedGpu => {
            (AdapterKind::Integrated, DeviceKind::IntegratedGpu(index))
        }
        wgpu::DeviceType::VirtualGpu => (AdapterKind::Other, DeviceKind::VirtualGpu(index)),
        wgpu::DeviceType::Other => (AdapterKind::Other, DeviceKind::DefaultDevice),
        wgpu::DeviceType::Cpu => (AdapterKind::Software, DeviceKind::Cpu),
    };
    Some(Adapter {
        name: info.name,
        kind,
        api,
        driver: format!("{} {}", info.driver, info.driver_info)
            .trim()
            .to_string(),
        f16: adapter.features().contains(wgpu::Features::SHADER_F16),
        memory: adapter_memory(adapter),
        largest_buffer: limits.max_storage_buffer_binding_size,
        selector,
    })
}

/// Devices that are open already: a runtime can be started once only.
static OPEN: Mutex<Vec<(GraphicsApi, DeviceKind, Device)>> = Mutex::new(Vec::new());

impl Adapter {
    /// The Burn device of this adapter.
    ///
    /// # Errors
    /// When the driver refuses it.
    pub(crate) fn open(&self) -> Result<Device, DeviceError> {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |(api, selector, _): &&(GraphicsApi, DeviceKind, Device)| {
            *api == self.api && *selector == self.selector
        };
        if let Some((_, _, device)) = open.iter().find(same) {
            return Ok(device.clone());
        }
        RuntimeSettings::default().apply();
        let options = Device::wgpu_options()
            .graphics_api(self.api.pinned())
            .device_kind(self.selector.clone())
            .tasks_max(TASKS);
        let device = options.init().map_err(|error| DeviceError::Refused {
            adapter: self.name.clone(),
            reason: error.to_string(),
        })?;
        open.push((self.api, self.selector.clone(), device.clone()));
        Ok(device)
    }
}

impl GraphicsApi {
    fn pinned(self) -> WgpuBackend {
        match self {
            Self::Any => WgpuBackend::Auto,
            Self::Vulkan => WgpuBackend::Vulkan,
            Self::Metal => WgpuBackend::Metal,
            Self::Dx12 => WgpuBackend::Dx12,
        }
    }
}
