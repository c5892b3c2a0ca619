//! Group normalisation (Wu and He 2018) and layer normalisation (Ba et al. 2016) of channel-major activations.
//!
//! Both are split into statistics and application, so that the application can be fused into the reader of the next
//! operation. Variances are biased, as both papers define them. Sums of squares are taken around the mean of a small
//! block that is still in the registers or the first cache, and blocks are combined by the parallel formula of Chan et
//! al. (1979): one pass over memory without cancellation.

use crate::cpu::isa::Isa;
use crate::cpu::math;
use crate::cpu::parallel::{chunks, for_each_item};
use crate::cpu::simd::{Kernel, Lanes, dispatch, map, sum};

/// Values per block of a group: a third of a first-level cache.
const BLOCK: usize = 4096;
/// Channels per block of a layer normalisation: they and the running statistics fit the registers.
const CHANNELS: usize = 8;
/// Tokens that one task of a layer normalisation takes.
const STRIP: usize = 256;
/// Values that make a second thread worth starting.
const SERIAL: usize = 1 << 13;

/// A group normalisation of given data as `x * scale + shift`, `[batch][channels]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChannelAffine {
    /// Factor.
    pub scale: Vec<f32>,
    /// Added after it.
    pub shift: Vec<f32>,
}

/// Mean and deviation over the channels of every token, `[batch][tokens]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TokenStats {
    /// Mean.
    pub mean: Vec<f32>,
    /// `1 / sqrt(variance + eps)`.
    pub inverse_std: Vec<f32>,
}

/// Statistics of a group normalisation of `x: [batch][channels][pixels]` over `groups` groups of consecutive channels,
/// joined with its `weight` and `bias: [channels]`.
///
/// # Panics
/// If a length does not fit the shape or the groups do not divide the channels.
#[must_use]
pub fn group_norm_affine(
    x: &[f32],
    shape: [usize; 3],
    groups: usize,
    eps: f32,
    weight: &[f32],
    bias: &[f32],
) -> ChannelAffine {
    group_norm_affine_on(Isa::current(), x, shape, groups, eps, weight, bias)
}

fn group_norm_affine_on(
    isa: Isa,
    x: &[f32],
    [b, c, p]: [usize; 3],
    groups: usize,
    eps: f32,
    weight: &[f32],
    bias: &[f32],
) -> ChannelAffine {
    assert_eq!(x.len(), b * c * p, "input length");
    assert!(
        groups > 0 && c % groups == 0,
        "{groups} groups must divide {c} channels"
    );
    assert_eq!(weight.len(), c, "a weight per channel");
    assert_eq!(bias.len(), c, "a bias per channel");
    let mut affine = ChannelAffine {
        scale: vec![0.0; b * c],
        shift: vec![0.0; b * c],
    };
    if x.is_empty() {
        return affine;
    }
    let per_group = c / groups;
    let values = per_group * p;
    let at_once = SERIAL.div_ceil(values);
    let mut of_groups = vec![Moments::default(); b * groups];
    chunks(&mut of_groups, at_once, |index, of_groups| {
        let x = &x[index * at_once * values..];
        for (moments, x) in of_groups.iter_mut().zip(x.chunks_exact(values)) {
            *moments = Moments::of(isa, x);
        }
    });
    let targets = affine.scale.iter_mut().zip(&mut affine.shift);
    for (row, (scale, shift)) in targets.enumerate() {
        let Moments {
            mean,
            squares,
            count,
        } = of_groups[row / per_group];
        let inverse_std = 1.0 / (squares / count + f64::from(eps)).sqrt();
        let factor = f64::from(weight[row % c]) * inverse_std;
        *scale = factor as f32;
        *shift = (f64::from(bias[row % c]) - mean * factor) as f32;
    }
    affine
}

/// Mean, sum of squared deviations from it, and number of the values they are taken over.
#[derive(Clone, Copy, Default)]
struct Moments {
    mean: f64,
    squares: f64,
    count: f64,
}

