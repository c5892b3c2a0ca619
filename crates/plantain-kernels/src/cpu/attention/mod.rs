//! Multi-head attention on channel-major activations, without ever holding a whole matrix of scores.
//!
//! Vector lanes run over queries. A block of queries visits the keys in order: a tile of scores
//! `S[key][query] = sum_d K[d][key] Q[d][query]` is computed and exponentiated in registers, the weights of some keys
//! are collected in the first-level cache, and then `O[d][query] += sum_key V[d][key] P[key][query]`. The softmax is
//! the online one (Milakov and Gimelshein 2018; blocked as by Dao et al. 2022): scores are taken relative to a running
//! bound per query, and what was accumulated is rescaled when the bound moves. Any bound near the maximum gives the
//! same result, so it moves only when a score exceeds it by more than a slack, which soon stops happening. Where whole matrices
//! are multiplied (`matrices.rs`), the scores go through memory.

mod block;
mod format;
mod matrices;
mod pack;
mod tile;

use std::mem::MaybeUninit;

use crate::cpu::isa::Isa;
use crate::cpu::parallel::{for_each, threads};
use crate::cpu::precision::Precision;
use crate::cpu::scratch::Scratch;
use crate::cpu::simd::{Kernel, Lanes, dispatch};
use block::{Block, block_vectors, scratch_words};
use format::{dispatch_format, group};
use matrices::{MatrixBlock, PackPanels, Panels};
use pack::{Layout, PackHead};
use tile::KEY_ROWS;

/// Products that make a second thread worth starting.
const SERIAL: usize = 1 << 20;

/// Extents of an attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionShape {
    /// Images.
    pub batch: usize,
    /// Heads.
    pub heads: usize,
    /// Channels of one head.
    pub head_size: usize,
    /// Query tokens.
    pub queries: usize,
    /// Key and value tokens.
    pub keys: usize,
}

/// Softmax attention with the usual scale `1 / sqrt(head_size)`; every number of `out` is written.
///
/// `q` and `out` are `[batch][heads * head_size][queries]`, `k` and `v` are `[batch][heads * head_size][keys]`. With
/// `causal`, a query sees only the keys up to its own index. [`Precision::Bf16`] multiplies bfloat16 values and sums
/// in f32 where the processor has the instruction; otherwise, and for [`Precision::Int8`] without it, everything is
/// f32. [`Precision::Int8`] is served by bfloat16: the weights of a softmax spread too far for one scale.
///
/// # Panics
/// If there is no key or a length does not fit the shape.
pub fn attention(
    q: &[f32],
    k: &[f32],
    v: &[f32],
    shape: AttentionShape,
    causal: bool,
    precision: Precision,
    out: &mut [MaybeUninit<f32>],
) {
    Attention {
        q,
        k,
        v,
        shape,
        causal,
        precision,
    }
    .run(Isa::current(), out);
}

#[derive(Clone, Copy)]
struct Attention<'a> {
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    shape: AttentionShape,
    causal: bool,
    precision: Precision,
}

/// The output, which tasks write disjoint columns of.
#[derive(Clone, Copy)]
struct Output(*mut f32);

// SAFETY: a plain address; every use says why what it writes is written by no other task.
unsafe impl Send for Output {}
// SAFETY: as above.
unsafe impl Sync for Output {}

impl Output {
    fn head(self, offset: usize) -> *mut f32 {
        self.0.wrapping_add(offset)
    }
}

