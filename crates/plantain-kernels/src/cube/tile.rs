//! Convolutions of stride 1 and linear layers whose rows are runs of four pixels.
//!
//! A unit owns a run of neighbouring pixels and [`Plan::channels`] output channels. It loads the run of each input row
//! once, with one pixel more at either end, and uses it for all three taps of that row; pixels and channels come four at
//! a time. So a load is followed by some twenty multiplications, which hides what loads cost even on devices whose loads
//! are slow, such as those that are programs.

use burn_cubecl::kernel::into_contiguous;
use cubecl::prelude::*;

use super::layer::{activate, shift_of};
use super::{CubeTensor, UNITS, buffer, element};
use crate::layer::{Activation, LayerForm};

/// Pixels and channels in a vector.
const LANES: usize = 4;
/// Fewer units than this leave a device idle; then each does less.
const FEWEST_UNITS: usize = 1024;

/// What is fixed when the kernel is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Plan {
    /// Width of the convolution's kernel: 1 or 3.
    kernel: usize,
    activation: Activation,
    /// Output channels of a unit.
    channels: usize,
    /// Vectors of pixels of a unit.
    vectors: usize,
}

/// How a layer is divided among units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tiling {
    kernel: usize,
    channels: usize,
    vectors: usize,
    /// Height and width; a layer of 1x1 kernels has one long row.
    size: [usize; 2],
}

impl Tiling {
    /// `None` where the layer is of another kind or its rows do not divide.
    pub(super) fn choose(form: LayerForm, [outputs, height, width]: [usize; 3]) -> Option<Self> {
        let plain = form.stride == 1 && !form.doubled && matches!(form.kernel, 1 | 3);
        if !plain || !outputs.is_multiple_of(LANES) {
            return None;
        }
        let size = match form.kernel {
            1 => [1, height * width],
            _ => [height, width],
        };
        let channels = if outputs.is_multiple_of(2 * LANES) {
            2 * LANES
        } else {
            LANES
        };
        let units = |vectors| height * width / (vectors * LANES) * (outputs / channels);
        let fits = |vectors: &usize| size[1].is_multiple_of(vectors * LANES);
        let sizes: Vec<_> = [4, 2, 1].into_iter().filter(fits).collect();
        let busy = sizes
            .iter()
            .find(|vectors| units(**vectors) >= FEWEST_UNITS);
        Some(Self {
            kernel: form.kernel,
            channels,
            vectors: *busy.or(sizes.last())?,
            size,
        })
    }
}

/// - `input`, `pixels`: the same `[batch, inputs, height, width]`, in vectors of four pixels and one by one
/// - `weight`: `[kernel, kernel, inputs, outputs]`, in vectors of four output channels
/// - `bias`: `[outputs]`
/// - `channel_add`: `[batch, outputs]`
/// - `residual`, `output`: `[batch, outputs, height, width]`, in vectors of four pixels
#[cube(launch_unchecked)]
fn tile_kernel<F: Float, W: Float, N: Size>(
    input: &[Vector<F, N>],
    pixels: &[F],
    weight: &[Vector<W, N>],
    bias: ComptimeOption<&[f32]>,
    channel_add: ComptimeOption<&[F]>,
    residual: ComptimeOption<&[Vector<F, N>]>,
    output: &mut [Vector<F, N>],
    inputs: usize,
    outputs: usize,
    height: usize,
    width: usize,
    #[comptime] plan: Plan,
    #[define(F, W)] _types: [ElemType; 2],
) {
    let lanes = N::value();
    let run = comptime!(plan.vectors * lanes);
    let pad = comptime!(plan.kernel / 2);
    let runs = width / run;
    let plane = height * width;
    let unit = CUBE_POS_X as usize * CUBE_DIM_X as usize + UNIT_POS_X as usize;
    // A unit beyond the last run repeats the last one and writes nothing.
    let mine = min(unit, height * runs - 1);
    let y = mine / runs;
    let x = (mine - y * runs) * run;
    let batch = CUBE_POS_Z as usize;
    let first_channel = CUBE_POS_Y as usize * plan.channels;
    let columns = outputs / lanes;

    let mut sums = Array::<Vector<f32, N>>::new(comptime!(plan.channels * plan.vectors));
    #[unroll]
    for i in 0..comptime!(plan.channels * plan.vectors) {
        sums[i] = Vector::<f32, N>::new(0.0f32);
    }
    // The run with a pixel at either end.
    let mut row = Array::<f32>::new(comptime!(run + 2));
    row[0] = 0.0f32;
    row[comptime!(run + 1)] = 0.0f32;
    for tap_y in 0..plan.kernel {
        let from = y + tap_y;
        if from >= pad && from < height + pad {
            let first = batch * inputs * plane + (from - pad) * width + x;
            for channel in 0..inputs {
                let place = first + channel * plane;
                #[unroll]
                for v in 0..plan.vectors {
                    let four = Vector::<f32, N>::cast_from(input[place / lanes + v]);
                    #[unroll]
                    for lane in 0..lanes {
                        row[comptime!(v * lanes + lane + 1)] = four.extract(lane);
                    }
                }
                if comptime!(plan.kernel == 3) {
                    // At the edges of the picture these read another pixel, which then counts as zero.
                    let before = f32::cast_from(pixels[select(x > 0, place - 1, place)]);
                    row[0] = select(x > 0, before, 0.0f32);
                    let more = x + run < width;
                    let after = f32::cast_from(pixels[select(more, place + run, place)]);
                    row[comptime!(run + 1)] = select(more, after, 0.0f32);
                }
                #[unroll]
                for tap_x in 0..plan.kernel {
                    let tap = tap_y * plan.kernel + tap_x;
                    let weights_row = (tap * inputs + channel) * columns + first_channel / lanes;
                    let mut shifted = Array::<Vector<f32, N>>::new(plan.vectors);
                    #[unroll]
                    for v in 0..plan.vectors {
                        let mut four = Vector::<f32, N>::new(0.0f32);
                        #[unroll]
                        for lane in 0..lanes {
                            four.insert(lane, row[comptime!(v * lanes + lane + 1 + tap_x - pad)]);
                        }
                        shifted[v] = four;
                    }
                    #[unroll]
                    for c in 0..comptime!(plan.channels / lanes) {
                        let weights = Vector::<f32, N>::cast_from(weight[weights_row + c]);
                        #[unroll]
                        for lane in 0..lanes {
                            let factor = Vector::<f32, N>::new(weights.extract(lane));
                            #[unroll]
                            for v in 0..plan.vectors {
                                sums[comptime!((c * lanes + lane) * plan.vectors + v)] +=
                                    factor * shifted[v];
                            }
                        }
                    }
                }
            }
        }
    }
    if unit < height * runs {
        #[unroll]
        for c in 0..plan.channels {
            let channel = first_channel + c;
            let shift = shift_of::<F>(&bias, &channel_add, channel, batch * outputs + channel);
            let place = ((batch * outputs + channel) * plane + y * width + x) / lanes;
            #[unroll]
            for v in 0..plan.vectors {
                let mut four = sums[comptime!(c * plan.vectors + v)];
                #[comptime]
                if let ComptimeOption::Some(residual) = &residual {
                    four += Vector::<f32, N>::cast_from(residual[place + v]);
                }
                #[unroll]
                for lane in 0..lanes {
                    four.insert(lane, activate(four.extract(lane) + shift, plan.activation));
                }
                output[place + v] = Vector::<F, N>::cast_from(four);
            }
        }
    }
}

