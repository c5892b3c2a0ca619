//! Devices, chosen at run time.

use std::fmt;
use std::str::FromStr;

use burn::tensor::Device;
use plantain_nn::{Packing, Precision, Storage};
use plantain_weights::Target;

/// How a graphics processor is reached.
///
/// ```
/// use plantain::{DeviceChoice, GraphicsApi};
///
/// let second = DeviceChoice::Gpu(GraphicsApi::Vulkan, 1);
/// assert_eq!(second.to_string(), "vulkan:1");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GraphicsApi {
    /// Whichever the system has.
    Any,
    /// Vulkan, on Linux and Windows.
    Vulkan,
    /// Metal, on macOS.
    Metal,
    /// DirectX 12, on Windows.
    Dx12,
}

impl GraphicsApi {
    const ALL: [Self; 4] = [Self::Any, Self::Vulkan, Self::Metal, Self::Dx12];

    /// Name on the command line. `webgpu` means `wgpu` too: kernels are always written in its shading language.
    ///
    /// ```
    /// assert_eq!(plantain::GraphicsApi::Dx12.name(), "dx12");
    /// ```
    pub fn name(self) -> &'static str {
        match self {
            Self::Any => "wgpu",
            Self::Vulkan => "vulkan",
            Self::Metal => "metal",
            Self::Dx12 => "dx12",
        }
    }
}

/// Where a model runs.
///
/// ```
/// use plantain::DeviceChoice;
///
/// assert_eq!("flex".parse::<DeviceChoice>()?, DeviceChoice::Flex);
/// # Ok::<(), plantain::UnknownDevice>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum DeviceChoice {
    /// The fastest that works on this machine.
    #[default]
    Auto,
    /// The CPU, through burn-flex.
    Flex,
    /// The CPU, through burn-ndarray.
    NdArray,
    /// A graphics processor, counted from 0 in the order of `plantain devices`.
    Gpu(GraphicsApi, usize),
}

/// No device of this name exists.
///
/// ```
/// let error = "tpu".parse::<plantain::DeviceChoice>().unwrap_err();
/// assert!(error.to_string().starts_with("there is no device `tpu`"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no device `{0}`; choose auto, flex, ndarray, wgpu (or webgpu), vulkan, metal or dx12, the last ones with a number such as wgpu:1"
)]
pub struct UnknownDevice(String);

/// Why no graphics processor is taken where the choice is free.
///
/// ```
/// let none = plantain::NoGpu::None;
/// assert_eq!(none.to_string(), "neither Vulkan, Metal nor DirectX 12 reports a graphics processor");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoGpu {
    /// The program was built without support for graphics processors.
    #[error("this build lacks the feature `wgpu`")]
    NotBuilt,
    /// The system has none.
    #[error("neither Vulkan, Metal nor DirectX 12 reports a graphics processor")]
    None,
    /// All there is, named here, is a program that runs on the CPU, slower than the CPU's own kernels.
    #[error("{0} is a program on the CPU, and slower")]
    Software(String),
    /// The driver would not open it.
    #[error(transparent)]
    Unopened(DeviceError),
}

/// A device that cannot be had.
///
/// ```
/// use plantain::{DeviceChoice, DeviceError, DeviceOptions, Error, ModelSource, Pipeline};
/// use plantain::PrecisionChoice;
///
/// let options = DeviceOptions {
///     device: DeviceChoice::Flex,
///     precision: PrecisionChoice::F16,
/// };
/// let error = Pipeline::load(ModelSource::BuiltIn, options).unwrap_err();
/// assert!(matches!(error, Error::Device(DeviceError::Precision { .. })));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The program was built without support for graphics processors.
    #[error("{device}: this build runs on the CPU alone; build it with the feature `wgpu`")]
    NotBuilt {
        /// Name of the device.
        device: String,
    },
    /// The system has no such adapter.
    #[error("{device}: this machine has {found} graphics processors that are reached this way")]
    Missing {
        /// Name of the device.
        device: String,
        /// How many there are.
        found: usize,
    },
    /// The driver would not open it.
    #[error("{adapter} cannot be opened: {reason}")]
    Refused {
        /// Name of the adapter.
        adapter: String,
        /// What the driver said.
        reason: String,
    },
    /// The device does not compute in this precision.
    #[error("{device} does not compute in {precision}; choose {instead}")]
    Precision {
        /// Name of the device.
        device: String,
        /// What was asked for.
        precision: PrecisionChoice,
        /// What it does compute in.
        instead: &'static str,
    },
}

