//! What is applied to the input of a convolution while it is rewritten: normalisation and activation.

use crate::cpu::isa::{Isa, per_isa};
use crate::cpu::math;
use crate::cpu::norm::{ChannelAffine, TokenStats};
use crate::cpu::simd::{Kernel, Lanes, dispatch, map};

/// Applied to every pixel of the input before it is multiplied; padding is zero after it.
#[derive(Clone, Copy, Debug)]
pub enum Prologue<'a> {
    /// Nothing.
    None,
    /// A group normalisation as `x * scale + shift` per batch and channel.
    Affine {
        /// `[batch][channels]`.
        affine: &'a ChannelAffine,
        /// Followed by SiLU.
        silu: bool,
    },
    /// Normalisation of each token over its channels.
    LayerNorm {
        /// `[batch][tokens]`.
        stats: &'a TokenStats,
        /// `[channels]`.
        weight: &'a [f32],
        /// `[channels]`.
        bias: &'a [f32],
    },
    /// SiLU alone.
    Silu,
}

impl Prologue<'_> {
    /// # Panics
    /// If an extent is not that of an input of `[batch][channels][pixels]`.
    pub(crate) fn check(&self, batch: usize, channels: usize, pixels: usize) {
        match self {
            Self::None | Self::Silu => {}
            Self::Affine { affine, .. } => {
                assert_eq!(
                    affine.scale.len(),
                    batch * channels,
                    "a scale per image and input channel"
                );
                assert_eq!(
                    affine.shift.len(),
                    batch * channels,
                    "a shift per image and input channel"
                );
            }
            Self::LayerNorm {
                stats,
                weight,
                bias,
            } => {
                assert_eq!(stats.mean.len(), batch * pixels, "a mean per token");
                assert_eq!(
                    stats.inverse_std.len(),
                    batch * pixels,
                    "a deviation per token"
                );
                assert_eq!(
                    weight.len(),
                    channels,
                    "a layer norm weight per input channel"
                );
                assert_eq!(bias.len(), channels, "a layer norm bias per input channel");
            }
        }
    }
}

/// Where a run of consecutive pixels of one channel comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub image: usize,
    pub channel: usize,
    pub pixel: usize,
}

/// An input with its prologue.
#[derive(Clone, Copy)]
pub(crate) struct Input<'a> {
    /// `[batch][channels][pixels]`.
    pub x: &'a [f32],
    pub channels: usize,
    pub pixels: usize,
    pub prologue: Prologue<'a>,
}

impl<'a> Input<'a> {
    /// A run of consecutive pixels of one channel after the prologue: in `stage` if anything is to be done to them.
    pub(crate) fn pixels_of<'s>(&self, isa: Isa, run: Run, stage: &'s mut [f32]) -> &'s [f32]
    where
        'a: 's,
    {
        if matches!(self.prologue, Prologue::None) && run.channel < self.channels {
            let row = run.image * self.channels + run.channel;
            return &self.x[row * self.pixels + run.pixel..][..stage.len()];
        }
        self.read(isa, run, stage);
        stage
    }

    /// A run of pixels of this channel and those that follow it, `count` in all of at most four, if nothing is to be done to
    /// them and there are as many; those beyond `count` are any.
    pub(crate) fn untouched(&self, run: Run, count: usize, length: usize) -> Option<[&[f32]; 4]> {
        let nothing = matches!(self.prologue, Prologue::None);
        (nothing && run.channel + count <= self.channels).then(|| {
            let row = run.image * self.channels + run.channel;
            [0, 1, 2, 3].map(|part| {
                let first = (row + part.min(count - 1)) * self.pixels + run.pixel;
                &self.x[first..][..length]
            })
        })
    }

    /// Asks for a run that will be read soon. Channels are far apart, so that the processor does not foresee it.
    pub(crate) fn prefetch(&self, run: Run, length: usize) {
        let first = (run.image * self.channels + run.channel) * self.pixels + run.pixel;
        if run.channel < self.channels {
            for line in self.x[first..][..length].chunks(16) {
                prefetch(line.as_ptr());
            }
        }
    }

    /// Writes a run of consecutive pixels of one channel after the prologue; a channel beyond the last is zero.
    pub(crate) fn read(&self, isa: Isa, run: Run, out: &mut [f32]) {
        if run.channel >= self.channels {
            return out.fill(0.0);
        }
        let row = run.image * self.channels + run.channel;
        let x = &self.x[row * self.pixels + run.pixel..][..out.len()];
        if let Prologue::None = self.prologue {
            return out.copy_from_slice(x);
        }
        dispatch(
            isa,
            Read {
                input: self,
                run,
                row,
                x,
                out,
            },
        );
    }
}

