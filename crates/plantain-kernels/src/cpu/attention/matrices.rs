//! The attention of processors that multiply whole matrices of bfloat16.
//!
//! What is computed is the same as in `block.rs`, but the scores of some hundred keys wait in memory for their exponentials,
//! because the products neither leave their results in vector registers nor can be computed beside them.

use super::block::{SLACK, Visible};
use super::format::{Format, FormatKernel, VectorOf, group};
use crate::cpu::isa::Isa;
use crate::cpu::math;
use crate::cpu::micro::{
    Kernel, Order, ROWS, ThreadState, TileArguments, VECTOR, kernels_for, turn,
};
use crate::cpu::precision::Precision;
use crate::cpu::prologue::{neighbours, pairs};
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
const TOGETHER: usize = 4;

/// Whether a path multiplies matrices in this precision.
pub(super) fn is_for(isa: Isa, precision: Precision) -> bool {
    isa.multiplies_matrices() && group(isa, precision) == 2
}

/// Extents of one head in panels.
#[derive(Clone, Copy)]
pub(super) struct Panels {
    pub head_size: usize,
    pub keys: usize,
    /// Panels that the channels of a row of keys go through.
    channels: usize,
    /// Panels of rows of values, of which one more than there are channels is of ones: its sums are those of the weights.
    value_panels: usize,
    /// Panels that all keys go through, as rows of keys or along the rows of values: both have 32 keys.
    key_panels: usize,
}

impl Panels {
    pub(super) fn new(head_size: usize, keys: usize) -> Self {
        Self {
            head_size,
            keys,
            channels: head_size.div_ceil(2 * DEPTH),
            value_panels: (head_size + 1).div_ceil(HEIGHT),
            key_panels: keys.div_ceil(HEIGHT),
        }
    }

    /// Words of the packed keys `[key panel][channel panel][key][channel pair]`.
    pub(super) fn packed_keys(self) -> usize {
        self.key_panels * self.channels * PANEL
    }

    /// Words of the packed values `[channel panel][key panel][channel][key pair]`.
    pub(super) fn packed_values(self) -> usize {
        self.value_panels * self.key_panels * PANEL
    }

    /// Words of the rows that keys and values are packed through.
    pub(super) fn row_words(self) -> usize {
        DEPTH * self.key_panels * HEIGHT
    }

    /// Words of scratch memory of a block.
    pub(super) fn scratch_words(self) -> usize {
        let rows = self.channels * DEPTH + self.value_panels * HEIGHT;
        (rows + TOGETHER * (HEIGHT + DEPTH) + HEIGHT) * WIDTH
    }
}

/// Packs the keys and values of one head, both `[channel][key]`.
pub(super) struct PackPanels<'a> {
    pub isa: Isa,
    pub panels: Panels,
    pub keys: &'a [f32],
    pub values: &'a [f32],
    /// As [`Panels::packed_keys`] says.
    pub packed_keys: &'a mut [u32],
    /// As [`Panels::packed_values`] says.
    pub packed_values: &'a mut [u32],
    /// [`Panels::row_words`] words.
    pub rows: &'a mut [u32],
}

