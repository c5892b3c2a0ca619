//! Convolutions and linear layers with their weights packed for the CPU kernels, and what is fused into them.

use std::fmt;
use std::sync::Arc;

pub use crate::cpu::convolve::Activation;
use crate::cpu::convolve::{Convolution, Epilogue, Prologue, convolve};
use crate::cpu::norm::{group_norm_affine, layer_norm_stats};
pub use crate::cpu::packed::WeightShape;
use crate::cpu::packed::{Form, PackedWeight, WeightSource};
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
    stride: usize,
    upsample: bool,
}

/// What a layer is packed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// A linear layer, or a convolution of stride 1.
    Plain,
    /// A 3x3 convolution that halves the picture.
    Halving,
    /// A 3x3 convolution of the picture at twice its size, by nearest neighbours.
    Doubling,
    /// A linear layer before [`Activation::Geglu`].
    Gated,
}

impl PackedLayer {
    /// Packs `weight`, `[outputs, inputs, kernel, kernel]`, and `bias`, `[outputs]`.
    ///
    /// # Panics
    /// When a length is not that of `shape`, or `purpose` does not fit it.
    pub fn new(
        weight: &[f32],
        bias: Option<Vec<f32>>,
        shape: WeightShape,
        purpose: Use,
        precision: Precision,
    ) -> Self {
        let lengths = bias.as_ref().is_none_or(|bias| bias.len() == shape.outputs);
        assert!(lengths, "a bias for each output channel");
        let (form, precision) = chosen_form(shape, purpose, precision);
        Self(Arc::new(Packed {
            weight: PackedWeight::new(WeightSource::F32(weight), shape, form, precision),
            bias,
            stride: if purpose == Use::Halving { 2 } else { 1 },
            upsample: purpose == Use::Doubling,
        }))
    }

    /// Channels that the layer puts out.
    pub fn output_channels(&self) -> usize {
        self.0.weight.output_channels()
    }
}

impl fmt::Debug for PackedLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weight = &self.0.weight;
        write!(
            f,
            "PackedLayer({:?}, {:?})",
            weight.shape(),
            weight.precision()
        )
    }
}

/// Channels up to which rewriting the input takes longer than multiplying in any precision.
const NARROW: usize = 64;
/// Numbers in a 3x3 weight above which minimal filtering in bf16 is not worth its memory: such layers see small pictures.
const LARGE: usize = 9 * 640 * 960;

/// The form and the precision that a layer is computed in.
fn chosen_form(shape: WeightShape, purpose: Use, precision: Precision) -> (Form, Precision) {
    let doubling = purpose == Use::Doubling;
    let size = 9 * shape.inputs * shape.outputs;
    let narrow = shape.inputs.max(shape.outputs) <= NARROW;
    match purpose {
        Use::Gated => (Form::Geglu, precision),
        Use::Halving => (Form::Plain, precision),
        Use::Plain | Use::Doubling if shape.kernel != 3 => (Form::Plain, precision),
        _ if narrow => (
            Form::fastest(shape, doubling, Precision::F32),
            Precision::F32,
        ),
        _ if precision == Precision::Bf16 && size > LARGE && doubling => {
            (Form::Upsample, precision)
        }
        _ if precision == Precision::Bf16 && size > LARGE => (Form::Plain, precision),
        _ => (Form::fastest(shape, doubling, precision), precision),
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
    /// Applied to the sum of product, bias and addends.
    pub activation: Activation,
}

impl Fusion {
    /// Nothing is fused.
    pub const NONE: Self = Self {
        before: Before::Nothing,
        activation: Activation::None,
    };
}

impl PackedLayer {
    /// Extents of the output for an input of these.
    pub(crate) fn output_extents(&self, [batch, _, height, width]: [usize; 4]) -> [usize; 4] {
        let convolution = self.convolution(Prologue::None, Epilogue::NONE);
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
            convolve(x, extents, &self.convolution(prologue, epilogue), out);
        };
        match &fusion.before {
            Before::Nothing => run(Prologue::None, out),
            Before::Silu => run(Prologue::Silu, out),
            Before::GroupNorm {
                values,
                groups,
                silu,
            } => {
                let NormValues {
                    weight,
                    bias,
                    epsilon,
                } = values;
                let affine = &group_norm_affine(x, shape, *groups, *epsilon, weight, bias);
                run(
                    Prologue::Affine {
                        affine,
                        silu: *silu,
                    },
                    out,
                );
            }
            Before::LayerNorm(NormValues {
                weight,
                bias,
                epsilon,
            }) => {
                let stats = &layer_norm_stats(x, shape, *epsilon);
                run(
                    Prologue::LayerNorm {
                        stats,
                        weight,
                        bias,
                    },
                    out,
                );
            }
        }
    }

    fn convolution<'a>(
        &'a self,
        prologue: Prologue<'a>,
        epilogue: Epilogue<'a>,
    ) -> Convolution<'a> {
        let Packed {
            weight,
            stride,
            upsample,
            ..
        } = &*self.0;
        Convolution {
            weight,
            stride: *stride,
            upsample: *upsample,
            prologue,
            epilogue,
        }
    }
}
