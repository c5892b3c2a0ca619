//! Convolutions and linear layers: an implicit matrix product whose sums stay in registers. This one takes any shape; most
//! layers have one for which [`tile`](super::tile) is faster.
//!
//! A unit owns a few pixels and [`Plan::channels`] output channels of each. Walking over the taps of the kernel and the
//! input channels, it loads its pixels' values once and multiplies them with weights that are the same for all units of
//! its cube, so the device reads those once. Taps outside the picture count as zero. Nothing is unfolded in memory.

use cubecl::prelude::*;

use super::tile::{self, Tiling};
use super::{CubeTensor, UNITS, buffer, element, output_like};
use crate::layer::{Activation, LayerForm};

/// What is fixed when the kernel is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Plan {
    /// Width of the convolution's kernel.
    kernel: usize,
    stride: usize,
    /// Whether the input counts as doubled by nearest neighbours.
    doubled: bool,
    activation: Activation,
    /// Output channels of a unit.
    channels: usize,
    /// Pixels of a unit.
    pixels: usize,
}

/// - `input`: `[batch, inputs, height, width]`
/// - `weight`: `[kernel, kernel, inputs, outputs]`, `N` output channels in a vector
/// - `bias`: `[outputs]`
/// - `channel_add`: `[batch, outputs]`
/// - `residual`, `output`: `[batch, outputs, out_height, out_width]`
#[cube(launch_unchecked)]
fn layer_kernel<F: Float, W: Float, N: Size>(
    input: &[F],
    weight: &[Vector<W, N>],
    bias: ComptimeOption<&[f32]>,
    channel_add: ComptimeOption<&[F]>,
    residual: ComptimeOption<&[F]>,
    output: &mut [F],
    inputs: usize,
    outputs: usize,
    height: usize,
    width: usize,
    out_height: usize,
    out_width: usize,
    #[comptime] plan: Plan,
    #[define(F, W)] _types: [ElemType; 2],
) {
    let lanes = N::value();
    let plane = height * width;
    let out_plane = out_height * out_width;
    let batch = CUBE_POS_Z as usize;
    let first_channel = CUBE_POS_Y as usize * plan.channels;
    let first_pixel =
        CUBE_POS_X as usize * (CUBE_DIM_X as usize * plan.pixels) + UNIT_POS_X as usize;
    let columns = outputs / lanes;

    let mut sums = Array::<f32>::new(comptime!(plan.channels * plan.pixels));
    #[unroll]
    for i in 0..comptime!(plan.channels * plan.pixels) {
        sums[i] = 0.0;
    }
    // A unit beyond the last pixel repeats the last one and writes nothing.
    let mut tops = Array::<i32>::new(plan.pixels);
    let mut lefts = Array::<i32>::new(plan.pixels);
    #[unroll]
    for p in 0..plan.pixels {
        let pixel = min(first_pixel + p * CUBE_DIM_X as usize, out_plane - 1);
        let y = pixel / out_width;
        let x = pixel - y * out_width;
        tops[p] = (y * plan.stride) as i32 - comptime!((plan.kernel / 2) as i32);
        lefts[p] = (x * plan.stride) as i32 - comptime!((plan.kernel / 2) as i32);
    }
    let sample = batch * inputs * plane;
    let mut values = Array::<f32>::new(plan.pixels);
    let mut places = Array::<usize>::new(plan.pixels);
    let mut inside = Array::<bool>::new(plan.pixels);
    for tap in 0..comptime!(plan.kernel * plan.kernel) {
        let tap_y = tap / plan.kernel;
        let tap_x = tap - tap_y * plan.kernel;
        #[unroll]
        for p in 0..plan.pixels {
            let mut y = tops[p] + tap_y as i32;
            let mut x = lefts[p] + tap_x as i32;
            if comptime!(plan.doubled) {
                inside[p] = y >= 0 && x >= 0 && y < 2 * height as i32 && x < 2 * width as i32;
                y /= 2;
                x /= 2;
            } else {
                inside[p] = y >= 0 && x >= 0 && y < height as i32 && x < width as i32;
            }
            places[p] = sample + select(inside[p], y as usize * width + x as usize, 0usize);
        }
        for channel in 0..inputs {
            #[unroll]
            for p in 0..plan.pixels {
                let value = f32::cast_from(input[places[p] + channel * plane]);
                values[p] = select(inside[p], value, 0.0f32);
            }
            let row = (tap * inputs + channel) * columns + first_channel / lanes;
            #[unroll]
            for c in 0..comptime!(plan.channels / lanes) {
                let weights = Vector::<f32, N>::cast_from(weight[row + c]);
                #[unroll]
                for lane in 0..lanes {
                    let factor = weights.extract(lane);
                    #[unroll]
                    for p in 0..plan.pixels {
                        sums[comptime!((c * lanes + lane) * plan.pixels + p)] += factor * values[p];
                    }
                }
            }
        }
    }
    #[unroll]
    for c in 0..plan.channels {
        let channel = first_channel + c;
        let shift = shift_of::<F>(&bias, &channel_add, channel, batch * outputs + channel);
        #[unroll]
        for p in 0..plan.pixels {
            let pixel = first_pixel + p * CUBE_DIM_X as usize;
            if pixel < out_plane {
                let place = (batch * outputs + channel) * out_plane + pixel;
                let mut sum = sums[comptime!(c * plan.pixels + p)] + shift;
                #[comptime]
                if let ComptimeOption::Some(residual) = &residual {
                    sum += f32::cast_from(residual[place]);
                }
                output[place] = F::cast_from(activate(sum, plan.activation));
            }
        }
    }
}

