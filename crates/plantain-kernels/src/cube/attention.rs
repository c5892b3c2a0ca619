//! Attention in one pass over the keys, after Milakov and Gimelshein (2018) and FlashAttention (Dao et al., 2022): the
//! scores of a few keys at a time, with a running maximum, so that the matrix of all scores never exists.
//!
//! A unit owns one query of one head and [`chunk`](Plan::chunk) channels of its result. Keys and values are the same
//! for all units of a cube, so the device reads them once.

use cubecl::prelude::*;

use super::{CubeTensor, UNITS, buffer, element, output_like};

/// Keys whose scores are held at once.
const TILE: usize = 4;
/// The most channels of the result that a unit owns: more would not stay in registers.
const WIDEST: usize = 64;
/// Stands for minus infinity without ever making `inf - inf`.
const LOWEST: f32 = -1.0e30;

/// What is fixed when the kernel is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Plan {
    head_size: usize,
    /// Channels of the result that a unit owns; divides `head_size`.
    chunk: usize,
    causal: bool,
}

/// Where queries, keys and values begin in their buffers, and how far apart samples are.
#[derive(Clone, Copy)]
struct Places {
    query: usize,
    key: usize,
    value: usize,
    query_sample: usize,
    key_sample: usize,
}

/// - `query`, `output`: `[batch, heads * head_size, queries]`
/// - `key`, `value`: `[batch, heads * head_size, keys]`, `N` keys in a vector
#[cube(launch_unchecked)]
fn attention_kernel<F: Float, N: Size>(
    query: &[F],
    key: &[Vector<F, N>],
    value: &[Vector<F, N>],
    output: &mut [F],
    queries: usize,
    keys: usize,
    query_start: usize,
    key_start: usize,
    value_start: usize,
    query_sample: usize,
    key_sample: usize,
    scale: f32,
    #[comptime] plan: Plan,
    #[define(F)] _type: ElemType,
) {
    let lanes = N::value();
    let chunks = comptime!(plan.head_size / plan.chunk);
    let place = ABSOLUTE_POS_X as usize;
    let mine = min(place, queries - 1);
    let head = CUBE_POS_Y as usize / chunks;
    let first = (CUBE_POS_Y as usize - head * chunks) * plan.chunk;
    let batch = CUBE_POS_Z as usize;
    let heads = CUBE_COUNT_Y as usize / chunks;

    let query_base = query_start + batch * query_sample + head * plan.head_size * queries + mine;
    let key_base = (key_start + batch * key_sample + head * plan.head_size * keys) / lanes;
    let value_base =
        (value_start + batch * key_sample + (head * plan.head_size + first) * keys) / lanes;
    let row = keys / lanes;

    // A short query stays in registers; a long one is read again for every tile.
    let kept = comptime!(if plan.head_size <= WIDEST {
        plan.head_size
    } else {
        1
    });
    let mut asked = Array::<f32>::new(kept);
    #[unroll]
    for c in 0..kept {
        asked[c] = f32::cast_from(query[query_base + c * queries]) * scale;
    }
    let mut sums = Array::<f32>::new(plan.chunk);
    #[unroll]
    for c in 0..plan.chunk {
        sums[c] = 0.0;
    }
    let mut scores = Array::<f32>::new(TILE);
    let mut highest = f32::new(LOWEST);
    let mut weight = 0.0f32;
    for tile in 0..keys.div_ceil(TILE) {
        let first_key = tile * TILE;
        #[unroll]
        for k in 0..TILE {
            scores[k] = 0.0;
        }
        #[unroll(plan.head_size <= WIDEST)]
        for c in 0..plan.head_size {
            let part = if comptime!(plan.head_size <= WIDEST) {
                asked[c]
            } else {
                f32::cast_from(query[query_base + c * queries]) * scale
            };
            #[unroll]
            for vector in 0..comptime!(TILE / lanes) {
                let at = min(first_key / lanes + vector, row - 1);
                let known = Vector::<f32, N>::cast_from(key[key_base + c * row + at]);
                #[unroll]
                for lane in 0..lanes {
                    scores[comptime!(vector * lanes + lane)] += part * known.extract(lane);
                }
            }
        }
        let mut top = highest;
        #[unroll]
        for k in 0..TILE {
            let mut hidden = first_key + k >= keys;
            if comptime!(plan.causal) {
                hidden = hidden || first_key + k > mine;
            }
            scores[k] = select(hidden, f32::new(LOWEST), scores[k]);
            top = max(top, scores[k]);
        }
        let shrink = (highest - top).exp();
        highest = top;
        weight *= shrink;
        #[unroll]
        for k in 0..TILE {
            scores[k] = (scores[k] - top).exp();
            weight += scores[k];
        }
        #[unroll]
        for c in 0..plan.chunk {
            let mut sum = sums[c] * shrink;
            #[unroll]
            for vector in 0..comptime!(TILE / lanes) {
                let at = min(first_key / lanes + vector, row - 1);
                let given = Vector::<f32, N>::cast_from(value[value_base + c * row + at]);
                #[unroll]
                for lane in 0..lanes {
                    sum += scores[comptime!(vector * lanes + lane)] * given.extract(lane);
                }
            }
            sums[c] = sum;
        }
    }
    if place < queries {
        let base = ((batch * heads + head) * plan.head_size + first) * queries + place;
        #[unroll]
        for c in 0..plan.chunk {
            output[base + c * queries] = F::cast_from(sums[c] / weight);
        }
    }
}

