//! Convolutions and linear layers with their weights packed for the kernels of a device, and what is fused into them.

use std::fmt;
use std::mem::MaybeUninit;
use std::sync::Arc;

use burn::tensor::{DType, Device, Tensor, TensorData};
use half::f16;

use crate::cpu::chain::{Chain, Link, can_chain, convolve_chain, rows_to_chain};
pub use crate::cpu::convolve::Activation;
use crate::cpu::convolve::{Convolution, Epilogue, Prologue, convolve};
use crate::cpu::isa::Isa;
use crate::cpu::norm::{group_norm_affine, layer_norm_stats};
pub use crate::cpu::packed::WeightShape;
use crate::cpu::packed::{Form, PackedWeight, multiplies_matrices};
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

/// How weights and activations rest in the memory of a graphics processor; sums are f32 either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Storage {
    /// Single precision.
    F32,
    /// Half precision.
    F16,
}

impl Storage {
    /// The type of tensors.
    pub(crate) fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F16 => DType::F16,
        }
    }
}

/// What weights are packed for.
#[derive(Clone, Debug)]
pub enum Packing {
    /// The CPU.
    Host(Precision),
    /// A graphics processor.
    Device(Device, Storage),
}

impl Packing {
    /// The same, or bf16 instead of int8.
    #[must_use]
    pub fn at_least_bf16(&self) -> Self {
        match self {
            Self::Host(precision) => Self::Host(precision.at_least_bf16()),
            device @ Self::Device(..) => device.clone(),
        }
    }

    /// The precision of products on the CPU; f32 on any other device.
    pub fn precision(&self) -> Precision {
        match self {
            Self::Host(precision) => *precision,
            Self::Device(..) => Precision::F32,
        }
    }
}

/// The weight and bias of a convolution or linear layer in the order and the precision in which the kernels of a device
/// read them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PackedLayer(pub(crate) Packed);

#[derive(Clone, Debug)]
pub(crate) enum Packed {
    Host(HostLayer),
    Device(Box<DeviceLayer>),
}

/// A layer packed for the CPU.
#[derive(Clone)]
pub struct HostLayer(Arc<HostWeight>);

struct HostWeight {
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
    /// Packs `weight`, `[outputs, inputs, kernel, kernel]`, and `bias`, `[outputs]`. What is fastest depends on the size
    /// of the output; `side` says how many pixels wide and high it usually is.
    ///
    /// # Panics
    /// When a length is not that of `shape`, or `purpose` does not fit it.
    pub fn new(
        weight: &[f32],
        bias: Option<Vec<f32>>,
        shape: WeightShape,
        purpose: Use,
        side: Option<usize>,
        packing: &Packing,
    ) -> Self {
        let lengths = bias.as_ref().is_none_or(|bias| bias.len() == shape.outputs);
        assert!(lengths, "a bias for each output channel");
        Self(match packing {
            Packing::Host(precision) => {
                let chosen = chosen_form(shape, purpose, side, *precision);
                Packed::Host(HostLayer::new(weight, bias, shape, purpose, chosen))
            }
            Packing::Device(device, storage) => {
                let layer = DeviceLayer::new(weight, bias, shape, purpose, device, *storage);
                Packed::Device(Box::new(layer))
            }
        })
    }
}

impl HostLayer {
    fn new(
        weight: &[f32],
        bias: Option<Vec<f32>>,
        shape: WeightShape,
        purpose: Use,
        (form, precision): (Form, Precision),
    ) -> Self {
        Self(Arc::new(HostWeight {
            weight: PackedWeight::new(weight, shape, form, precision),
            bias,
            stride: if purpose == Use::Halving { 2 } else { 1 },
            upsample: purpose == Use::Doubling,
        }))
    }
}

impl fmt::Debug for HostLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weight = &self.0.weight;
        let (shape, precision) = (weight.shape(), weight.precision());
        write!(f, "HostLayer({shape:?}, {precision:?})")
    }
}

/// A convolution of stride 1 among others that run one after the other.
#[derive(Clone, Copy, Debug)]
pub struct ChainLink<'a> {
    /// Its weight, of the first perhaps packed for [`Use::Doubling`].
    pub layer: &'a PackedLayer,
    /// Applied to its output.
    pub activation: Activation,
    /// The link, counted from 0, whose input is added before that.
    pub adds: Option<usize>,
}

/// Layers packed for the CPU of which a few rows at a time run one after the other, with what lies between them in a near cache.
/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct HostChain(Vec<HostLink>);

#[derive(Clone, Debug)]
struct HostLink {
    layer: HostLayer,
    activation: Activation,
    adds: Option<usize>,
}