impl<'a> PackPanels<'a> {
    pub(super) fn run(self) {
        let Panels {
            head_size,
            keys: count,
            channels,
            key_panels,
            ..
        } = self.panels;
        let row = move |values: &'a [f32], channel: usize| {
            let first = channel * count;
            let inside = channel < head_size;
            inside.then(|| &values[first..first + count])
        };
        let width = self.rows.len() / DEPTH;
        let (nothing, ones) = (vec![0.0; count], vec![1.0; count]);
        for channel_panel in 0..channels {
            for (pair, words) in self.rows.chunks_exact_mut(width).enumerate() {
                let channel = 2 * (channel_panel * DEPTH + pair);
                let [low, high] = [channel, channel + 1]
                    .map(|channel| row(self.keys, channel).unwrap_or(&nothing));
                pairs(self.isa, low, high, &mut words[..count]);
                words[count..].fill(0);
            }
            let panels = self
                .packed_keys
                .chunks_exact_mut(PANEL)
                .skip(channel_panel)
                .step_by(channels);
            for (key_panel, panel) in panels.enumerate() {
                turn(self.isa, self.rows, key_panel * HEIGHT, panel);
            }
        }
        for (channel_panel, packed) in self
            .packed_values
            .chunks_exact_mut(key_panels * PANEL)
            .enumerate()
        {
            for channel in 0..HEIGHT {
                let words = &mut self.rows[..key_panels * DEPTH];
                words.fill(0);
                let channel_of_head = channel_panel * HEIGHT + channel;
                let sums = (channel_of_head == head_size).then_some(&*ones);
                if let Some(values) = row(self.values, channel_of_head).or(sums) {
                    neighbours(self.isa, values, words);
                }
                for (panel, words) in packed
                    .chunks_exact_mut(PANEL)
                    .zip(words.chunks_exact(DEPTH))
                {
                    panel[channel * DEPTH..][..DEPTH].copy_from_slice(words);
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
        assert!(self.packed_keys.len() >= panels.packed_keys());
        assert!(self.packed_values.len() >= panels.packed_values());
        let (queries, rest) = self.scratch.split_at_mut(panels.channels * DEPTH * WIDTH);
        let (sums, rest) = rest.split_at_mut(panels.value_panels * HEIGHT * WIDTH);
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
        let mut bound = Bound::<T>([format.lanes().splat(f32::NEG_INFINITY); N]);

        let visible = Visible {
            keys: panels.keys,
            first_query: self.first,
            causal: self.causal,
        };
        let product = Product {
            kernel: kernels_for(self.isa, Precision::Bf16, Order::Blocks)[0][N - 1],
            _ready: ThreadState::new(self.isa, Order::Blocks),
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
            let weights = &mut weights[..count * DEPTH * WIDTH];
            if start == 0 {
                bound.raise(format, top_of(format, scores));
            }
            let top = bound.weigh(format, scores, weights);
            if let Some(factors) = bound.raise(format, top) {
                scale_rows(format, factors, sums);
                bound.weigh(format, scores, weights);
            }
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
            write(
                format,
                panels.head_size,
                sums,
                [self.total, self.count],
                out,
            );
        }
    }
}

/// The product of [`HEIGHT`] rows and [`WIDTH`] columns.
struct Product {
    kernel: Kernel,
    _ready: ThreadState,
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
            ahead: std::ptr::null(),
            sources: [columns, columns.wrapping_add(VECTOR), columns],
            groups: words,
            group_stride: WIDTH,
            taps: &[0],
            starts: &[],
            tile: out.as_mut_ptr().cast(),
        };
        // SAFETY: the kernel is for the path that `_ready` was made for, and its words and sums were compared above.
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

/// The largest score of each query.
#[inline(always)]
fn top_of<T: Format>(format: T, scores: &[u32]) -> [VectorOf<T>; N] {
    let l = format.lanes();
    let mut top = load(format, scores, 0);
    for row in 1..scores.len() / WIDTH {
        let scores = load(format, scores, row);
        top = [l.max(top[0], scores[0]), l.max(top[1], scores[1])];
    }
    top
}

/// What the scores of each query are taken relative to, see [`super`].
struct Bound<T: Format>([VectorOf<T>; N]);

impl<T: Format> Bound<T> {
    /// Raises the bound to these scores where any of them exceeds it by too much; returns what everything summed before is to
    /// be multiplied with.
    #[inline(always)]
    fn raise(&mut self, format: T, top: [VectorOf<T>; N]) -> Option<[VectorOf<T>; N]> {
        let l = format.lanes();
        let slack = l.splat(SLACK);
        let exceeded = (0..N).any(|v| l.any_greater(top[v], l.add(self.0[v], slack)));
        if !exceeded {
            return None;
        }
        let mut factors = top;
        for vector in 0..N {
            let bound = l.max(self.0[vector], top[vector]);
            factors[vector] = math::exp2(l, l.sub(self.0[vector], bound));
            self.0[vector] = bound;
        }
        Some(factors)
    }

    /// Writes the weights of `scores: [key][query]` as `[key pair][query]`; returns the largest score of each query. Where
    /// one exceeds the bound by too much the weights are of no use.
    #[inline(always)]
    fn weigh(&self, format: T, scores: &[u32], weights: &mut [u32]) -> [VectorOf<T>; N] {
        let l = format.lanes();
        let bound = self.0;
        let mut top = bound;
        for pair in 0..weights.len() / WIDTH {
            let (low, high) = (
                load(format, scores, 2 * pair),
                load(format, scores, 2 * pair + 1),
            );
            let mut words = low;
            for vector in 0..N {
                top[vector] = l.max(top[vector], l.max(low[vector], high[vector]));
                let [low, high] = [low, high].map(|scores| l.sub(scores[vector], bound[vector]));
                words[vector] = format.weights(low, high);
            }
            store(format, weights, pair, words);
        }
        top
    }
}

/// `out[row][query] = sums[row][query] / sums[rows][query]`, rows `stride` apart, of `count` queries.
///
/// # Safety
/// `out` must be valid for writing them.
#[inline(always)]
unsafe fn write<T: Format>(
    format: T,
    rows: usize,
    sums: &[u32],
    [stride, count]: [usize; 2],
    out: *mut f32,
) {
    let l = format.lanes();
    let factors = load(format, sums, rows).map(|total| l.reciprocal(total));
    for row in 0..rows {
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
