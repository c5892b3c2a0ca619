//! The attention of processors that multiply whole matrices of bfloat16.
//!
//! What is computed is the same as in `block.rs`, but the scores of some hundred keys wait in memory for their exponentials,
//! because the products neither leave their results in vector registers nor can be computed beside them.

use super::block::{SLACK, Visible};
use super::format::{Format, FormatKernel, VectorOf};
use crate::cpu::isa::Isa;
use crate::cpu::math;
use crate::cpu::micro::{Kernel, Order, Prepared, ROWS, TileArguments, VECTOR, kernels_for};
use crate::cpu::precision::Precision;
use crate::cpu::simd::Lanes;

/// Rows of a product: keys of scores, channels of sums.
const HEIGHT: usize = 4 * ROWS;
/// Vectors of queries in a block, and their lanes.
const N: usize = 2;
pub(super) const WIDTH: usize = N * VECTOR;
/// Words that a product reads of a row at once, each of two values.
const DEPTH: usize = VECTOR;
/// Values of a panel: a block of rows, each with [`DEPTH`] words.
const PANEL: usize = HEIGHT * DEPTH;
/// Products that give the scores which are weighed together: what they read and write stays in the first-level cache.
const TOGETHER: usize = 8;

/// Whether a path multiplies matrices in this precision.
pub(super) fn is_for(isa: Isa, precision: Precision) -> bool {
    matches!(isa, Isa::Avx512 { amx: true, .. }) && precision != Precision::F32
}

/// Extents of one head in panels.
#[derive(Clone, Copy)]
pub(super) struct Panels {
    pub head_size: usize,
    pub keys: usize,
    /// Panels that the channels of a row of keys go through.
    channels: usize,
    /// Panels that all keys go through, as rows of keys or along the rows of values: both have 32 keys.
    key_panels: usize,
}

impl Panels {
    pub(super) fn new(head_size: usize, keys: usize) -> Self {
        Self {
            head_size,
            keys,
            channels: head_size.div_ceil(2 * DEPTH),
            key_panels: keys.div_ceil(HEIGHT),
        }
    }

    /// Words of the packed keys `[key panel][channel panel][key][channel pair]`, which is also those of the packed values
    /// `[channel panel][key panel][channel][key pair]`.
    pub(super) fn packed(self) -> usize {
        self.channels * self.key_panels * PANEL
    }

    /// Words of scratch memory of a block.
    pub(super) fn scratch_words(self) -> usize {
        let rows = self.channels * (DEPTH + HEIGHT) + TOGETHER * (HEIGHT + DEPTH) + HEIGHT + 2;
        rows * WIDTH
    }
}

/// Packs the keys and values of one head, both `[channel][key]`.
pub(super) struct PackPanels<'a> {
    pub panels: Panels,
    pub keys: &'a [f32],
    pub values: &'a [f32],
    /// As [`Panels::packed`] says.
    pub packed_keys: &'a mut [u32],
    pub packed_values: &'a mut [u32],
}

impl FormatKernel for PackPanels<'_> {
    #[inline(always)]
    fn run<T: Format>(self, _: T) {
        let Panels {
            head_size,
            keys: count,
            channels,
            key_panels,
        } = self.panels;
        let value = |values: &[f32], channel: usize, key: usize| {
            let inside = channel < head_size && key < count;
            if inside {
                values[channel * count + key]
            } else {
                0.0
            }
        };
        for (index, panel) in self.packed_keys.chunks_exact_mut(PANEL).enumerate() {
            let (first_key, first_channel) =
                (index / channels * HEIGHT, index % channels * 2 * DEPTH);
            for pair in 0..DEPTH {
                let channel = first_channel + 2 * pair;
                for (row, words) in panel.chunks_exact_mut(DEPTH).enumerate() {
                    let [low, high] = [channel, channel + 1]
                        .map(|channel| value(self.keys, channel, first_key + row));
                    words[pair] = T::word(low, high);
                }
            }
        }
        for (index, panel) in self.packed_values.chunks_exact_mut(PANEL).enumerate() {
            let (first_channel, first_key) =
                (index / key_panels * HEIGHT, index % key_panels * 2 * DEPTH);
            for (row, words) in panel.chunks_exact_mut(DEPTH).enumerate() {
                for (pair, word) in words.iter_mut().enumerate() {
                    let key = first_key + 2 * pair;
                    let [low, high] =
                        [key, key + 1].map(|key| value(self.values, first_channel + row, key));
                    *word = T::word(low, high);
                }
            }
        }
    }
}

/// Attention of the queries `first .. first + count` of one head.
pub(super) struct MatrixBlock<'a> {
    pub isa: Isa,
    pub panels: Panels,
    pub packed_keys: &'a [u32],
    pub packed_values: &'a [u32],
    /// `[channel][query]`, all queries of the head.
    pub queries: &'a [f32],
    /// Number of all queries of the head.
    pub total: usize,
    pub first: usize,
    /// At most [`WIDTH`].
    pub count: usize,
    pub causal: bool,
    /// [`Panels::scratch_words`] words.
    pub scratch: &'a mut [u32],
    /// `[channel][query]`, all queries of the head; only this block's are written.
    pub out: *mut f32,
}

