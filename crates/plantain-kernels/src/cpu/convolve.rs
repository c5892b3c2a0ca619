//! Convolutions and linear layers: blocks of pixels times tiles of channels.
//!
//! The scheme is that of Goto and van de Geijn (2008), with a convolution's taps as shifted reads of one padded copy of
//! the input instead of an unfolded matrix: a block of the input is rewritten once so that it stays in a near cache, the
//! weights of some output channels at a time stream past it, and the sums never leave registers before they are done.

use std::mem::MaybeUninit;

use crate::cpu::driver::Driver;
use crate::cpu::epilogue::Output;
pub use crate::cpu::epilogue::{Activation, Epilogue};
use crate::cpu::geometry::{Extents, Reach};
use crate::cpu::isa::Isa;
use crate::cpu::packed::{Form, PackedWeight};
use crate::cpu::prologue::Input;
pub use crate::cpu::prologue::Prologue;
use crate::cpu::scratch::to_write;
use crate::cpu::winograd::Winograd;

/// A convolution with padding `kernel / 2`, and what is fused into it.
#[derive(Clone, Copy)]
pub struct Convolution<'a> {
    /// `[out][in][kernel][kernel]`.
    pub weight: &'a PackedWeight,
    /// 1, or 2 for 3x3 kernels.
    pub stride: usize,
    /// Whether the image is first doubled by nearest neighbour; the weights are packed for it.
    pub upsample: bool,
    /// Applied to the input.
    pub prologue: Prologue<'a>,
    /// Applied to the output.
    pub epilogue: Epilogue<'a>,
}

impl Convolution<'_> {
    /// `[channels, height, width]` of the output for an input of `height` and `width`.
    #[must_use]
    pub fn output_extents(&self, height: usize, width: usize) -> [usize; 3] {
        let scale = if self.upsample { 2 } else { 1 };
        let [height, width] = [height, width].map(|length| (length * scale).div_ceil(self.stride));
        [self.weight.output_channels(), height, width]
    }
}

/// Convolves `x` of `[batch, channels, height, width]` and writes every number of `out`. A linear layer is a 1x1
/// convolution of height 1 whose width is the number of tokens.
///
/// # Panics
/// If an extent does not fit, or the stride and doubling are not what the weights were packed for.
pub fn convolve(
    x: &[f32],
    extents: [usize; 4],
    convolution: &Convolution<'_>,
    out: &mut [MaybeUninit<f32>],
) {
    run(Isa::current(), x, extents, convolution, out);
}

/// [`convolve`] on a given path.
///
/// # Panics
/// As [`convolve`], and if the processor does not have the path's instructions, or the weights were packed for another one.
pub fn convolve_on(
    isa: Isa,
    x: &[f32],
    extents: [usize; 4],
    convolution: &Convolution<'_>,
    out: &mut [f32],
) {
    run(isa, x, extents, convolution, to_write(out));
}

fn run(
    isa: Isa,
    x: &[f32],
    extents: [usize; 4],
    convolution: &Convolution<'_>,
    out: &mut [MaybeUninit<f32>],
) {
    assert!(isa.is_available(), "the processor does not have {isa:?}");
    let extents = checked(x, extents, convolution, out);
    if extents.batch * extents.pixels() == 0 {
        return;
    }
    let weight = convolution.weight;
    let Extents {
        batch,
        height,
        width,
        ..
    } = extents;
    let input = Input {
        x,
        channels: extents.channels,
        pixels: extents.pixels(),
        prologue: convolution.prologue,
    };
    let output = Output::new(out);
    if let Some(step) = weight.form.filtering_step() {
        let extents = [batch, height, width];
        return Winograd::new(isa, input, extents, step, convolution, output).run();
    }
    Driver::new(isa, extents, input, convolution, output).run();
}

fn checked(
    x: &[f32],
    [batch, channels, height, width]: [usize; 4],
    convolution: &Convolution<'_>,
    out: &[MaybeUninit<f32>],
) -> Extents {
    let weight = convolution.weight;
    let reach = match (
        weight.shape.kernel,
        convolution.stride,
        convolution.upsample,
    ) {
        (1, 1, false) => Reach::Point,
        (3, 1, false) => Reach::Around,
        (3, 2, false) => Reach::Halved,
        (3, 1, true) => Reach::Doubled,
        (kernel, stride, upsample) => {
            panic!("no {kernel}x{kernel} convolution with stride {stride} and doubling {upsample}")
        }
    };
    let extents = Extents {
        batch,
        channels,
        height,
        width,
        reach,
    };
    assert_eq!(channels, weight.shape.inputs, "input channels");
    assert_eq!(
        x.len(),
        batch * channels * extents.pixels(),
        "input of {batch} x {channels} x {height} x {width}"
    );
    let pixels = extents.output_pixels();
    assert_eq!(
        out.len(),
        batch * weight.output_channels() * pixels,
        "output channels and pixels"
    );
    let filtered = weight.form.filtering_step().is_some();
    assert!(
        !filtered || convolution.stride == 1,
        "stride of minimal filtering"
    );
    assert_eq!(
        matches!(weight.form, Form::Upsample | Form::Doubling),
        convolution.upsample,
        "weights packed for doubling"
    );
    let geglu = convolution.epilogue.activation == Activation::Geglu;
    assert_eq!(
        weight.form == Form::Geglu,
        geglu,
        "weights packed for GEGLU"
    );
    convolution
        .prologue
        .check(batch, channels, extents.pixels());
    convolution
        .epilogue
        .check(batch, weight.shape.outputs, pixels);
    extents
}