impl DeviceChoice {
    /// The devices of the CPU, the faster one first.
    pub const CPU: [Self; 2] = [Self::Flex, Self::NdArray];

    /// What it is, in a line; for a graphics processor its name and its driver's.
    ///
    /// ```
    /// println!("{}", plantain::DeviceChoice::Flex.description());
    /// ```
    pub fn description(self) -> String {
        match self {
            Self::Auto => "the fastest device that works".into(),
            Self::Flex => "CPU, burn-flex with this project's kernels".into(),
            Self::NdArray => "CPU, burn-ndarray with this project's kernels".into(),
            Self::Gpu(api, index) => describe_gpu(api, index),
        }
    }

    /// The device that this choice means on this machine; never `Auto`. A graphics processor that is none, a program on
    /// the CPU, is never chosen by itself; nor is one that its driver does not open.
    ///
    /// ```
    /// use plantain::DeviceChoice;
    ///
    /// assert_eq!(DeviceChoice::Flex.resolve(), DeviceChoice::Flex);
    /// assert_ne!(DeviceChoice::Auto.resolve(), DeviceChoice::Auto);
    /// ```
    pub fn resolve(self) -> Self {
        match self {
            // Both CPU devices work everywhere; flex has the faster element-wise operations.
            Self::Auto => best().unwrap_or(Self::Flex),
            device => device,
        }
    }

    /// Why this choice means the CPU on this machine, where a graphics processor would have been taken.
    ///
    /// ```
    /// use plantain::DeviceChoice;
    ///
    /// assert_eq!(DeviceChoice::Flex.why_cpu(), None);
    /// if let Some(reason) = DeviceChoice::Auto.why_cpu() {
    ///     println!("drawing on the CPU: {reason}");
    /// }
    /// ```
    pub fn why_cpu(self) -> Option<NoGpu> {
        match self {
            Self::Auto => best().err(),
            _ => None,
        }
    }

    fn open(self) -> Result<Opened, DeviceError> {
        match self.resolve() {
            #[allow(deprecated)] // The ndarray backend is deprecated upstream and supported here.
            Self::NdArray => Ok(Opened::cpu(Device::ndarray())),
            Self::Auto | Self::Flex => Ok(Opened::cpu(Device::flex())),
            Self::Gpu(api, index) => open_gpu(api, index),
        }
    }
}

/// A Burn device, and whether it is a graphics processor with half precision.
struct Opened {
    device: Device,
    gpu: bool,
    f16: bool,
}

impl Opened {
    fn cpu(device: Device) -> Self {
        Self {
            device,
            gpu: false,
            f16: false,
        }
    }
}

/// The graphics processor to take where the choice is free.
#[cfg(feature = "wgpu")]
fn best() -> Result<DeviceChoice, NoGpu> {
    use crate::gpu::{AdapterKind, adapters};
    let adapters = adapters(GraphicsApi::Any);
    let adapter = adapters.first().ok_or(NoGpu::None)?;
    if adapter.kind == AdapterKind::Software {
        return Err(NoGpu::Software(adapter.name.clone()));
    }
    adapter.open().map_err(NoGpu::Unopened)?;
    Ok(DeviceChoice::Gpu(GraphicsApi::Any, 0))
}