impl FormatKernel for MatrixBlock<'_> {
    #[inline(always)]
    fn run<T: Format>(self, format: T) {
        let panels = self.panels;
        assert!(self.count <= WIDTH && self.first + self.count <= self.total);
        assert!(
            self.packed_keys.len() >= panels.packed()
                && self.packed_values.len() >= panels.packed()
        );
        let (queries, rest) = self.scratch.split_at_mut(panels.channels * DEPTH * WIDTH);
        let (sums, rest) = rest.split_at_mut(panels.channels * HEIGHT * WIDTH);
        let (scores, rest) = rest.split_at_mut(TOGETHER * HEIGHT * WIDTH);
        let (weights, rest) = rest.split_at_mut(TOGETHER * DEPTH * WIDTH);
        let (more, _) = rest.split_at_mut(HEIGHT * WIDTH);

        // With log2(e) the softmax can use powers of two.
        let factor = std::f32::consts::LOG2_E / (panels.head_size as f32).sqrt();
        queries.fill(0);
        let place = [self.first, self.count, self.total];
        let words = panels.head_size.div_ceil(2) * WIDTH;
        super::pack::pack_queries::<T>(self.queries, place, factor, WIDTH, &mut queries[..words]);
        sums.fill(0);
        let mut softmax = Softmax::<T>::new(format);

        let visible = Visible {
            keys: panels.keys,
            first_query: self.first,
            causal: self.causal,
        };
        let product = Product {
            kernel: kernels_for(self.isa, Precision::Bf16, Order::Blocks)[N - 1],
            _prepared: Prepared::new(self.isa, Order::Blocks),
        };
        let end = visible.end(self.count).div_ceil(HEIGHT);
        for start in (0..end).step_by(TOGETHER) {
            let count = TOGETHER.min(end - start);
            for panel in 0..count {
                let keys = &self.packed_keys[(start + panel) * panels.channels * PANEL..]
                    [..panels.channels * PANEL];
                let scores = &mut scores[panel * HEIGHT * WIDTH..][..HEIGHT * WIDTH];
                product.multiply(keys, queries, scores);
            }
            let scores = &mut scores[..count * HEIGHT * WIDTH];
            visible.mask_rows(format, start * HEIGHT, scores);
            if let Some(factors) = softmax.raise(format, scores) {
                scale_rows(format, factors, sums);
            }
            let weights = &mut weights[..count * DEPTH * WIDTH];
            softmax.weigh(format, scores, weights);
            for (channel, sums) in sums.chunks_exact_mut(HEIGHT * WIDTH).enumerate() {
                let values = &self.packed_values[(channel * panels.key_panels + start) * PANEL..]
                    [..count * PANEL];
                product.multiply(values, weights, more);
                add_rows(format, more, sums);
            }
        }
        // SAFETY: `out` is `[head_size][total]`, of which this block alone writes the columns `first .. first + count`.
        unsafe {
            let out = self.out.add(self.first);
            softmax.write(
                format,
                &sums[..panels.head_size * WIDTH],
                [self.total, self.count],
                out,
            );
        }
    }
}

/// The product of [`HEIGHT`] rows and [`WIDTH`] columns.
struct Product {
    kernel: Kernel,
    _prepared: Prepared,
}

impl Product {
    /// `out[row][column]` is the sum over `[panel][word]` of `rows: [panel][row][word]` times `columns: [panel][word][column]`.
    #[inline(always)]
    fn multiply(&self, rows: &[u32], columns: &[u32], out: &mut [u32]) {
        let words = rows.len() / HEIGHT;
        assert!(columns.len() >= words * WIDTH && out.len() >= HEIGHT * WIDTH);
        let columns = columns.as_ptr();
        let arguments = TileArguments {
            weights: rows.as_ptr(),
            sources: [columns, columns.wrapping_add(VECTOR), columns],
            groups: words,
            group_stride: WIDTH,
            taps: &[0],
            starts: &[],
            tile: out.as_mut_ptr().cast(),
        };
        // SAFETY: the kernel is for the path that `_prepared` was made for, and its words and sums were compared above.
        unsafe { (self.kernel)(&arguments) };
    }
}

/// The vectors of row `row` of a matrix as wide as a block.
#[inline(always)]
fn load<T: Format>(format: T, matrix: &[u32], row: usize) -> [VectorOf<T>; N] {
    let row = &matrix[row * WIDTH..][..WIDTH];
    // SAFETY: the row has this many vectors of sixteen lanes, which is what formats of pairs have.
    [0, 1].map(|vector| unsafe {
        format
            .lanes()
            .load(row.as_ptr().add(vector * VECTOR).cast())
    })
}

