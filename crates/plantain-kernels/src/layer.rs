//! Convolutions and linear layers with their weights packed for the CPU kernels, and what is fused into them.

use std::fmt;
use std::sync::Arc;

use crate::cpu::convolve::{Convolution, Epilogue, Prologue, convolve};
use crate::cpu::norm::{group_norm_affine, layer_norm_stats};
use crate::cpu::packed::{PackedWeight, WeightSource};
pub use crate::cpu::convolve::Activation;
pub use crate::cpu::packed::{Form, WeightShape};
pub use crate::cpu::precision::Precision;

impl Precision {
    /// The same, or bf16 instead of int8: for the few layers that eight bits are too coarse for.
    #[must_use]
    pub fn at_least_bf16(self) -> Self {
        match self {
            Self::Int8 => Self::Bf16,
            other => other,
        }
    }
}

/// The weight and bias of a convolution or linear layer in the order and the precision in which the CPU kernels read
/// them. Cheap to clone.
#[derive(Clone)]
pub struct PackedLayer(Arc<Packed>);

struct Packed {
    weight: PackedWeight,
    bias: Option<Vec<f32>>,
}

impl PackedLayer {
    /// Packs `weight`, `[outputs, inputs, kernel, kernel]`, and `bias`, `[outputs]`.
    ///
    /// # Panics
    /// When a length is not that of `shape`, or `form` does not fit it.
    pub fn new(
        weight: &[f32],
        bias: Option<Vec<f32>>,
        shape: WeightShape,
        form: Form,
        precision: Precision,
    ) -> Self {
        let lengths = bias.as_ref().is_none_or(|bias| bias.len() == shape.outputs);
        assert!(lengths, "a bias for each output channel");
        let weight = PackedWeight::new(WeightSource::F32(weight), shape, form, precision);
        Self(Arc::new(Packed { weight, bias }))
    }

    /// Channels that the layer puts out.
    pub fn output_channels(&self) -> usize {
        self.0.weight.output_channels()
    }
}

impl fmt::Debug for PackedLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weight = &self.0.weight;
        write!(f, "PackedLayer({:?}, {:?})", weight.shape(), weight.precision())
    }
}

/// The learned numbers of a normalisation, on the host.
#[derive(Debug, Clone)]
pub struct NormValues {
    /// `[channels]`
    pub weight: Arc<[f32]>,
    /// `[channels]`
    pub bias: Arc<[f32]>,
    /// Added to the variance.
    pub epsilon: f32,
}

/// What happens to the input of a packed layer first.
#[derive(Debug, Clone)]
pub enum Before {
    /// Nothing.
    Nothing,
    /// `x sigmoid(x)`
    Silu,
    /// Group normalisation, then SiLU if asked for.
    GroupNorm {
        /// Learned numbers.
        values: NormValues,
        /// Groups of channels.
        groups: usize,
        /// Whether SiLU follows.
        silu: bool,
    },
    /// Normalisation of each pixel or token over its channels.
    LayerNorm(NormValues),
}

/// What is fused into a packed layer.
#[derive(Debug, Clone)]
pub struct Fusion {
    /// Applied to the input.
    pub before: Before,
    /// 1, or 2 for 3x3 kernels.
    pub stride: usize,
    /// Applied to the sum of product, bias and addends.
    pub activation: Activation,
}

impl Fusion {
    /// Nothing is fused.
    pub const NONE: Self = Self {
        before: Before::Nothing,
        stride: 1,
        activation: Activation::None,
    };
}

impl PackedLayer {
    /// Extents of the output for an input of these.
    pub(crate) fn output_extents(&self, [batch, _, height, width]: [usize; 4], stride: usize) -> [usize; 4] {
        let convolution = self.convolution(stride, Prologue::None, Epilogue::NONE);
        let [channels, height, width] = convolution.output_extents(height, width);
        [batch, channels, height, width]
    }

    /// Runs the layer on slices.
    ///
    /// # Shapes
    /// - `x`: `extents`, `[batch, inputs, height, width]`
    /// - `channel_add`: `[batch, outputs]`
    /// - `residual`, `out`: as [`Self::output_extents`]
    pub(crate) fn run(
        &self,
        x: &[f32],
        extents: [usize; 4],
        fusion: &Fusion,
        channel_add: Option<&[f32]>,
        residual: Option<&[f32]>,
        out: &mut [f32],
    ) {
        let epilogue = Epilogue {
            bias: self.0.bias.as_deref(),
            channel_add,
            residual,
            activation: fusion.activation,
        };
        let [batch, channels, height, width] = extents;
        let shape = [batch, channels, height * width];
        let run = |prologue: Prologue<'_>, out: &mut [f32]| {
            convolve(x, extents, &self.convolution(fusion.stride, prologue, epilogue), out);
        };
        match &fusion.before {
            Before::Nothing => run(Prologue::None, out),
            Before::Silu => run(Prologue::Silu, out),
            Before::GroupNorm { values, groups, silu } => {
                let NormValues { weight, bias, epsilon } = values;
                let affine = &group_norm_affine(x, shape, *groups, *epsilon, weight, bias);
                run(Prologue::Affine { affine, silu: *silu }, out);
            }
            Before::LayerNorm(NormValues { weight, bias, epsilon }) => {
                let stats = &layer_norm_stats(x, shape, *epsilon);
                run(Prologue::LayerNorm { stats, weight, bias }, out);
            }
        }
    }

    fn convolution<'a>(&'a self, stride: usize, prologue: Prologue<'a>, epilogue: Epilogue<'a>) -> Convolution<'a> {
        let weight = &self.0.weight;
        Convolution {
            weight,
            stride,
            upsample: weight.form == Form::Upsample,
            prologue,
            epilogue,
        }
    }
}