#[inline(always)]
fn prefetch(address: *const f32) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: every x86-64 processor has the instruction, which may name any address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// [`Input::read`] of one run: `x` is its pixels, `row` its channel counted over all images.
struct Read<'a> {
    input: &'a Input<'a>,
    run: Run,
    row: usize,
    x: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for Read<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let Self {
            input,
            run,
            row,
            x,
            out,
        } = self;
        let (x, length) = (&x[..out.len()], out.len());
        // SAFETY: input, output and statistics have `length` values.
        unsafe {
            match input.prologue {
                Prologue::None => {}
                Prologue::Silu => {
                    map!(l: L, x.as_ptr(), out.as_mut_ptr(), length, |x| math::silu(l, x))
                }
                Prologue::Affine { affine, silu } => {
                    let (scale, shift) = (l.splat(affine.scale[row]), l.splat(affine.shift[row]));
                    if silu {
                        let (x, out) = (x.as_ptr(), out.as_mut_ptr());
                        map!(l: L, x, out, length, |x| math::silu(l, l.mul_add(x, scale, shift)));
                    } else {
                        map!(l: L, x.as_ptr(), out.as_mut_ptr(), length, |x| l.mul_add(x, scale, shift));
                    }
                }
                Prologue::LayerNorm {
                    stats,
                    weight,
                    bias,
                } => {
                    let first = run.image * input.pixels + run.pixel;
                    let mean = &stats.mean[first..][..length];
                    let inverse_std = &stats.inverse_std[first..][..length];
                    let (weight, bias) = (l.splat(weight[run.channel]), l.splat(bias[run.channel]));
                    for at in (0..length).step_by(L::COUNT) {
                        let count = L::COUNT.min(length - at);
                        let x = l.load_first(x.as_ptr().add(at), count);
                        let mean = l.load_first(mean.as_ptr().add(at), count);
                        let inverse_std = l.load_first(inverse_std.as_ptr().add(at), count);
                        let normal = l.mul(l.sub(x, mean), inverse_std);
                        l.store_first(
                            out.as_mut_ptr().add(at),
                            l.mul_add(normal, weight, bias),
                            count,
                        );
                    }
                }
            }
        }
    }
}

/// The largest magnitude of each pixel so far.
#[inline(always)]
fn raise_body(values: &[f32], largest: &mut [f32]) {
    for (largest, value) in largest.iter_mut().zip(values) {
        *largest = largest.max(value.abs());
    }
}

/// [`pairs`] for a caller that is compiled for an instruction set.
#[inline(always)]
pub(crate) fn pairs_body(even: &[f32], odd: &[f32], out: &mut [u32]) {
    for ((out, even), odd) in out.iter_mut().zip(even).zip(odd) {
        *out = rounded(*even) >> 16 | rounded(*odd) & 0xffff_0000;
    }
}

#[inline(always)]
fn neighbours_body(values: &[f32], out: &mut [u32]) {
    let (two, last) = values.as_chunks::<2>();
    for (out, [even, odd]) in out.iter_mut().zip(two) {
        *out = rounded(*even) >> 16 | rounded(*odd) & 0xffff_0000;
    }
    if let [last] = last {
        out[two.len()] = rounded(*last) >> 16;
    }
}

/// The bits of a number whose upper half is the nearest bfloat16, ties to even; of no number that of no number.
#[inline(always)]
fn rounded(value: f32) -> u32 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
    if value.is_nan() {
        bits | 0x40_0000
    } else {
        rounded
    }
}

#[inline(always)]
fn quads_body(rows: [&[f32]; 4], inverse_scales: &[f32], out: &mut [u32]) {
    let length = out.len();
    let [a, b, c, d] = rows.map(|row| &row[..length]);
    for (index, (out, &inverse)) in out.iter_mut().zip(inverse_scales).enumerate() {
        *out = byte(a[index] * inverse)
            | byte(b[index] * inverse) << 8
            | byte(c[index] * inverse) << 16
            | byte(d[index] * inverse) << 24;
    }
}

/// The nearest integer plus 128; the magnitude is at most 127 and a rounding error.
#[inline(always)]
fn byte(value: f32) -> u32 {
    // Adding 1.5 * 2^23 leaves the rounded integer in the lowest bits.
    (value + 12_582_912.0).to_bits().wrapping_add(128) & 0xff
}

per_isa! {
    /// Raises each pixel's largest magnitude to that of `values`.
    pub(crate) fn raise(values: &[f32], largest: &mut [f32]) = raise_body
}
per_isa! {
    /// Two channels as bfloat16 in one lane.
    pub(crate) fn pairs(even: &[f32], odd: &[f32], out: &mut [u32]) = pairs_body
}
per_isa! {
    /// Neighbouring values as bfloat16 in one lane, with a zero beside the last where their number is odd.
    pub(crate) fn neighbours(values: &[f32], out: &mut [u32]) = neighbours_body
}
per_isa! {
    /// Four channels as unsigned bytes with zero point 128 in one lane.
    pub(crate) fn quads(rows: [&[f32]; 4], inverse_scales: &[f32], out: &mut [u32]) = quads_body
}
