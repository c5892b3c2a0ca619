//! Convolutions.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, module, ops::ConvOptions};
use plantain_kernels::{self as kernels, PackedLayer, Packing, Use, WeightShape};

use super::{After, Before, UNIFORM, run_packed, take, values};

/// Two-dimensional convolution with a square kernel, padded to keep the size at stride 1.
#[derive(Module, Debug)]
pub struct Conv2d {
    /// `[out_channels, in_channels, kernel, kernel]`
    pub weight: Param<Tensor<4>>,
    /// `[out_channels]`
    pub bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    pub(super) packed: Option<PackedLayer>,
    /// For pictures that are first doubled.
    #[module(skip)]
    pub(super) doubled: Option<PackedLayer>,
    #[module(skip)]
    stride: usize,
    #[module(skip)]
    side: Option<usize>,
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
            side: None,
        }
    }

    /// The same layer without its bias.
    pub fn without_bias(mut self) -> Self {
        self.bias = None;
        self
    }

    /// The same layer, prepared for outputs that are mostly `side` pixels wide and high, if that is known.
    pub fn for_side(mut self, side: Option<usize>) -> Self {
        self.side = side;
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
            self.side,
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
            self.side,
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
                self.side,
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
