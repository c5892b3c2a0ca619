//! Two convolutions around nothing, one of which doubles the picture, as a single one at the smaller size.

use burn::tensor::Tensor;
use plantain_kernels::{self as kernels, PackedLayer, Packing, Use, WeightShape};

use super::{After, Before, Conv2d, run_packed, values};

/// Pixels of the doubled picture that one of the picture before becomes.
const PIXELS: usize = 4;
/// Taps of a kernel.
const TAPS: usize = 9;

/// What a 3x3 convolution of the doubled picture (by nearest neighbour, without a bias) and one right after it amount to: both are linear, so
/// a pixel of the result is a sum over 3x3 pixels of the picture before it was doubled, with other weights for each of four places in such a
/// pixel. That is one convolution to four channels for each of the last one's (Shi et al. 2016), and of a few channels a fraction of the products.
///
/// Only the outermost pixels differ: the last convolution sees zeros around the picture, where the first one would give something.
#[derive(Debug, Clone)]
pub struct SubpixelConv2d {
    packed: PackedLayer,
}

impl SubpixelConv2d {
    /// Of two convolutions that are not packed yet.
    ///
    /// # Panics
    /// If the first has a bias, which the last one's padding would take part in, or gives other channels than the last one takes.
    pub fn of(doubling: &Conv2d, last: &Conv2d, packing: &Packing) -> Self {
        let [between, inputs, _, _] = doubling.weight.lazy_shape().dims();
        let [outputs, taken, _, _] = last.weight.lazy_shape().dims();
        assert!(doubling.bias.is_none(), "a doubling without a bias");
        assert_eq!(between, taken, "channels between the two");
        let weight = composed(
            &values(&doubling.weight),
            &values(&last.weight),
            [outputs, between, inputs],
        );
        let bias = last.bias.as_ref().map(|bias| {
            let repeated = values(bias).into_iter();
            repeated.flat_map(|value| [value; PIXELS]).collect()
        });
        let shape = WeightShape {
            outputs: PIXELS * outputs,
            inputs,
            kernel: 3,
        };
        Self {
            packed: PackedLayer::new(&weight, bias, shape, Use::Plain, None, packing),
        }
    }

    /// What the two it was made of, packed by now, give one after the other.
    ///
    /// # Shapes
    /// - `x`: `[batch, in_channels, height, width]`
    /// - result: `[batch, out_channels, 2 * height, 2 * width]`
    pub fn forward(&self, x: Tensor<4>, doubling: &Conv2d, last: &Conv2d) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        let both = |x: Tensor<4>| last.forward(doubling.forward_doubled(x));
        // The outermost pixels depend on two of the picture before.
        if height < 2 || width < 2 {
            return both(x);
        }
        let inner = run_packed(x.clone(), &self.packed, Before::Nothing, After::NOTHING);
        let y = kernels::pixel_shuffle(inner);
        let y = with_edges(y, &x, 2, both);
        with_edges(y, &x, 3, both)
    }
}

/// `y` with the first and the last line along a dimension taken from what `both` gives of the two lines of `x` there.
fn with_edges(
    y: Tensor<4>,
    x: &Tensor<4>,
    dim: usize,
    both: impl Fn(Tensor<4>) -> Tensor<4>,
) -> Tensor<4> {
    let batch = x.dims()[0];
    let (before, after) = (x.dims()[dim], y.dims()[dim]);
    let strips = vec![
        x.clone().narrow(dim, 0, 2),
        x.clone().narrow(dim, before - 2, 2),
    ];
    let strips = both(Tensor::cat(strips, 0));
    let first = strips.clone().narrow(0, 0, batch).narrow(dim, 0, 1);
    let last = strips.narrow(0, batch, batch).narrow(dim, 3, 1);
    let mut place = y.dims().map(|length| 0..length);
    place[dim] = 0..1;
    let y = y.slice_assign(place.clone(), first);
    place[dim] = after - 1..after;
    y.slice_assign(place, last)
}

/// The weights `[4 * outputs][inputs][3][3]` of two convolutions `[between][inputs][3][3]` and `[outputs][between][3][3]`.
fn composed(doubling: &[f32], last: &[f32], [outputs, between, inputs]: [usize; 3]) -> Vec<f32> {
    let kernel = inputs * TAPS;
    let mut sums = vec![0.0_f64; PIXELS * outputs * kernel];
    for (index, sums) in sums.chunks_exact_mut(kernel).enumerate() {
        let (output, pixel) = (index / PIXELS, index % PIXELS);
        for channel in 0..between {
            let outer = &last[(output * between + channel) * TAPS..][..TAPS];
            let inner = &doubling[channel * kernel..][..kernel];
            for (at, &outer) in outer.iter().enumerate() {
                let source = sources(pixel, at);
                for (sums, inner) in sums.chunks_exact_mut(TAPS).zip(inner.chunks_exact(TAPS)) {
                    for (&source, &inner) in source.iter().zip(inner) {
                        sums[source] += f64::from(outer) * f64::from(inner);
                    }
                }
            }
        }
    }
    sums.into_iter().map(|sum| sum as f32).collect()
}

/// For each tap of the first convolution, seen from a tap of the second one at one of the four pixels, the tap of both together.
fn sources(pixel: usize, outer: usize) -> [usize; TAPS] {
    // Two pixels of the doubled picture come from one; taps stand one or two before and behind their pixel.
    let along = |pixel: usize, outer: usize, inner: usize| (pixel + outer + inner) / 2;
    std::array::from_fn(|inner| {
        let row = along(pixel / 2, outer / 3, inner / 3);
        let column = along(pixel % 2, outer % 3, inner % 3);
        3 * row + column
    })
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};
    use plantain_kernels::Precision;

    use super::*;

    #[allow(deprecated)] // The ndarray backend is deprecated upstream and supported here.
    #[test]
    fn it_gives_what_both_do() {
        for device in [Device::flex(), Device::ndarray()] {
            let mut doubling = Conv2d::new_3x3(24, 20, &device).without_bias();
            let mut last = Conv2d::new_3x3(20, 3, &device);
            let sizes = [[2, 2], [5, 4], [9, 23], [1, 7], [6, 1], [40, 33]];
            let wanted = sizes.map(|[height, width]| {
                let x = Tensor::random([2, 24, height, width], Distribution::Default, &device);
                let y = last.forward(doubling.forward_doubled(x.clone()));
                (x, y)
            });
            let packing = Packing::Host(Precision::F32);
            let folded = SubpixelConv2d::of(&doubling, &last, &packing);
            doubling.pack_doubled(&packing);
            last.pack(&packing);
            for (x, wanted) in wanted {
                let dims = x.dims();
                let error = (folded.forward(x, &doubling, &last) - wanted).abs().max();
                let error: f32 = error.into_scalar();
                assert!(error < 1e-5, "{dims:?} on {device:?}: {error}");
            }
        }
    }
}