impl Moments {
    fn of(isa: Isa, x: &[f32]) -> Self {
        struct Block<'a>(&'a [f32]);
        impl Kernel for Block<'_> {
            type Output = Moments;
            #[inline(always)]
            fn run<L: Lanes>(self, l: L) -> Moments {
                let x = self.0;
                let count = x.len() as f64;
                let [total, _] = sums(l, x, 0.0);
                let around = (total / count) as f32;
                let [rest, squares] = sums(l, x, around);
                // `around` is the mean as well as f32 can tell; the deviations say what is missing.
                Moments {
                    mean: f64::from(around) + rest / count,
                    squares: squares - rest * rest / count,
                    count,
                }
            }
        }
        x.chunks(BLOCK)
            .map(|block| dispatch(isa, Block(block)))
            .fold(Moments::default(), Moments::join)
    }

    /// Those of both sets together (Chan et al. 1979).
    fn join(self, other: Self) -> Self {
        let count = self.count + other.count;
        let delta = other.mean - self.mean;
        let share = other.count / count;
        Self {
            mean: self.mean + delta * share,
            squares: self.squares + other.squares + delta * delta * self.count * share,
            count,
        }
    }
}

/// Sums of the deviations from `around` and of their squares.
#[inline(always)]
fn sums<L: Lanes>(l: L, x: &[f32], around: f32) -> [f64; 2] {
    let centre = l.splat(around);
    // Four sums hide the latency of the addition.
    let mut partial = [[l.splat(0.0); 2]; 4];
    let quads = x.chunks_exact(4 * L::COUNT);
    let rest = quads.remainder();
    for quad in quads {
        for (index, [total, squares]) in partial.iter_mut().enumerate() {
            // SAFETY: a quad holds four vectors.
            let deviation = l.sub(
                unsafe { l.load(quad.as_ptr().add(index * L::COUNT)) },
                centre,
            );
            *total = l.add(*total, deviation);
            *squares = l.mul_add(deviation, deviation, *squares);
        }
    }
    let mut sums = [0.0; 2];
    for vectors in partial {
        for (total, vector) in sums.iter_mut().zip(vectors) {
            *total += sum(l, vector);
        }
    }
    for &x in rest {
        let deviation = f64::from(x) - f64::from(around);
        sums[0] += deviation;
        sums[1] += deviation * deviation;
    }
    sums
}

/// `out = x * scale + shift` per batch and channel, then SiLU if wanted; `x` and `out` are `[batch][channels][pixels]`.
///
/// # Panics
/// If a length does not fit the others.
pub fn apply_affine(x: &[f32], pixels: usize, affine: &ChannelAffine, silu: bool, out: &mut [f32]) {
    apply_affine_on(Isa::current(), x, pixels, affine, silu, out);
}

fn apply_affine_on(
    isa: Isa,
    x: &[f32],
    pixels: usize,
    affine: &ChannelAffine,
    silu: bool,
    out: &mut [f32],
) {
    struct Row<'a> {
        x: &'a [f32],
        scale: f32,
        shift: f32,
        silu: bool,
        out: &'a mut [f32],
    }
    impl Kernel for Row<'_> {
        type Output = ();
        #[inline(always)]
        fn run<L: Lanes>(self, l: L) {
            let (scale, shift) = (l.splat(self.scale), l.splat(self.shift));
            let length = self.x.len().min(self.out.len());
            let (x, out) = (self.x.as_ptr(), self.out.as_mut_ptr());
            // SAFETY: both slices hold `length` values.
            unsafe {
                if self.silu {
                    map!(l: L, x, out, length, |v| math::silu(l, l.mul_add(v, scale, shift)));
                } else {
                    map!(l: L, x, out, length, |v| l.mul_add(v, scale, shift));
                }
            }
        }
    }
    assert_eq!(
        x.len(),
        out.len(),
        "input and output must have the same length"
    );
    assert_eq!(
        x.len(),
        affine.scale.len() * pixels,
        "a scale per image and channel"
    );
    assert_eq!(
        x.len(),
        affine.shift.len() * pixels,
        "a shift per image and channel"
    );
    if x.is_empty() {
        return;
    }
    let at_once = SERIAL.div_ceil(pixels);
    chunks(out, at_once * pixels, |index, out| {
        let first = index * at_once;
        let rows = x[first * pixels..].chunks_exact(pixels);
        for (i, (out, x)) in out.chunks_exact_mut(pixels).zip(rows).enumerate() {
            let row = Row {
                x,
                scale: affine.scale[first + i],
                shift: affine.shift[first + i],
                silu,
                out,
            };
            dispatch(isa, row);
        }
    });
}