/// What is added to all pixels of a channel: its bias, and the number at `place` of `channel_add`.
#[cube]
pub(super) fn shift_of<F: Float>(
    bias: &ComptimeOption<&[f32]>,
    channel_add: &ComptimeOption<&[F]>,
    channel: usize,
    place: usize,
) -> f32 {
    let mut shift = 0.0f32;
    #[comptime]
    if let ComptimeOption::Some(bias) = bias {
        shift += bias[channel];
    }
    #[comptime]
    if let ComptimeOption::Some(add) = channel_add {
        shift += f32::cast_from(add[place]);
    }
    shift
}

#[cube]
pub(super) fn activate(x: f32, #[comptime] activation: Activation) -> f32 {
    if comptime!(activation == Activation::Silu) {
        sigmoid_times(x, x)
    } else if comptime!(activation == Activation::Gelu) {
        gelu(x)
    } else if comptime!(activation == Activation::QuickGelu) {
        sigmoid_times(x, x * 1.702f32)
    } else if comptime!(activation == Activation::Relu) {
        max(x, f32::new(0.0f32))
    } else {
        x
    }
}

/// `x sigmoid(gate)`
#[cube]
pub(super) fn sigmoid_times(x: f32, gate: f32) -> f32 {
    x / (f32::new(1.0f32) + (-gate).exp())
}

/// GELU with the error function.
#[cube]
pub(super) fn gelu(x: f32) -> f32 {
    x * 0.5f32 * (Erf::erf(x * 0.707_106_77f32) + 1.0f32)
}

/// Runs a layer. See [`crate::packed_layer`] for the shapes; GEGLU is left to [`super::elementwise::geglu`].
pub(super) fn layer(
    x: CubeTensor,
    weight: CubeTensor,
    bias: Option<CubeTensor>,
    form: LayerForm,
    activation: Activation,
    channel_add: Option<CubeTensor>,
    residual: Option<CubeTensor>,
) -> CubeTensor {
    let [batch, inputs, height, width] = x.meta.shape().dims();
    let [_, _, _, outputs] = weight.meta.shape().dims();
    let [out_height, out_width] = form.output_size([height, width]);
    let out_plane = out_height * out_width;
    let output = output_like(&x, [batch, outputs, out_height, out_width]);
    if let Some(tiling) = Tiling::choose(form, [outputs, height, width]) {
        let around = (bias, channel_add, residual);
        tile::tiled(x, weight, around, activation, tiling, output.clone());
        return output;
    }
    let channels = [8, 4, 2].into_iter().find(|n| outputs % n == 0);
    let plan = Plan {
        kernel: form.kernel,
        stride: form.stride,
        doubled: form.doubled,
        activation,
        channels: channels.unwrap_or(1),
        pixels: if out_plane >= 4 * UNITS as usize {
            2
        } else {
            1
        },
    };
    let lanes = if plan.channels.is_multiple_of(4) {
        4
    } else {
        1
    };
    let units = UNITS.min((out_plane.div_ceil(plan.pixels) as u32).next_power_of_two());
    let cubes = CubeCount::Static(
        (out_plane as u32).div_ceil(units * plan.pixels as u32),
        (outputs / plan.channels) as u32,
        batch as u32,
    );
    let types = [element(&x), element(&weight)];
    let client = x.client.clone();
    // SAFETY: pixels are clamped to the last one before anything is read for them, taps outside the picture read its
    // first pixel, only pixels that exist are written, and the channels of a unit divide those of the layer; the
    // buffers have the sizes that the shapes say.
    unsafe {
        layer_kernel::launch_unchecked(
            &client,
            cubes,
            CubeDim::new_1d(units),
            lanes,
            buffer(x),
            buffer(weight),
            bias.map(buffer).into(),
            channel_add.map(buffer).into(),
            residual.map(buffer).into(),
            output.clone().into_buffer_arg(),
            inputs,
            outputs,
            height,
            width,
            out_height,
            out_width,
            plan,
            types,
        );
    }
    output
}
