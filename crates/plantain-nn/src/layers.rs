//! The parametrised layers, under PyTorch's parameter names and layouts.
//!
//! burn-nn has these layers too. Ours differ in that they run on [`plantain_kernels`], and that
//! their parameters are called and laid out as in the checkpoints of this field (`weight`, `bias`,
//! `[out, in]`), so that loading neither renames nor transposes.

use std::sync::Arc;

use burn::module::{Initializer, Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData, activation, module, ops::ConvOptions};
use half::f16;
use plantain_kernels::{
    self as kernels, Activation, Fusion, NormValues, PackedLayer, Packing, Precision, Storage, Use,
    WeightShape,
};

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

/// Affine map of the channels of each token.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[out_features, in_features]`
    pub weight: Param<Tensor<2>>,
    /// `[out_features]`
    pub bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    packed: Option<PackedLayer>,
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
            packed: None,
        }
    }

    /// Moves the weight to where and into the layout in which kernels read it.
    pub fn pack(&mut self, packing: &Packing) {
        self.pack_as(Use::Plain, packing);
    }

    /// [`Self::pack`] for a layer that is followed by [`Activation::Geglu`].
    pub fn pack_gated(&mut self, packing: &Packing) {
        self.pack_as(Use::Gated, packing);
    }

    fn pack_as(&mut self, purpose: Use, packing: &Packing) {
        let ([outputs, inputs], weight) = self.take_weight();
        let bias = self.bias.as_ref().map(values);
        let shape = WeightShape {
            outputs,
            inputs,
            kernel: 1,
        };
        self.packed = Some(PackedLayer::new(&weight, bias, shape, purpose, packing));
    }

    /// One packed layer of several that read the same input, their outputs one after the other.
    pub fn pack_stacked(layers: &mut [&mut Self], packing: &Packing) -> PackedLayer {
        let (mut weight, mut bias) = (Vec::new(), Vec::new());
        let mut shape = WeightShape {
            outputs: 0,
            inputs: 0,
            kernel: 1,
        };
        for layer in layers {
            let ([outputs, inputs], part) = layer.take_weight();
            weight.extend(part);
            bias.extend(
                layer
                    .bias
                    .as_ref()
                    .map_or_else(|| vec![0.0; outputs], values),
            );
            shape = WeightShape {
                outputs: shape.outputs + outputs,
                inputs,
                ..shape
            };
        }
        PackedLayer::new(&weight, Some(bias), shape, Use::Plain, packing)
    }

    fn take_weight(&mut self) -> ([usize; 2], Vec<f32>) {
        let shape = self.weight.lazy_shape().dims();
        (shape, take(&mut self.weight))
    }

    /// # Shapes
    /// - `x`: `[batch, in_features, tokens]`
    /// - result: `[batch, out_features, tokens]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, features, tokens] = x.dims();
        let x = x.reshape([batch, features, 1, tokens]);
        self.forward_with(x, Before::Nothing, After::NOTHING)
            .flatten(2, 3)
    }

    /// A linear map of vectors.
    ///
    /// # Shapes
    /// - `x`: `[batch, in_features]`
    /// - result: `[batch, out_features]`
    pub fn forward_vectors(
        &self,
        x: Tensor<2>,
        before: Before<'_>,
        activation: Activation,
    ) -> Tensor<2> {
        let [batch, features] = x.dims();
        // The vectors are the tokens of a single sample, so that they share every pass over the weight.
        let x = x.transpose().reshape([1, features, 1, batch]);
        let y = self.forward_with(x, before, After::activation(activation));
        y.flatten::<2>(1, 3).reshape([-1, batch as i32]).transpose()
    }

    /// # Shapes
    /// - `x`: `[batch, in_features, height, width]`
    /// - result: `[batch, out_features, height, width]`
    pub fn forward_with(&self, x: Tensor<4>, before: Before<'_>, after: After) -> Tensor<4> {
        if let Some(packed) = &self.packed {
            return run_packed(x, packed, before, after);
        }
        let [batch, features, height, width] = x.dims();
        let x = before.apply(x).reshape([batch, features, height * width]);
        let y = self.weight.val().unsqueeze::<3>().matmul(x);
        let y = match &self.bias {
            Some(bias) => y + bias.val().reshape([1, -1, 1]),
            None => y,
        };
        after.apply(y.reshape([batch as i32, -1, height as i32, width as i32]))
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
fn take<const D: usize>(param: &mut Param<Tensor<D>>) -> Vec<f32> {
    let placeholder = Initializer::Zeros.init(param.lazy_shape(), &param.lazy_device());
    let tensor = std::mem::replace(param, placeholder).into_value();
    tensor
        .into_data()
        .try_into_vec()
        .expect("parameters are f32")
}

fn values<const D: usize>(param: &Param<Tensor<D>>) -> Vec<f32> {
    let data = param.val().into_data();
    data.try_into_vec().expect("parameters are f32")
}

/// Two-dimensional convolution with a square kernel, padded to keep the size at stride 1.
#[derive(Module, Debug)]
pub struct Conv2d {
    /// `[out_channels, in_channels, kernel, kernel]`
    pub weight: Param<Tensor<4>>,
    /// `[out_channels]`
    pub bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    packed: Option<PackedLayer>,
    /// For pictures that are first doubled.
    #[module(skip)]
    doubled: Option<PackedLayer>,
    #[module(skip)]
    stride: usize,
}

impl Conv2d {
    /// A 3x3 convolution that keeps the size.
    pub fn new_3x3(in_channels: usize, out_channels: usize, device: &Device) -> Self {
        Self::new(in_channels, out_channels, 3, 1, device)
    }

    /// A 1x1 convolution.
    pub fn new_1x1(in_channels: usize, out_channels: usize, device: &Device) -> Self {
        Self::new(in_channels, out_channels, 1, 1, device)
    }

    /// A convolution with a bias.
    pub fn new(
        in_channels: usize,
        out_channels: usize,
        kernel: usize,
        stride: usize,
        device: &Device,
    ) -> Self {
        let fan_in = Some(in_channels * kernel * kernel);
        let shape = [out_channels, in_channels, kernel, kernel];
        Self {
            weight: UNIFORM.init_with(shape, fan_in, None, device),
            bias: Some(UNIFORM.init_with([out_channels], fan_in, None, device)),
            packed: None,
            doubled: None,
            stride,
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

    /// Moves the weight to where and into the layout in which kernels read it.
    pub fn pack(&mut self, packing: &Packing) {
        let shape = self.weight_shape();
        let weight = take(&mut self.weight);
        let purpose = if self.stride == 2 {
            Use::Halving
        } else {
            Use::Plain
        };
        self.packed = Some(PackedLayer::new(
            &weight,
            self.bias_values(),
            shape,
            purpose,
            packing,
        ));
    }

    /// Moves the weight to where and into the layout in which kernels read it for [`Self::forward_doubled`] alone.
    pub fn pack_doubled(&mut self, packing: &Packing) {
        let shape = self.weight_shape();
        let weight = take(&mut self.weight);
        self.doubled = Some(PackedLayer::new(
            &weight,
            self.bias_values(),
            shape,
            Use::Doubling,
            packing,
        ));
    }

    /// [`Self::pack`] for both ways to run the layer.
    pub fn pack_plain_and_doubled(&mut self, packing: &Packing) {
        let shape = self.weight_shape();
        let weight = take(&mut self.weight);
        let pack = |purpose| {
            Some(PackedLayer::new(
                &weight,
                self.bias_values(),
                shape,
                purpose,
                packing,
            ))
        };
        (self.packed, self.doubled) = (pack(Use::Plain), pack(Use::Doubling));
    }

    fn weight_shape(&self) -> WeightShape {
        let [outputs, inputs, kernel, _] = self.weight.lazy_shape().dims();
        WeightShape {
            outputs,
            inputs,
            kernel,
        }
    }

    fn bias_values(&self) -> Option<Vec<f32>> {
        self.bias.as_ref().map(values)
    }

    /// # Shapes
    /// - `x`: `[batch, in_channels, height, width]`
    /// - result: `[batch, out_channels, ceil(height / stride), ceil(width / stride)]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.forward_with(x, Before::Nothing, After::NOTHING)
    }

    /// [`Self::forward`] of the picture at twice its size, by nearest neighbours.
    pub fn forward_doubled(&self, x: Tensor<4>) -> Tensor<4> {
        match &self.doubled {
            Some(layer) => run_packed(x, layer, Before::Nothing, After::NOTHING),
            None => self.forward(kernels::upsample_nearest(x)),
        }
    }

    /// [`Self::forward`] with what comes before and after.
    pub fn forward_with(&self, x: Tensor<4>, before: Before<'_>, after: After) -> Tensor<4> {
        if let Some(packed) = &self.packed {
            return run_packed(x, packed, before, after);
        }
        let weight = self.weight.val();
        let [_, _, kernel, _] = weight.dims();
        let options = ConvOptions::new([self.stride; 2], [kernel / 2; 2], [1; 2], 1);
        let bias = self.bias.as_ref().map(Param::val);
        after.apply(module::conv2d(before.apply(x), weight, bias, options))
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
    packed: Option<NormValues>,
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
            packed: None,
            groups,
            epsilon,
        }
    }

    /// Brings the parameters to where kernels read them.
    pub fn pack(&mut self, packing: &Packing) {
        self.packed = Some(norm_values(&self.weight, &self.bias, self.epsilon, packing));
    }

    fn values(&self) -> NormValues {
        self.packed.clone().unwrap_or_else(|| {
            let packing = &Packing::Host(Precision::F32);
            norm_values(&self.weight, &self.bias, self.epsilon, packing)
        })
    }

    /// Weight and bias where `forward` runs.
    fn parameters(&self) -> (Tensor<1>, Tensor<1>) {
        let packed = self.packed.as_ref().and_then(NormValues::tensors);
        packed.unwrap_or_else(|| (self.weight.val(), self.bias.val()))
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
        let (weight, bias) = self.parameters();
        kernels::group_norm(x, weight, bias, self.groups, self.epsilon, silu)
    }
}

fn norm_values(
    weight: &Param<Tensor<1>>,
    bias: &Param<Tensor<1>>,
    epsilon: f64,
    packing: &Packing,
) -> NormValues {
    NormValues::new(values(weight), values(bias), epsilon, packing)
}

/// Layer normalisation of the channels of each token.
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// `[features]`
    pub weight: Param<Tensor<1>>,
    /// `[features]`
    pub bias: Param<Tensor<1>>,
    #[module(skip)]
    packed: Option<NormValues>,
    #[module(skip)]
    epsilon: f64,
}