/// Mean and deviation over the channels of every token of `x: [batch][channels][tokens]`.
///
/// # Panics
/// If the length does not fit the shape.
#[must_use]
pub fn layer_norm_stats(x: &[f32], shape: [usize; 3], eps: f32) -> TokenStats {
    layer_norm_stats_on(Isa::current(), x, shape, eps)
}

fn layer_norm_stats_on(isa: Isa, x: &[f32], [b, c, p]: [usize; 3], eps: f32) -> TokenStats {
    assert_eq!(x.len(), b * c * p, "input length");
    let mut stats = TokenStats {
        mean: vec![0.0; b * p],
        inverse_std: vec![0.0; b * p],
    };
    if x.is_empty() {
        return stats;
    }
    let tokens = STRIP * SERIAL.div_ceil(STRIP * c);
    let images = stats
        .mean
        .chunks_exact_mut(p)
        .zip(stats.inverse_std.chunks_exact_mut(p))
        .zip(x.chunks_exact(c * p));
    let mut strips: Vec<_> = images
        .flat_map(|((mean, inverse_std), x)| {
            let strips = mean.chunks_mut(tokens).zip(inverse_std.chunks_mut(tokens));
            strips
                .enumerate()
                .map(move |(index, (mean, inverse_std))| Strip {
                    x: &x[index * tokens..],
                    stride: p,
                    channels: c,
                    eps,
                    mean,
                    inverse_std,
                })
        })
        .collect();
    for_each_item(true, &mut strips, |strip| dispatch(isa, strip));
    stats
}

/// Some consecutive tokens: channel `i` of token `t` is `x[i * stride + t]`.
struct Strip<'a> {
    x: &'a [f32],
    stride: usize,
    channels: usize,
    eps: f32,
    mean: &'a mut [f32],
    inverse_std: &'a mut [f32],
}

impl Kernel for &mut Strip<'_> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let tokens = self.mean.len();
        assert!(
            self.inverse_std.len() == tokens
                && self.x.len() >= (self.channels - 1) * self.stride + tokens
        );
        // Until the end `inverse_std` holds the sums of squared deviations.
        self.mean.fill(0.0);
        self.inverse_std.fill(0.0);
        let mut channel = 0;
        while channel + CHANNELS <= self.channels {
            self.join::<L, CHANNELS>(l, channel);
            channel += CHANNELS;
        }
        for channel in channel..self.channels {
            self.join::<L, 1>(l, channel);
        }
        for squares in &mut *self.inverse_std {
            *squares = 1.0 / (*squares / self.channels as f32 + self.eps).sqrt();
        }
    }
}

impl Strip<'_> {
    /// Joins the statistics of `N` channels from `channel` on with those of all channels before it.
    #[inline(always)]
    fn join<L: Lanes, const N: usize>(&mut self, l: L, channel: usize) {
        let block = self.x[channel * self.stride..].as_ptr();
        let share = N as f32 / (channel + N) as f32;
        let (mean, squares) = (self.mean.as_mut_ptr(), self.inverse_std.as_mut_ptr());
        let tokens = self.mean.len();
        for token in (0..tokens).step_by(L::COUNT) {
            let count = (tokens - token).min(L::COUNT);
            // SAFETY: `run` checked the extents, and `token + count <= tokens`.
            unsafe {
                let mut values = [l.splat(0.0); N];
                let mut total = l.splat(0.0);
                for (row, value) in values.iter_mut().enumerate() {
                    *value = l.load_some(block.add(row * self.stride + token), count);
                    total = l.add(total, *value);
                }
                let centre = l.mul(total, l.splat(1.0 / N as f32));
                let old_mean = l.load_some(mean.add(token), count);
                let delta = l.sub(centre, old_mean);
                let between = l.mul(l.mul(delta, delta), l.splat(share * channel as f32));
                let mut sum = l.add(l.load_some(squares.add(token), count), between);
                for value in values {
                    let deviation = l.sub(value, centre);
                    sum = l.mul_add(deviation, deviation, sum);
                }
                l.store_some(
                    mean.add(token),
                    l.mul_add(delta, l.splat(share), old_mean),
                    count,
                );
                l.store_some(squares.add(token), sum, count);
            }
        }
    }
}

