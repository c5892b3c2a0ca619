//! Devices, chosen at run time.

use std::fmt;
use std::str::FromStr;

use burn::tensor::Device;

/// Where a model runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The fastest that works on this machine.
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