impl HostChain {
    /// `None` where the processor cannot run these links so, see [`can_chain`].
    pub fn new(links: &[ChainLink<'_>]) -> Option<Self> {
        let links = links.iter().map(|link| match &link.layer.0 {
            Packed::Host(layer) if layer.0.stride == 1 => Some(HostLink {
                layer: layer.clone(),
                activation: link.activation,
                adds: link.adds,
            }),
            _ => None,
        });
        let chain = Self(links.collect::<Option<_>>()?);
        can_chain(&chain.links()).then_some(chain)
    }

    /// Whether a picture of these extents has rows enough for it to take less time than layer by layer.
    pub fn suits(&self, extents: [usize; 4]) -> bool {
        let [_, _, height, _] = self.output_extents(extents);
        height >= rows_to_chain(self.0.len())
    }

    fn links(&self) -> Vec<Link<'_>> {
        let links = self.0.iter().map(|link| Link {
            weight: &link.layer.0.weight,
            bias: link.layer.0.bias.as_deref(),
            adds: link.adds,
            activation: link.activation,
        });
        links.collect()
    }

    /// Extents of the output for an input of these.
    pub(crate) fn output_extents(&self, extents: [usize; 4]) -> [usize; 4] {
        let links = self.0.iter();
        links.fold(extents, |extents, link| link.layer.output_extents(extents))
    }

    /// Runs the layers on slices; every number of `out` is written.
    ///
    /// # Shapes
    /// - `x`: `extents`, `[batch, inputs, height, width]`
    /// - `residual`, added before the last activation, and `out`: as [`Self::output_extents`]
    pub(crate) fn run(
        &self,
        x: &[f32],
        extents: [usize; 4],
        residual: Option<&[f32]>,
        out: &mut [MaybeUninit<f32>],
    ) {
        let chain = Chain {
            links: &self.links(),
            residual,
        };
        convolve_chain(x, extents, &chain, out);
    }
}

/// A layer whose weight rests in the memory of a graphics processor.
#[derive(Clone, Debug)]
pub(crate) struct DeviceLayer {
    /// `[kernel, kernel, inputs, outputs]`
    pub(crate) weight: Tensor<4>,
    /// `[outputs]`, f32.
    pub(crate) bias: Option<Tensor<1>>,
    pub(crate) form: LayerForm,
    pub(crate) gated: bool,
}

/// What a layer does apart from its weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerForm {
    /// Width of the kernel; the padding is half of it.
    pub kernel: usize,
    /// Pixels between two results.
    pub stride: usize,
    /// Whether the picture is first doubled by nearest neighbours.
    pub doubled: bool,
}

impl LayerForm {
    /// Height and width of the output for an input of these.
    pub fn output_size(&self, size: [usize; 2]) -> [usize; 2] {
        let scale = if self.doubled { 2 } else { 1 };
        size.map(|length| (length * scale).div_ceil(self.stride))
    }
}

impl DeviceLayer {
    fn new(
        weight: &[f32],
        bias: Option<Vec<f32>>,
        shape: WeightShape,
        purpose: Use,
        device: &Device,
        storage: Storage,
    ) -> Self {
        let WeightShape {
            outputs,
            inputs,
            kernel,
        } = shape;
        let ordered = outputs_last(weight, inputs, kernel * kernel);
        let dims = [kernel, kernel, inputs, outputs];
        Self {
            weight: match storage {
                Storage::F32 => upload(TensorData::new(ordered, dims), device, storage),
                Storage::F16 => {
                    let halves: Vec<_> = ordered.into_iter().map(f16::from_f32).collect();
                    upload(TensorData::new(halves, dims), device, storage)
                }
            },
            bias: bias.map(|bias| vector(bias, device)),
            form: LayerForm {
                kernel,
                stride: if purpose == Use::Halving { 2 } else { 1 },
                doubled: purpose == Use::Doubling,
            },
            gated: purpose == Use::Gated,
        }
    }
}

/// `[outputs, inputs, taps]` as `[taps, inputs, outputs]`.
fn outputs_last(weight: &[f32], inputs: usize, taps: usize) -> Vec<f32> {
    let mut ordered = Vec::with_capacity(weight.len());
    for tap in 0..taps {
        for input in 0..inputs {
            let column = weight[input * taps + tap..].iter();
            ordered.extend(column.step_by(inputs * taps));
        }
    }
    ordered
}

fn upload<const D: usize>(data: TensorData, device: &Device, storage: Storage) -> Tensor<D> {
    Tensor::from_data(data, (device, storage.dtype()))
}

fn vector(values: Vec<f32>, device: &Device) -> Tensor<1> {
    let count = values.len();
    upload(TensorData::new(values, [count]), device, Storage::F32)
}

/// Channels up to which rewriting the input takes longer than multiplying in any precision, but for AMX, or where pixels are doubled or
/// become a few channels.
const NARROW: usize = 64;
/// Channels of a picture, or of four at once.
const FEW: usize = 12;
/// Numbers in a 3x3 weight above which minimal filtering in bf16 is not worth its memory: such layers see small pictures.
const LARGE: usize = 9 * 640 * 960;

