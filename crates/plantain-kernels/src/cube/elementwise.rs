//! Operations on single elements.

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
    #[define(F)] _type: ElemType,
) {
    let place = ABSOLUTE_POS_X as usize;
    if place >= half {
        terminate!();
    }
    let batch = CUBE_POS_Y as usize;
    let value = f32::cast_from(input[2 * batch * half + place]);
    let gate = f32::cast_from(input[(2 * batch + 1) * half + place]);
    output[batch * half + place] = F::cast_from(value * gelu(gate));
}

/// The first half of the channels times the GELU of the second half.
///
/// # Shapes
/// - `x`: `[batch, 2 * channels, height, width]`
/// - result: `[batch, channels, height, width]`
pub(super) fn geglu(x: CubeTensor) -> CubeTensor {
    const UNITS: u32 = 256;
    let [batch, channels, height, width] = x.meta.shape().dims();
    let output = output_like(&x, [batch, channels / 2, height, width]);
    let half = channels / 2 * height * width;
    let (client, element) = (x.client.clone(), element(&x));
    // SAFETY: units beyond the last element end at once.
    unsafe {
        geglu_kernel::launch_unchecked(
            &client,
            CubeCount::Static((half as u32).div_ceil(UNITS), batch as u32, 1),
            CubeDim::new_1d(UNITS),
            buffer(x),
            output.clone().into_buffer_arg(),
            half,
            element,
        );
    }
    output
}
