//! The parametrised layers, under PyTorch's parameter names and layouts.
//!
//! burn-nn has these layers too. Ours differ in that they run on [`plantain_kernels`], and that
//! their parameters are called and laid out as in the checkpoints of this field (`weight`, `bias`,
//! `[out, in]`), so that loading neither renames nor transposes.

use burn::module::{Initializer, Module, Param};
use burn::tensor::{Device, Tensor};
use plantain_kernels as kernels;

/// PyTorch's default initialisation of weights and biases: uniform within `1 / sqrt(fan_in)`.
const UNIFORM: Initializer = Initializer::KaimingUniform {
    gain: 0.577_350_269_189_625_8,
    fan_out_only: false,
};

/// Affine map of the last dimension.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[out_features, in_features]`
    pub weight: Param<Tensor<2>>,
    /// `[out_features]`
    pub bias: Option<Param<Tensor<1>>>,
}

impl Linear {
    /// A layer with a bias.
    pub fn new(in_features: usize, out_features: usize, device: &Device) -> Self {
        let mut layer = Self::without_bias(in_features, out_features, device);
        let fan_in = Some(in_features);
        layer.bias = Some(UNIFORM.init_with([out_features], fan_in, None, device));
        layer
    }

    /// A layer without a bias.
    pub fn without_bias(in_features: usize, out_features: usize, device: &Device) -> Self {
        let shape = [out_features, in_features];
        Self {
            weight: UNIFORM.init_with(shape, Some(in_features), None, device),
            bias: None,
        }
    }

    /// # Shapes
    /// - `x`: `[.., in_features]`
    /// - result: `[.., out_features]`
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let mut dims = x.dims();
        let weight = self.weight.val();
        let [out_features, in_features] = weight.dims();
        let rows = dims[..D - 1].iter().product();
        let x = x.reshape([1, rows, in_features]);
        let y = kernels::linear(x, weight, self.bias.as_ref().map(Param::val));
        dims[D - 1] = out_features;
        y.reshape(dims)
    }
}

/// Two-dimensional convolution with a square kernel, stride and zero padding.
#[derive(Module, Debug)]
pub struct Conv2d {
    /// `[out_channels, in_channels, kernel, kernel]`
    pub weight: Param<Tensor<4>>,
    /// `[out_channels]`
    pub bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    stride: usize,
    #[module(skip)]
    padding: usize,
}

impl Conv2d {
    /// A 3x3 convolution that keeps the size.
    pub fn new_3x3(in_channels: usize, out_channels: usize, device: &Device) -> Self {
        Self::new(in_channels, out_channels, 3, 1, 1, device)
    }

    /// A 1x1 convolution.
    pub fn new_1x1(in_channels: usize, out_channels: usize, device: &Device) -> Self {
        Self::new(in_channels, out_channels, 1, 1, 0, device)
    }

    /// A convolution with a bias.
    pub fn new(
        in_channels: usize,
        out_channels: usize,
        kernel: usize,
        stride: usize,
        padding: usize,
        device: &Device,
    ) -> Self {
        let fan_in = Some(in_channels * kernel * kernel);
        let shape = [out_channels, in_channels, kernel, kernel];
        Self {
            weight: UNIFORM.init_with(shape, fan_in, None, device),
            bias: Some(UNIFORM.init_with([out_channels], fan_in, None, device)),
            stride,
            padding,
        }
    }

    /// The same layer with all parameters zero.
    pub fn zeroed(mut self) -> Self {
        let device = self.weight.lazy_device();
        self.weight = Initializer::Zeros.init(self.weight.lazy_shape(), &device);
        self.bias = self
            .bias
            .map(|bias| Initializer::Zeros.init(bias.lazy_shape(), &device));
        self
    }

    /// The same layer without its bias.
    pub fn without_bias(mut self) -> Self {
        self.bias = None;
        self
    }

    /// # Shapes
    /// - `x`: `[batch, in_channels, height, width]`
    /// - result: `[batch, out_channels, out_height, out_width]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let bias = self.bias.as_ref().map(Param::val);
        kernels::conv2d(x, self.weight.val(), bias, self.stride, self.padding)
    }
}

/// Group normalisation, with the SiLU that almost always follows it.
#[derive(Module, Debug)]
pub struct GroupNorm {
    /// `[channels]`
    pub weight: Param<Tensor<1>>,
    /// `[channels]`
    pub bias: Param<Tensor<1>>,
    #[module(skip)]
    groups: usize,
    #[module(skip)]
    epsilon: f64,
}

impl GroupNorm {
    /// `channels` must divide into `groups`.
    pub fn new(groups: usize, channels: usize, epsilon: f64, device: &Device) -> Self {
        Self {
            weight: Initializer::Ones.init([channels], device),
            bias: Initializer::Zeros.init([channels], device),
            groups,
            epsilon,
        }
    }

    /// # Shapes
    /// - `x`, result: `[batch, channels, height, width]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.apply(x, false)
    }

    /// Normalisation, then SiLU; shapes as [`Self::forward`].
    pub fn forward_silu(&self, x: Tensor<4>) -> Tensor<4> {
        self.apply(x, true)
    }

    fn apply(&self, x: Tensor<4>, silu: bool) -> Tensor<4> {
        let (weight, bias) = (self.weight.val(), self.bias.val());
        kernels::group_norm(x, weight, bias, self.groups, self.epsilon, silu)
    }
}

/// Layer normalisation of the last dimension.
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// `[features]`
    pub weight: Param<Tensor<1>>,
    /// `[features]`
    pub bias: Param<Tensor<1>>,
    #[module(skip)]
    epsilon: f64,
}

impl LayerNorm {
    /// A layer that starts as plain normalisation.
    pub fn new(features: usize, epsilon: f64, device: &Device) -> Self {
        Self {
            weight: Initializer::Ones.init([features], device),
            bias: Initializer::Zeros.init([features], device),
            epsilon,
        }
    }

    /// # Shapes
    /// - `x`, result: `[batch, rows, features]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        kernels::layer_norm(x, self.weight.val(), self.bias.val(), self.epsilon)
    }
}

/// A table of vectors.
#[derive(Module, Debug)]
pub struct Embedding {
    /// `[entries, features]`
    pub weight: Param<Tensor<2>>,
}

impl Embedding {
    /// A table with entries of standard deviation 0.02, as CLIP's.
    pub fn new(entries: usize, features: usize, device: &Device) -> Self {
        let normal = Initializer::Normal {
            mean: 0.0,
            std: 0.02,
        };
        Self {
            weight: normal.init([entries, features], device),
        }
    }
}