/// See [`crate::attention`].
pub(super) fn attention(
    query: CubeTensor,
    key: CubeTensor,
    value: CubeTensor,
    heads: usize,
    causal: bool,
) -> CubeTensor {
    let dims @ [_, width, queries] = query.meta.shape().dims();
    let [_, _, keys] = key.meta.shape().dims();
    let output = output_like(&query, dims);
    let places = Places {
        query: 0,
        key: 0,
        value: 0,
        query_sample: width * queries,
        key_sample: width * keys,
    };
    run([query, key, value], output, keys, places, heads, causal)
}

/// See [`crate::self_attention`].
pub(super) fn self_attention(stacked: CubeTensor, heads: usize, causal: bool) -> CubeTensor {
    let [batch, stacked_width, tokens] = stacked.meta.shape().dims();
    let third = stacked_width / 3 * tokens;
    let output = output_like(&stacked, [batch, stacked_width / 3, tokens]);
    let places = Places {
        query: 0,
        key: third,
        value: 2 * third,
        query_sample: 3 * third,
        key_sample: 3 * third,
    };
    let inputs = [stacked.clone(), stacked.clone(), stacked];
    run(inputs, output, tokens, places, heads, causal)
}

fn run(
    inputs: [CubeTensor; 3],
    output: CubeTensor,
    keys: usize,
    places: Places,
    heads: usize,
    causal: bool,
) -> CubeTensor {
    let [batch, width, queries] = output.meta.shape().dims();
    let head_size = width / heads;
    let chunks = (1..=head_size)
        .find(|chunks| head_size.is_multiple_of(*chunks) && head_size / chunks <= WIDEST)
        .expect("a chunk of one channel always fits");
    let plan = Plan {
        head_size,
        chunk: head_size / chunks,
        causal,
    };
    let lanes = if keys.is_multiple_of(TILE) { TILE } else { 1 };
    let units = UNITS.min((queries as u32).next_power_of_two());
    let (client, element) = (output.client.clone(), element(&output));
    let [query, key, value] = inputs.map(buffer);
    // SAFETY: queries and keys beyond the last one read the last one, and only queries that exist are written. Vectors
    // of keys begin at multiples of their length, because all rows have a multiple of it.
    unsafe {
        attention_kernel::launch_unchecked(
            &client,
            CubeCount::Static(
                (queries as u32).div_ceil(units),
                (heads * chunks) as u32,
                batch as u32,
            ),
            CubeDim::new_1d(units),
            lanes,
            query,
            key,
            value,
            output.clone().into_buffer_arg(),
            queries,
            keys,
            places.query,
            places.key,
            places.value,
            places.query_sample,
            places.key_sample,
            1.0 / (head_size as f32).sqrt(),
            plan,
            element,
        );
    }
    output
}
