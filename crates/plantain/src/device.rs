//! Devices, chosen at run time.

use std::fmt;
use std::str::FromStr;

use burn::tensor::Device;
use plantain_nn::Precision;
use plantain_weights::Target;

/// Where a model runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The fastest that works on this machine.
    #[default]
    Auto,
    /// The CPU, through burn-flex.
    Flex,
    /// The CPU, through burn-ndarray.
    NdArray,
}

/// No device of this name exists.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no device `{0}`; choose auto, flex or ndarray")]
pub struct UnknownDevice(String);

impl DeviceChoice {
    /// Every choice, `auto` first, then from the fastest to the slowest.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Flex, Self::NdArray];

    /// Name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Flex => "flex",
            Self::NdArray => "ndarray",
        }
    }

    /// What it is, in a line.
    pub fn description(self) -> &'static str {
        match self {
            Self::Auto => "the fastest device that works",
            Self::Flex => "CPU, burn-flex with this project's kernels",
            Self::NdArray => "CPU, burn-ndarray with this project's kernels",
        }
    }

    /// The device that this choice means on this machine; never `Auto`.
    pub fn resolve(self) -> Self {
        match self {
            // Both CPU devices work everywhere; flex has the faster element-wise operations.
            Self::Auto => Self::Flex,
            device => device,
        }
    }

    /// The Burn device.
    #[allow(deprecated)] // The ndarray backend is deprecated upstream and supported here.
    pub fn device(self) -> Device {
        match self.resolve() {
            Self::NdArray => Device::ndarray(),
            Self::Auto | Self::Flex => Device::flex(),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for DeviceChoice {
    type Err = UnknownDevice;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|choice| choice.name() == name)
            .ok_or_else(|| UnknownDevice(name.to_string()))
    }
}

/// What products are computed in on the CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PrecisionChoice {
    /// The fastest that this processor has instructions for and that leaves pictures as they are.
    #[default]
    Auto,
    /// Single precision.
    F32,
    /// bfloat16, with sums in single precision.
    Bf16,
    /// 8-bit integers.
    Int8,
}

/// No precision of this name exists.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no precision `{0}`; choose auto, f32, bf16 or int8")]
pub struct UnknownPrecision(String);

impl PrecisionChoice {
    /// Every choice.
    pub const ALL: [Self; 4] = [Self::Auto, Self::F32, Self::Bf16, Self::Int8];

    /// Name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        }
    }

    /// The precision that this choice means on this machine.
    pub fn resolve(self) -> Precision {
        match self {
            Self::Auto if plantain_nn::multiplies_bf16() => Precision::Bf16,
            Self::Auto | Self::F32 => Precision::F32,
            Self::Bf16 => Precision::Bf16,
            Self::Int8 => Precision::Int8,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Placement {
    /// The device.
    pub device: DeviceChoice,
    /// The precision, on CPU devices.
    pub precision: PrecisionChoice,
}

impl Placement {
    pub(crate) fn target(self) -> Target {
        Target {
            device: self.device.device(),
            precision: Some(self.precision.resolve()),
        }
    }
}

/// What the products of `target` are computed in, as on the command line.
pub(crate) fn precision_name(target: &Target) -> &'static str {
    match target.precision {
        Some(Precision::Bf16) => "bf16",
        Some(Precision::Int8) => "int8",
        Some(Precision::F32) | None => "f32",
    }
}