/// Writes them.
#[inline(always)]
fn store<T: Format>(format: T, matrix: &mut [u32], row: usize, vectors: [VectorOf<T>; N]) {
    let row = &mut matrix[row * WIDTH..][..WIDTH];
    for (part, vector) in row.chunks_exact_mut(VECTOR).zip(vectors) {
        // SAFETY: a part has sixteen lanes, which is what formats of pairs have.
        unsafe { format.lanes().store(part.as_mut_ptr().cast(), vector) };
    }
}

/// Adds `more` to `sums`.
#[inline(always)]
fn add_rows<T: Format>(format: T, more: &[u32], sums: &mut [u32]) {
    let l = format.lanes();
    for row in 0..sums.len() / WIDTH {
        let ([a, b], [c, d]) = (load(format, sums, row), load(format, more, row));
        store(format, sums, row, [l.add(a, c), l.add(b, d)]);
    }
}

/// Multiplies each column of `sums` with its factor.
#[inline(always)]
fn scale_rows<T: Format>(format: T, factors: [VectorOf<T>; N], sums: &mut [u32]) {
    let l = format.lanes();
    for row in 0..sums.len() / WIDTH {
        let [a, b] = load(format, sums, row);
        store(
            format,
            sums,
            row,
            [l.mul(a, factors[0]), l.mul(b, factors[1])],
        );
    }
}

/// The running softmax of a block, see [`super`].
struct Softmax<T: Format> {
    /// What scores are taken relative to.
    bound: [VectorOf<T>; N],
    /// Sum of the weights `2^(score - bound)`.
    total: [VectorOf<T>; N],
}

impl<T: Format> Softmax<T> {
    #[inline(always)]
    fn new(format: T) -> Self {
        let l = format.lanes();
        Self {
            bound: [l.splat(f32::NEG_INFINITY); N],
            total: [l.splat(0.0); N],
        }
    }

    /// Raises the bound to the scores where any of them exceeds it by too much; returns what everything summed before is to
    /// be multiplied with.
    #[inline(always)]
    fn raise(&mut self, format: T, scores: &[u32]) -> Option<[VectorOf<T>; N]> {
        let l = format.lanes();
        let mut top = load(format, scores, 0);
        for row in 1..scores.len() / WIDTH {
            let scores = load(format, scores, row);
            top = [l.max(top[0], scores[0]), l.max(top[1], scores[1])];
        }
        let slack = l.splat(SLACK);
        let exceeded = (0..N).any(|v| l.any_greater(top[v], l.add(self.bound[v], slack)));
        if !exceeded {
            return None;
        }
        let mut factors = top;
        for vector in 0..N {
            let bound = l.max(self.bound[vector], top[vector]);
            factors[vector] = math::exp2(l, l.sub(self.bound[vector], bound));
            self.total[vector] = l.mul(self.total[vector], factors[vector]);
            self.bound[vector] = bound;
        }
        Some(factors)
    }

    /// Writes the weights of `scores: [key][query]` as `[key pair][query]`, and adds them to the total.
    #[inline(always)]
    fn weigh(&mut self, format: T, scores: &[u32], weights: &mut [u32]) {
        let l = format.lanes();
        let (bound, mut total) = (self.bound, self.total);
        for pair in 0..weights.len() / WIDTH {
            let (low, high) = (
                load(format, scores, 2 * pair),
                load(format, scores, 2 * pair + 1),
            );
            let mut words = low;
            for vector in 0..N {
                let [low, high] = [low, high].map(|scores| l.sub(scores[vector], bound[vector]));
                words[vector] = format.weights(low, high);
                total[vector] = format.add_weights(total[vector], words[vector]);
            }
            store(format, weights, pair, words);
        }
        self.total = total;
    }

    /// `out[row][query] = sums[row][query] / total[query]`, rows `stride` apart, of `count` queries.
    ///
    /// # Safety
    /// `out` must be valid for writing them.
    #[inline(always)]
    unsafe fn write(&self, format: T, sums: &[u32], [stride, count]: [usize; 2], out: *mut f32) {
        let l = format.lanes();
        let factors = self.total.map(|total| l.reciprocal(total));
        for row in 0..sums.len() / WIDTH {
            let sums = load(format, sums, row);
            for vector in 0..count.div_ceil(VECTOR) {
                let lane = vector * VECTOR;
                // SAFETY: the caller's promise.
                unsafe {
                    let out = out.add(row * stride + lane);
                    l.store_some(
                        out,
                        l.mul(sums[vector], factors[vector]),
                        VECTOR.min(count - lane),
                    );
                }
            }
        }
    }
}

impl Visible {
    /// Takes keys that do not exist, or that come after a query, out of `scores: [key][query]` from `first_key` on.
    #[inline(always)]
    fn mask_rows<T: Format>(self, format: T, first_key: usize, scores: &mut [u32]) {
        let rows = scores.len() / WIDTH;
        if self.all_before(first_key + rows) {
            return;
        }
        for row in 0..rows {
            let masked = self.masked(format, first_key + row, load(format, scores, row));
            store(format, scores, row, masked);
        }
    }
}