#[cfg(not(feature = "wgpu"))]
fn best() -> Result<DeviceChoice, NoGpu> {
    Err(NoGpu::NotBuilt)
}

#[cfg(feature = "wgpu")]
fn open_gpu(api: GraphicsApi, index: usize) -> Result<Opened, DeviceError> {
    let adapters = crate::gpu::adapters(api);
    let adapter = adapters.get(index).ok_or_else(|| DeviceError::Missing {
        device: DeviceChoice::Gpu(api, index).to_string(),
        found: adapters.len(),
    })?;
    Ok(Opened {
        device: adapter.open()?,
        gpu: true,
        f16: adapter.f16,
    })
}

#[cfg(feature = "wgpu")]
fn describe_gpu(api: GraphicsApi, index: usize) -> String {
    let adapters = crate::gpu::adapters(api);
    adapters
        .get(index)
        .map_or_else(|| "not on this machine".into(), ToString::to_string)
}

#[cfg(not(feature = "wgpu"))]
fn describe_gpu(_api: GraphicsApi, _index: usize) -> String {
    "not in this build: it lacks the feature `wgpu`".into()
}

#[cfg(not(feature = "wgpu"))]
fn open_gpu(api: GraphicsApi, index: usize) -> Result<Opened, DeviceError> {
    let device = DeviceChoice::Gpu(api, index).to_string();
    Err(DeviceError::NotBuilt { device })
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.pad("auto"),
            Self::Flex => f.pad("flex"),
            Self::NdArray => f.pad("ndarray"),
            Self::Gpu(api, 0) => f.pad(api.name()),
            Self::Gpu(api, index) => f.pad(&format!("{}:{index}", api.name())),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = UnknownDevice;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let unknown = || UnknownDevice(name.to_string());
        match name {
            "auto" => return Ok(Self::Auto),
            "flex" => return Ok(Self::Flex),
            "ndarray" => return Ok(Self::NdArray),
            _ => {}
        }
        let (api, index) = name.split_once(':').unwrap_or((name, "0"));
        let api = if api == "webgpu" { "wgpu" } else { api };
        let api = GraphicsApi::ALL.into_iter().find(|one| one.name() == api);
        let index = index.parse().map_err(|_| unknown())?;
        Ok(Self::Gpu(api.ok_or_else(unknown)?, index))
    }
}

/// What products are computed in.
///
/// ```
/// use plantain::PrecisionChoice;
///
/// assert_eq!("bf16".parse::<PrecisionChoice>()?, PrecisionChoice::Bf16);
/// # Ok::<(), plantain::UnknownPrecision>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PrecisionChoice {
    /// The fastest that this processor has instructions for and that leaves pictures as they are.
    #[default]
    Auto,
    /// Single precision.
    F32,
    /// Half precision in memory, with products and sums in single precision; on graphics processors.
    F16,
    /// bfloat16, with sums in single precision; on the CPU.
    Bf16,
    /// 8-bit integers; on the CPU.
    Int8,
}

/// No precision of this name exists.
///
/// ```
/// let error = "f8".parse::<plantain::PrecisionChoice>().unwrap_err();
/// assert!(error.to_string().starts_with("there is no precision `f8`"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no precision `{0}`; choose auto, f32, f16, bf16 or int8")]
pub struct UnknownPrecision(String);

impl PrecisionChoice {
    /// Every choice.
    pub const ALL: [Self; 5] = [Self::Auto, Self::F32, Self::F16, Self::Bf16, Self::Int8];