impl Attention<'_> {
    fn run(&self, isa: Isa, out: &mut [MaybeUninit<f32>]) {
        let AttentionShape {
            batch,
            heads,
            head_size,
            queries,
            keys,
        } = self.shape;
        assert!(keys > 0, "attention needs a key");
        assert_eq!(
            self.q.len(),
            batch * heads * head_size * queries,
            "length of the queries"
        );
        assert_eq!(
            self.k.len(),
            batch * heads * head_size * keys,
            "length of the keys"
        );
        assert_eq!(self.v.len(), self.k.len(), "length of the values");
        assert_eq!(out.len(), self.q.len(), "length of the output");
        if out.is_empty() {
            return;
        }
        let layout = Layout::new(head_size, keys, group(isa, self.precision));
        let parallel = batch * heads * head_size * queries * keys >= SERIAL;
        let out = Output(out.as_mut_ptr().cast());
        // Threads take a head each if that comes out even, and otherwise share one after the other.
        let (heads, threads) = (batch * heads, threads());
        let apart = parallel && (heads % threads == 0 || heads >= 3 * threads);
        for_each(
            apart,
            heads,
            || (),
            |(), head| {
                if matrices::is_for(isa, self.precision) {
                    self.run_head_by_matrices(isa, head, out, parallel && !apart);
                } else {
                    self.run_head(isa, layout, head, out, parallel && !apart);
                }
            },
        );
    }

    fn run_head_by_matrices(&self, isa: Isa, head: usize, out: Output, parallel: bool) {
        let AttentionShape {
            head_size,
            queries: total,
            keys,
            ..
        } = self.shape;
        let panels = Panels::new(head_size, keys);
        let [keys_end, values_end] = [panels.packed_keys(), panels.packed_values()];
        let mut packed = Scratch::take(keys_end + values_end + panels.row_words());
        let (packed_keys, rest) = packed.split_at_mut(keys_end);
        let (packed_values, rows) = rest.split_at_mut(values_end);
        let of_head = head * head_size * keys..(head + 1) * head_size * keys;
        let pack = PackPanels {
            isa,
            panels,
            keys: &self.k[of_head.clone()],
            values: &self.v[of_head],
            packed_keys,
            packed_values,
            rows,
        };
        pack.run();
        let (packed_keys, packed_values) = packed.split_at(keys_end);

        let queries = &self.q[head * head_size * total..][..head_size * total];
        let run_block = |scratch: &mut Scratch, block: usize| {
            let first = block * matrices::WIDTH;
            let block = MatrixBlock {
                isa,
                panels,
                packed_keys,
                packed_values,
                queries,
                total,
                first,
                count: matrices::WIDTH.min(total - first),
                causal: self.causal,
                scratch,
                // The block writes the columns `first .. first + count` of this head, which no other block has.
                out: out.head(head * head_size * total),
            };
            dispatch_format(isa, self.precision, block);
        };
        let scratch = || Scratch::take(panels.scratch_words());
        for_each(
            parallel,
            total.div_ceil(matrices::WIDTH),
            scratch,
            run_block,
        );
    }

    fn run_head(&self, isa: Isa, layout: Layout, head: usize, out: Output, parallel: bool) {
        let AttentionShape {
            head_size,
            queries: total,
            keys,
            ..
        } = self.shape;
        let mut scratch = Scratch::take(
            layout.packed_keys() + layout.packed_values() + layout.key_tiles * KEY_ROWS,
        );
        let (packed_keys, rest) = scratch.split_at_mut(layout.packed_keys());
        let (packed_values, row) = rest.split_at_mut(layout.packed_values());
        let of_head = head * head_size * keys..(head + 1) * head_size * keys;
        let (keys, values) = (&self.k[of_head.clone()], &self.v[of_head]);
        dispatch_format(
            isa,
            self.precision,
            PackHead {
                layout,
                keys,
                values,
                packed_keys,
                packed_values,
                row,
            },
        );
        let (packed_keys, packed_values) = (&*packed_keys, &*packed_values);

        let queries = &self.q[head * head_size * total..][..head_size * total];
        // Blocks of nearly equal numbers of whole vectors.
        let Vectors { lanes, registers } = dispatch(isa, Measure);
        let vectors = total.div_ceil(lanes);
        let blocks = vectors.div_ceil(block_vectors(registers));
        let start = |block: usize| (vectors * block / blocks * lanes).min(total);
        let run_block = |scratch: &mut Scratch, block: usize| {
            let (first, count) = (start(block), start(block + 1) - start(block));
            // The block writes the columns `first .. first + count` of this head, which no other block has.
            let out = out.head(head * head_size * total);
            let causal = self.causal;
            let block = Block {
                layout,
                packed_keys,
                packed_values,
                queries,
                total,
                first,
                count,
                causal,
                scratch,
                out,
            };
            dispatch_format(isa, self.precision, block);
        };
        let scratch = || Scratch::take(scratch_words(&layout));
        for_each(parallel, blocks, scratch, run_block);
    }
}

/// The vectors that [`dispatch`] chooses.
struct Vectors {
    lanes: usize,
    registers: usize,
}

/// Tells which they are.
struct Measure;

impl Kernel for Measure {
    type Output = Vectors;
    #[inline(always)]
    fn run<L: Lanes>(self, _: L) -> Vectors {
        Vectors {
            lanes: L::COUNT,
            registers: L::REGISTERS,
        }
    }
}

#[cfg(test)]
mod tests;
