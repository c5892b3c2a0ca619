//! Linear layers.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use plantain_kernels::{Activation, PackedLayer, Packing, Use, WeightShape};

use super::{After, Before, Numbers, UNIFORM, run_packed, take, values};

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
        self.packed = Some(PackedLayer::new(
            &weight, bias, shape, purpose, None, packing,
        ));
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
            weight.extend_from_slice(&part);
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
        PackedLayer::new(&weight, Some(bias), shape, Use::Plain, None, packing)
    }

    fn take_weight(&mut self) -> ([usize; 2], Numbers) {
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