    /// Name on the command line.
    ///
    /// ```
    /// assert_eq!(plantain::PrecisionChoice::Bf16.name(), "bf16");
    /// ```
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        }
    }

    /// What the CPU computes in for this choice; `None` where it does not.
    fn on_cpu(self) -> Option<Precision> {
        match self {
            Self::Auto if plantain_nn::multiplies_bf16() => Some(Precision::Bf16),
            Self::Auto | Self::F32 => Some(Precision::F32),
            Self::F16 => None,
            Self::Bf16 => Some(Precision::Bf16),
            Self::Int8 => Some(Precision::Int8),
        }
    }

    /// What a graphics processor, with half precision if `f16`, keeps numbers in for this choice; `None` where it does
    /// not.
    fn on_gpu(self, f16: bool) -> Option<Storage> {
        match self {
            Self::Auto | Self::F16 if f16 => Some(Storage::F16),
            Self::Auto | Self::F32 => Some(Storage::F32),
            _ => None,
        }
    }
}

impl fmt::Display for PrecisionChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for PrecisionChoice {
    type Err = UnknownPrecision;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|choice| choice.name() == name)
            .ok_or_else(|| UnknownPrecision(name.to_string()))
    }
}

/// Where and in what precision a model runs.
///
/// ```
/// use plantain::{DeviceChoice, DeviceOptions, PrecisionChoice};
///
/// let fastest = DeviceOptions::default();
/// let exact = DeviceOptions {
///     device: DeviceChoice::Flex,
///     precision: PrecisionChoice::F32,
/// };
/// assert_ne!(fastest, exact);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct DeviceOptions {
    /// The device.
    pub device: DeviceChoice,
    /// The precision.
    pub precision: PrecisionChoice,
}

impl DeviceOptions {
    /// Opens the device.
    pub(crate) fn target(self) -> Result<Target, DeviceError> {
        let opened = self.device.open()?;
        let unfit = |instead| DeviceError::Precision {
            device: self.device.resolve().to_string(),
            precision: self.precision,
            instead,
        };
        let device = opened.device;
        let packing = if opened.gpu {
            let instead = if opened.f16 { "f32 or f16" } else { "f32" };
            let storage = self.precision.on_gpu(opened.f16);
            Packing::Device(device.clone(), storage.ok_or_else(|| unfit(instead))?)
        } else {
            let precision = self.precision.on_cpu();
            Packing::Host(precision.ok_or_else(|| unfit("f32, bf16 or int8"))?)
        };
        Ok(Target {
            device,
            packing: Some(packing),
        })
    }
}

/// What the products of `target` are computed in, as on the command line.
pub(crate) fn precision_name(target: &Target) -> &'static str {
    match &target.packing {
        Some(Packing::Host(Precision::Bf16)) => "bf16",
        Some(Packing::Host(Precision::Int8)) => "int8",
        Some(Packing::Device(_, Storage::F16)) => "f16",
        _ => "f32",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mean_what_they_print() {
        for name in [
            "auto", "flex", "ndarray", "wgpu", "vulkan:3", "metal", "dx12:1",
        ] {
            assert_eq!(name.parse::<DeviceChoice>().unwrap().to_string(), name);
        }
        for bad in ["", "cuda", "wgpu:", "wgpu:x", "flex:0", "webgpu:"] {
            assert!(bad.parse::<DeviceChoice>().is_err(), "{bad}");
        }
        assert_eq!("webgpu:1".parse(), "wgpu:1".parse::<DeviceChoice>());
    }

    #[test]
    fn what_is_chosen_freely_is_a_graphics_processor_or_there_is_a_reason() {
        let auto = DeviceChoice::Auto;
        let on_cpu = auto.resolve() == DeviceChoice::Flex;
        assert_eq!(on_cpu, auto.why_cpu().is_some());
        assert_eq!(DeviceChoice::NdArray.why_cpu(), None);
    }

    #[test]
    fn a_cpu_does_not_compute_in_f16() {
        let options = DeviceOptions {
            device: DeviceChoice::Flex,
            precision: PrecisionChoice::F16,
        };
        let error = options.target().unwrap_err().to_string();
        assert_eq!(
            error,
            "flex does not compute in f16; choose f32, bf16 or int8"
        );
    }
}
