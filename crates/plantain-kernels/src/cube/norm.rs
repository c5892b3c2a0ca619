//! Group and layer normalisation.

use cubecl::prelude::*;

use super::layer::sigmoid_times;
use super::{CubeTensor, UNITS, buffer, element, output_like};

/// Units of a cube that sum up a group together.
const REDUCING: u32 = 256;

/// One cube for each group: its mean, then its variance about that mean, then its elements.
///
/// - `input`, `output`: `[batch, channels, plane]`, a group of channels one after the other
/// - `weight`, `bias`: `[channels]`
#[cube(launch_unchecked)]
fn group_norm_kernel<F: Float>(
    input: &[F],
    weight: &[f32],
    bias: &[f32],
    output: &mut [F],
    channels_per_group: usize,
    groups: usize,
    plane: usize,
    epsilon: f32,
    #[comptime] silu: bool,
    #[define(F)] _type: ElemType,
) {
    let count = channels_per_group * plane;
    let first = CUBE_POS_X as usize * count;
    let unit = UNIT_POS_X as usize;
    let units = CUBE_DIM_X as usize;
    let mut partial = Shared::<[f32]>::new_slice(comptime!(REDUCING as usize));

    let mut sum = 0.0f32;
    for i in range_stepped(unit, count, units) {
        sum += f32::cast_from(input[first + i]);
    }
    let mean = total(&mut partial, sum) / f32::cast_from(count);

    let mut squares = 0.0f32;
    for i in range_stepped(unit, count, units) {
        let centred = f32::cast_from(input[first + i]) - mean;
        squares += centred * centred;
    }
    let variance = total(&mut partial, squares) / f32::cast_from(count);
    let scale = (variance + epsilon).inverse_sqrt();

    let first_channel = (CUBE_POS_X as usize % groups) * channels_per_group;
    for i in range_stepped(unit, count, units) {
        let channel = first_channel + i / plane;
        let centred = f32::cast_from(input[first + i]) - mean;
        let y = centred * (scale * weight[channel]) + bias[channel];
        if comptime!(silu) {
            output[first + i] = F::cast_from(sigmoid_times(y, y));
        } else {
            output[first + i] = F::cast_from(y);
        }
    }
}

/// The sum of one value from each unit of the cube, the same for all of them.
#[cube]
fn total(partial: &mut Shared<[f32]>, value: f32) -> f32 {
    let unit = UNIT_POS_X as usize;
    // Nobody may still be reading the total before.
    sync_cube();
    partial[unit] = value;
    sync_cube();
    let mut half = CUBE_DIM_X as usize / 2;
    while half > 0 {
        if unit < half {
            partial[unit] += partial[unit + half];
        }
        sync_cube();
        half /= 2;
    }
    partial[0]
}

/// See [`crate::group_norm`]; `weight` and `bias` are f32.
pub(super) fn group_norm(
    x: CubeTensor,
    weight: CubeTensor,
    bias: CubeTensor,
    groups: usize,
    epsilon: f64,
    silu: bool,
) -> CubeTensor {
    let dims @ [batch, channels, height, width] = x.meta.shape().dims();
    let output = output_like(&x, dims);
    let (client, element) = (x.client.clone(), element(&x));
    // SAFETY: a cube reads and writes the elements of its own group, of which there are as many as the shapes say.
    unsafe {
        group_norm_kernel::launch_unchecked(
            &client,
            CubeCount::Static((batch * groups) as u32, 1, 1),
            CubeDim::new_1d(REDUCING),
            buffer(x),
            buffer(weight),
            buffer(bias),
            output.clone().into_buffer_arg(),
            channels / groups,
            groups,
            height * width,
            epsilon as f32,
            silu,
            element,
        );
    }
    output
}

/// One unit for each token, so that neighbouring units read neighbouring tokens.
///
/// - `input`, `output`: `[batch, channels, tokens]`
/// - `weight`, `bias`: `[channels]`
#[cube(launch_unchecked)]
fn layer_norm_kernel<F: Float>(
    input: &[F],
    weight: &[f32],
    bias: &[f32],
    output: &mut [F],
    channels: usize,
    tokens: usize,
    epsilon: f32,
    #[define(F)] _type: ElemType,
) {
    let token = ABSOLUTE_POS_X as usize;
    if token >= tokens {
        terminate!();
    }
    let first = CUBE_POS_Y as usize * channels * tokens + token;
    let mut sum = 0.0f32;
    for c in 0..channels {
        sum += f32::cast_from(input[first + c * tokens]);
    }
    let mean = sum / f32::cast_from(channels);
    let mut squares = 0.0f32;
    for c in 0..channels {
        let centred = f32::cast_from(input[first + c * tokens]) - mean;
        squares += centred * centred;
    }
    let scale = (squares / f32::cast_from(channels) + epsilon).inverse_sqrt();
    for c in 0..channels {
        let centred = f32::cast_from(input[first + c * tokens]) - mean;
        output[first + c * tokens] = F::cast_from(centred * (scale * weight[c]) + bias[c]);
    }
}

/// See [`crate::layer_norm`]; `weight` and `bias` are f32.
pub(super) fn layer_norm(
    x: CubeTensor,
    weight: CubeTensor,
    bias: CubeTensor,
    epsilon: f64,
) -> CubeTensor {
    let dims @ [batch, channels, tokens] = x.meta.shape().dims();
    let output = output_like(&x, dims);
    let (client, element) = (x.client.clone(), element(&x));
    // SAFETY: units beyond the last token end at once, the others stay within their token's column.
    unsafe {
        layer_norm_kernel::launch_unchecked(
            &client,
            CubeCount::Static((tokens as u32).div_ceil(UNITS), batch as u32, 1),
            CubeDim::new_1d(UNITS),
            buffer(x),
            buffer(weight),
            buffer(bias),
            output.clone().into_buffer_arg(),
            channels,
            tokens,
            epsilon as f32,
            element,
        );
    }
    output
}