/// `out = (x - mean) * inverse_std * weight + bias` with statistics per batch and token and `weight`, `bias` per
/// channel; `x` and `out` are `[batch][channels][tokens]`.
///
/// # Panics
/// If a length does not fit the shape.
pub fn apply_layer_norm(
    x: &[f32],
    [b, c, p]: [usize; 3],
    stats: &TokenStats,
    weight: &[f32],
    bias: &[f32],
    out: &mut [f32],
) {
    assert_eq!(x.len(), b * c * p, "input length");
    assert_eq!(out.len(), x.len(), "output length");
    assert_eq!(stats.mean.len(), b * p, "a mean per token");
    assert_eq!(stats.inverse_std.len(), b * p, "a deviation per token");
    assert_eq!(weight.len(), c, "a weight per channel");
    assert_eq!(bias.len(), c, "a bias per channel");
    if x.is_empty() {
        return;
    }
    let isa = Isa::current();
    let at_once = SERIAL.div_ceil(p);
    chunks(out, at_once * p, |index, out| {
        let first = index * at_once;
        let rows = out.chunks_exact_mut(p).zip(x[first * p..].chunks_exact(p));
        for (row, (out, x)) in (first..).zip(rows) {
            let (tokens, channel) = (row / c * p..(row / c + 1) * p, row % c);
            let row = TokenRow {
                x,
                mean: &stats.mean[tokens.clone()],
                inverse_std: &stats.inverse_std[tokens],
                weight: weight[channel],
                bias: bias[channel],
                out,
            };
            dispatch(isa, row);
        }
    });
}

/// One channel of a layer normalisation.
struct TokenRow<'a> {
    x: &'a [f32],
    mean: &'a [f32],
    inverse_std: &'a [f32],
    weight: f32,
    bias: f32,
    out: &'a mut [f32],
}

impl Kernel for TokenRow<'_> {
    type Output = ();
    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        // Simple enough for the compiler to vectorise.
        let rows = self
            .out
            .iter_mut()
            .zip(self.x)
            .zip(self.mean)
            .zip(self.inverse_std);
        for (((out, &x), &mean), &inverse_std) in rows {
            *out = (x - mean) * inverse_std * self.weight + self.bias;
        }
    }
}

/// Group normalisation, then SiLU if wanted; arguments as in [`group_norm_affine`].
///
/// # Panics
/// As [`group_norm_affine`], or if `out` is not as long as `x`.
#[expect(
    clippy::too_many_arguments,
    reason = "the operation and its data, nothing to group"
)]
pub fn group_norm(
    x: &[f32],
    shape: [usize; 3],
    groups: usize,
    eps: f32,
    weight: &[f32],
    bias: &[f32],
    silu: bool,
    out: &mut [f32],
) {
    let affine = group_norm_affine(x, shape, groups, eps, weight, bias);
    apply_affine(x, shape[2], &affine, silu, out);
}

/// Layer normalisation over the channels of `x: [batch][channels][tokens]`.
///
/// # Panics
/// If a length does not fit the shape.
pub fn layer_norm(
    x: &[f32],
    shape: [usize; 3],
    eps: f32,
    weight: &[f32],
    bias: &[f32],
    out: &mut [f32],
) {
    let stats = layer_norm_stats(x, shape, eps);
    apply_layer_norm(x, shape, &stats, weight, bias, out);
}

#[cfg(test)]
mod tests;