impl LayerNorm {
    /// A layer that starts as plain normalisation.
    pub fn new(features: usize, epsilon: f64, device: &Device) -> Self {
        Self {
            weight: Initializer::Ones.init([features], device),
            bias: Initializer::Zeros.init([features], device),
            packed: None,
            epsilon,
        }
    }

    /// Brings the parameters to where kernels read them.
    pub fn pack(&mut self, packing: &Packing) {
        self.packed = Some(norm_values(&self.weight, &self.bias, self.epsilon, packing));
    }

    fn values(&self) -> NormValues {
        self.packed.clone().unwrap_or_else(|| {
            let packing = &Packing::Host(Precision::F32);
            norm_values(&self.weight, &self.bias, self.epsilon, packing)
        })
    }

    /// Weight and bias where `forward` runs.
    fn parameters(&self) -> (Tensor<1>, Tensor<1>) {
        let packed = self.packed.as_ref().and_then(NormValues::tensors);
        packed.unwrap_or_else(|| (self.weight.val(), self.bias.val()))
    }

    /// # Shapes
    /// - `x`, result: `[batch, features, tokens]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let (weight, bias) = self.parameters();
        kernels::layer_norm(x, weight, bias, self.epsilon)
    }
}

/// A table of vectors.
#[derive(Module, Debug)]
pub struct Embedding {
    /// `[entries, features]`
    pub weight: Param<Tensor<2>>,
    /// The same in half the memory.
    #[module(skip)]
    packed: Option<Arc<[f16]>>,
    /// Where the vectors are wanted, if that is not where the table is.
    #[module(skip)]
    wanted_on: Option<Device>,
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
            packed: None,
            wanted_on: None,
        }
    }

    /// Halves the memory of the table where the precision of the arithmetic is no better than that. The table itself
    /// stays on the host: CLIP's is larger than the buffers that many graphics processors offer.
    pub fn pack(&mut self, packing: &Packing) {
        let halves = match packing {
            Packing::Host(precision) => *precision != Precision::F32,
            Packing::Device(device, storage) => {
                self.wanted_on = Some(device.clone());
                *storage == Storage::F16
            }
        };
        if halves {
            let values = take(&mut self.weight);
            self.packed = Some(values.into_iter().map(f16::from_f32).collect());
        }
    }

    /// `[entries, features]`
    pub fn dims(&self) -> [usize; 2] {
        self.weight.lazy_shape().dims()
    }

    /// The vectors of the given entries.
    ///
    /// # Shapes
    /// - result: `[entries.len(), features]`
    pub fn forward(&self, entries: &[i64]) -> Tensor<2> {
        let found = self.look_up(entries);
        match &self.wanted_on {
            Some(device) => found.to_device(device),
            None => found,
        }
    }

    fn look_up(&self, entries: &[i64]) -> Tensor<2> {
        let device = self.weight.lazy_device();
        let Some(table) = &self.packed else {
            let entries = TensorData::new(entries.to_vec(), [entries.len()]);
            let entries = Tensor::<1, Int>::from_data(entries, &device);
            return self.weight.val().select(0, entries);
        };
        let [_, features] = self.dims();
        let rows = entries
            .iter()
            .flat_map(|&entry| &table[entry as usize * features..][..features]);
        let values: Vec<f32> = rows.map(|value| value.to_f32()).collect();
        Tensor::from_data(TensorData::new(values, [entries.len(), features]), &device)
    }
}
