//! Normalisations.

use burn::module::{Initializer, Module, Param};
use burn::tensor::{Device, Tensor};
use plantain_kernels::{self as kernels, NormValues, Packing, Precision};

use super::values;

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
    pub(super) groups: usize,
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

    pub(super) fn values(&self) -> NormValues {
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

    pub(super) fn values(&self) -> NormValues {
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