/// Bias, what is added to each channel, and the residual.
type Around = (Option<CubeTensor>, Option<CubeTensor>, Option<CubeTensor>);

/// Runs a layer for which there is a tiling.
pub(super) fn tiled(
    x: CubeTensor,
    weight: CubeTensor,
    (bias, channel_add, residual): Around,
    activation: Activation,
    tiling: Tiling,
    output: CubeTensor,
) {
    let [batch, inputs, ..] = x.meta.shape().dims::<4>();
    let [_, outputs, ..] = output.meta.shape().dims::<4>();
    let [height, width] = tiling.size;
    let plan = Plan {
        kernel: tiling.kernel,
        activation,
        channels: tiling.channels,
        vectors: tiling.vectors,
    };
    let runs = (height * width / (tiling.vectors * LANES)) as u32;
    let units = UNITS.min(runs.next_power_of_two());
    let types = [element(&x), element(&weight)];
    let client = x.client.clone();
    let input = into_contiguous(x);
    // SAFETY: runs are clamped to the last one and divide the rows, rows outside the picture are not read, neighbours
    // outside it are replaced by a pixel inside, and only runs that exist are written; the channels of a unit divide
    // those of the layer.
    unsafe {
        tile_kernel::launch_unchecked(
            &client,
            CubeCount::Static(
                runs.div_ceil(units),
                (outputs / tiling.channels) as u32,
                batch as u32,
            ),
            CubeDim::new_1d(units),
            LANES,
            input.clone().into_buffer_arg(),
            input.into_buffer_arg(),
            buffer(weight),
            bias.map(buffer).into(),
            channel_add.map(buffer).into(),
            residual.map(buffer).into(),
            output.into_buffer_arg(),
            inputs,
            outputs,
            height,
            width,
            plan,
            types,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tilings_divide_rows_and_keep_devices_busy() {
        let form = LayerForm {
            kernel: 3,
            stride: 1,
            doubled: false,
        };
        let vectors = |form, shape| Tiling::choose(form, shape).map(|tiling| tiling.vectors);
        assert_eq!(vectors(form, [320, 64, 64]), Some(4));
        assert_eq!(vectors(form, [320, 16, 12]), Some(1));
        assert_eq!(vectors(form, [240, 4, 4]), Some(1));
        assert_eq!(vectors(form, [320, 9, 11]), None);
        assert_eq!(vectors(form, [3, 64, 64]), None);
        let halving = LayerForm { stride: 2, ..form };
        assert_eq!(vectors(halving, [320, 64, 64]), None);
    }
}
