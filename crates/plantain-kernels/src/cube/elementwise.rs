//! Operations on single elements.

use cubecl::calculate_cube_count_elemwise;
use cubecl::prelude::*;

use super::layer::gelu;
use super::{CubeTensor, buffer, element, output_like};

/// - `input`: `[batch, 2, half]`, values and then their gates
/// - `output`: `[batch, half]`
#[cube(launch_unchecked)]
fn geglu_kernel<F: Float>(
    input: &[F],
    output: &mut [F],
    half: usize,
    count: usize,
    #[define(F)] _type: ElemType,
) {
    let place = ABSOLUTE_POS;
    if place >= count {
        terminate!();
    }
    // The samples before this one have as many gates as values.
    let value_at = place + place / half * half;
    let value = f32::cast_from(input[value_at]);
    let gate = f32::cast_from(input[value_at + half]);
    output[place] = F::cast_from(value * gelu(gate));
}

/// The first half of the channels times the GELU of the second half.
///
/// # Shapes
/// - `x`: `[batch, 2 * channels, height, width]`
/// - result: `[batch, channels, height, width]`
pub(super) fn geglu(x: CubeTensor) -> CubeTensor {
    let [batch, channels, height, width] = x.meta.shape().dims();
    let output = output_like(&x, [batch, channels / 2, height, width]);
    let half = channels / 2 * height * width;
    let count = batch * half;
    let (client, element) = (x.client.clone(), element(&x));
    let units = CubeDim::new(&client, count);
    // SAFETY: units beyond the last element end at once.
    unsafe {
        geglu_kernel::launch_unchecked(
            &client,
            calculate_cube_count_elemwise(&client, count, units),
            units,
            buffer(x),
            output.clone().into_buffer_arg(),
            half,
            count,
            element,
        );
    }
    output
}
