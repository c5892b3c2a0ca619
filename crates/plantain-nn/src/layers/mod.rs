//! The parametrised layers, under PyTorch's parameter names and layouts.
//!
//! burn-nn has these layers too. Ours differ in that they run on [`plantain_kernels`], and that
//! their parameters are called and laid out as in the checkpoints of this field (`weight`, `bias`,
//! `[out, in]`), so that loading neither renames nor transposes.

mod chain;
mod conv;
mod embedding;
mod linear;
mod norm;
mod subpixel;

use std::ops::Deref;

use burn::module::{Initializer, Param};
use burn::tensor::{Tensor, TensorData, activation};
use plantain_kernels::{self as kernels, Activation, Fusion, PackedLayer};

pub use chain::{Link, forward_at_once};
pub use conv::Conv2d;
pub use embedding::{Embedding, StoredRows};
pub use linear::Linear;
pub use norm::{GroupNorm, LayerNorm};
pub use subpixel::SubpixelConv2d;

/// PyTorch's default initialisation of weights and biases: uniform within `1 / sqrt(fan_in)`.
const UNIFORM: Initializer = Initializer::KaimingUniform {
    gain: 0.577_350_269_189_625_8,
    fan_out_only: false,
};

/// What comes before a linear layer or convolution and is done in the same pass where the device can.
#[derive(Debug, Clone, Copy)]
pub enum Before<'a> {
    /// Nothing.
    Nothing,
    /// SiLU.
    Silu,
    /// Group normalisation.
    GroupNorm(&'a GroupNorm),
    /// Group normalisation, then SiLU.
    GroupNormSilu(&'a GroupNorm),
    /// Layer normalisation.
    LayerNorm(&'a LayerNorm),
}

impl Before<'_> {
    fn fused(self) -> kernels::Before {
        let group = |norm: &GroupNorm, silu| kernels::Before::GroupNorm {
            values: norm.values(),
            groups: norm.groups,
            silu,
        };
        match self {
            Self::Nothing => kernels::Before::Nothing,
            Self::Silu => kernels::Before::Silu,
            Self::GroupNorm(norm) => group(norm, false),
            Self::GroupNormSilu(norm) => group(norm, true),
            Self::LayerNorm(norm) => kernels::Before::LayerNorm(norm.values()),
        }
    }

    /// The same as separate operations on `[batch, channels, height, width]`.
    fn apply(self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Nothing => x,
            Self::Silu => activation::silu(x),
            Self::GroupNorm(norm) => norm.forward(x),
            Self::GroupNormSilu(norm) => norm.forward_silu(x),
            Self::LayerNorm(norm) => {
                let dims = x.dims();
                norm.forward(x.flatten::<3>(2, 3)).reshape(dims)
            }
        }
    }
}

/// What is done with the output of a linear layer or convolution, in the same pass where the device can.
#[derive(Debug, Clone)]
pub struct After {
    /// `[batch, out_channels]`, added to every pixel.
    pub channel_add: Option<Tensor<2>>,
    /// `[batch, out_channels, out_height, out_width]`, added.
    pub residual: Option<Tensor<4>>,
    /// Applied last.
    pub activation: Activation,
}

impl After {
    /// Nothing.
    pub const NOTHING: Self = Self {
        channel_add: None,
        residual: None,
        activation: Activation::None,
    };

    /// Only a residual.
    pub fn residual(residual: Tensor<4>) -> Self {
        Self {
            residual: Some(residual),
            ..Self::NOTHING
        }
    }

    /// Only an activation.
    pub fn activation(activation: Activation) -> Self {
        Self {
            activation,
            ..Self::NOTHING
        }
    }

    /// The same as separate operations.
    fn apply(self, mut y: Tensor<4>) -> Tensor<4> {
        if let Some(add) = self.channel_add {
            let [batch, channels] = add.dims();
            y = y + add.reshape([batch, channels, 1, 1]);
        }
        if let Some(residual) = self.residual {
            y = y + residual;
        }
        match self.activation {
            Activation::None => y,
            Activation::Silu => activation::silu(y),
            Activation::Gelu => activation::gelu(y),
            Activation::QuickGelu => y.clone() * activation::sigmoid(y * 1.702),
            Activation::Relu => activation::relu(y),
            Activation::Geglu => {
                let [batch, channels, height, width] = y.dims();
                let half = |from: usize| {
                    let part = [0..batch, from..from + channels / 2, 0..height, 0..width];
                    y.clone().slice(part)
                };
                half(0) * activation::gelu(half(channels / 2))
            }
        }
    }
}

/// Runs a packed layer with what comes before and after it.
pub fn run_packed(
    x: Tensor<4>,
    layer: &PackedLayer,
    before: Before<'_>,
    after: After,
) -> Tensor<4> {
    let fusion = Fusion {
        before: before.fused(),
        activation: after.activation,
    };
    kernels::packed_layer(x, layer, fusion, after.channel_add, after.residual)
}

/// The numbers of a parameter, which is left without memory of its own.
fn take<const D: usize>(param: &mut Param<Tensor<D>>) -> Numbers {
    let placeholder = Initializer::Zeros.init(param.lazy_shape(), &param.lazy_device());
    let tensor = std::mem::replace(param, placeholder).into_value();
    Numbers(tensor.into_data())
}

/// The numbers of a tensor, which may still lie where they were read from.
struct Numbers(TensorData);

impl Deref for Numbers {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        self.0.as_slice().expect("parameters are f32")
    }
}

fn values<const D: usize>(param: &Param<Tensor<D>>) -> Vec<f32> {
    let data = param.val().into_data();
    data.try_into_vec().expect("parameters are f32")
}