/// The form and the precision that a layer is computed in.
fn chosen_form(
    shape: WeightShape,
    purpose: Use,
    side: Option<usize>,
    precision: Precision,
) -> (Form, Precision) {
    let isa = Isa::current();
    let doubling = purpose == Use::Doubling;
    let size = 9 * shape.inputs * shape.outputs;
    let narrow = shape.inputs.max(shape.outputs) <= NARROW;
    match purpose {
        Use::Gated => (Form::Geglu, precision),
        Use::Halving => (Form::Plain, precision),
        Use::Plain | Use::Doubling if shape.kernel != 3 => (Form::Plain, precision),
        _ if narrow => {
            // Of bytes the largest would have to be looked for in the whole picture before.
            let halves = multiplies_matrices(isa, shape, Precision::Bf16)
                || isa.multiplies_pairs() && (doubling || shape.outputs <= FEW);
            let precision = match precision {
                Precision::Bf16 | Precision::Int8 if halves => Precision::Bf16,
                _ => Precision::F32,
            };
            (
                Form::fastest(isa, shape, doubling, precision, side),
                precision,
            )
        }
        _ if precision == Precision::Bf16 && size > LARGE && !doubling => (Form::Plain, precision),
        _ => (
            Form::fastest(isa, shape, doubling, precision, side),
            precision,
        ),
    }
}

/// The learned numbers of a normalisation, where the kernels read them.
#[derive(Debug, Clone)]
pub struct NormValues(pub(crate) Norm);

#[derive(Debug, Clone)]
pub(crate) enum Norm {
    Host(HostNorm),
    Device(Box<DeviceNorm>),
}

#[derive(Debug, Clone)]
pub(crate) struct DeviceNorm {
    weight: Tensor<1>,
    bias: Tensor<1>,
    epsilon: f64,
}

#[derive(Debug, Clone)]
pub(crate) struct HostNorm {
    weight: Arc<[f32]>,
    bias: Arc<[f32]>,
    epsilon: f32,
}

impl NormValues {
    /// Weight and bias of each channel, and what is added to the variance.
    pub fn new(weight: Vec<f32>, bias: Vec<f32>, epsilon: f64, packing: &Packing) -> Self {
        Self(match packing {
            Packing::Host(_) => Norm::Host(HostNorm {
                weight: weight.into(),
                bias: bias.into(),
                epsilon: epsilon as f32,
            }),
            Packing::Device(device, _) => Norm::Device(Box::new(DeviceNorm {
                weight: vector(weight, device),
                bias: vector(bias, device),
                epsilon,
            })),
        })
    }

    /// Weight and bias, where they rest in the memory of a graphics processor.
    pub fn tensors(&self) -> Option<(Tensor<1>, Tensor<1>)> {
        match &self.0 {
            Norm::Host(_) => None,
            Norm::Device(norm) => Some((norm.weight.clone(), norm.bias.clone())),
        }
    }

    /// Added to the variance.
    pub(crate) fn epsilon(&self) -> f64 {
        match &self.0 {
            Norm::Host(values) => f64::from(values.epsilon),
            Norm::Device(norm) => norm.epsilon,
        }
    }

    fn host(&self) -> &HostNorm {
        match &self.0 {
            Norm::Host(values) => values,
            Norm::Device(_) => {
                panic!("a layer of the CPU with a normalisation of another device")
            }
        }
    }
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

impl HostLayer {
    /// Extents of the output for an input of these.
    pub(crate) fn output_extents(&self, [batch, _, height, width]: [usize; 4]) -> [usize; 4] {
        let convolution = self.convolution(Prologue::None, Epilogue::NONE);
        let [channels, height, width] = convolution.output_extents(height, width);
        [batch, channels, height, width]
    }

    /// Runs the layer on slices; every number of `out` is written.
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
        out: &mut [MaybeUninit<f32>],
    ) {
        let epilogue = Epilogue {
            bias: self.0.bias.as_deref(),
            channel_add,
            residual,
            activation: fusion.activation,
        };
        let [batch, channels, height, width] = extents;
        let shape = [batch, channels, height * width];
        let run = |prologue: Prologue<'_>, out: &mut [MaybeUninit<f32>]| {
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
                let HostNorm {
                    weight,
                    bias,
                    epsilon,
                } = values.host();
                let affine = &group_norm_affine(x, shape, *groups, *epsilon, weight, bias);
                run(
                    Prologue::Affine {
                        affine,
                        silu: *silu,
                    },
                    out,
                );
            }
            Before::LayerNorm(values) => {
                let HostNorm {
                    weight,
                    bias,
                    epsilon,
                } = values.host();
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
        let HostWeight {
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
