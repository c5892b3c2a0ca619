//! One block of queries against all keys of its head.

use super::format::{Format, FormatKernel, VectorOf};
use super::pack::{Layout, pack_queries};
use super::tile::{KEY_ROWS, Scores, Softmax, add_values, tile_scores};
use crate::cpu::simd::Lanes;

/// Vectors of queries in a block of the paths with 32 registers and with fewer.
const WIDE: usize = 4;
const NARROW: usize = 2;
/// Words of weights that wait for their values: half of a first-level cache.
const WAITING: usize = 6 << 10;
/// A score may exceed the bound by this many powers of two before the bound moves.
pub(super) const SLACK: f32 = 10.0;

/// Vectors of queries in a full block.
pub(super) const fn block_vectors(registers: usize) -> usize {
    if registers >= 32 { WIDE } else { NARROW }
}

/// The scratch memory that a block needs, in words.
pub(super) fn scratch_words(layout: &Layout) -> usize {
    let rows = layout.channel_words + layout.value_rows() + KEY_ROWS + 2;
    WAITING + rows * 16 * WIDE
}

/// Attention of the queries `first .. first + count` of one head.
pub(super) struct Block<'a> {
    pub layout: Layout,
    pub packed_keys: &'a [u32],
    pub packed_values: &'a [u32],
    /// `[channel][query]`, all queries of the head.
    pub queries: &'a [f32],
    /// Number of all queries of the head.
    pub total: usize,
    pub first: usize,
    /// At most as many as a full block has.
    pub count: usize,
    pub causal: bool,
    /// [`scratch_words`] words on a cache line boundary.
    pub scratch: &'a mut [u32],
    /// `[channel][query]`, all queries of the head; only this block's are written.
    pub out: *mut f32,
}

impl FormatKernel for Block<'_> {
    #[inline(always)]
    fn run<T: Format>(self, format: T) {
        match self.count.div_ceil(T::L::COUNT) {
            0 => {}
            1 => self.run_vectors::<T, 1>(format),
            2 => self.run_vectors::<T, 2>(format),
            3 if T::L::REGISTERS >= 32 => self.run_vectors::<T, 3>(format),
            4 if T::L::REGISTERS >= 32 => self.run_vectors::<T, 4>(format),
            vectors => unreachable!("a block of {vectors} vectors"),
        }
    }
}

impl Block<'_> {
    #[inline(always)]
    fn run_vectors<T: Format, const N: usize>(self, format: T) {
        let Self {
            layout,
            packed_keys,
            packed_values,
            ..
        } = self;
        let width = N * T::L::COUNT;
        assert!(self.count <= width && self.first + self.count <= self.total);
        assert!(
            packed_keys.len() >= layout.packed_keys()
                && packed_values.len() >= layout.packed_values()
        );
        let (queries, rest) = self.scratch.split_at_mut(layout.channel_words * width);
        let (sums, rest) = rest.split_at_mut(layout.value_rows() * width);
        let (softmax, waiting) = rest.split_at_mut((2 + KEY_ROWS) * width);
        let (bound, rest) = softmax.split_at_mut(width);
        let (total, scores) = rest.split_at_mut(width);

        // With log2(e) the softmax can use powers of two.
        let factor = std::f32::consts::LOG2_E / (layout.head_size as f32).sqrt();
        pack_queries::<T>(
            self.queries,
            [self.first, self.count, self.total],
            factor,
            width,
            queries,
        );
        sums.fill(0);
        total.fill(0);
        bound.fill(f32::NEG_INFINITY.to_bits());
        let room = WAITING.min(waiting.len()) / width * T::GROUP / KEY_ROWS;
        assert!(room > 0, "the scratch memory holds a tile of weights");
        let (queries, sums): (*const f32, *mut f32) =
            (queries.as_ptr().cast(), sums.as_mut_ptr().cast());
        let weights: *mut f32 = waiting.as_mut_ptr().cast();
        let softmax = Softmax {
            bound: bound.as_mut_ptr().cast(),
            total: total.as_mut_ptr().cast(),
            scores: scores.as_mut_ptr().cast(),
        };

        let visible = Visible {
            keys: layout.keys,
            first_query: self.first,
            causal: self.causal,
        };
        let tiles = visible.end(self.count).div_ceil(KEY_ROWS);
        let items = Softmax::items::<T, N>();
        // The tiles `start .. weighed` have weights that wait for their values.
        let (mut start, mut weighed) = (0, 0);
        for tile in 0..=tiles {
            // The tile before this one is weighed now; the round after the last tile does only that.
            let slot = weights.wrapping_add((weighed - start) * items * T::L::COUNT);
            let (items, words) = (
                items * usize::from(tile > 0),
                layout.channel_words * usize::from(tile < tiles),
            );
            let keys = packed_keys
                .as_ptr()
                .wrapping_add(tile * layout.channel_words * KEY_ROWS);
            // SAFETY: the tile is one of the packed ones, or no word of it is read; the queries have as many words;
            // the memory of the softmax was cut for this block; fewer than `room` tiles are waiting.
            let mut scores =
                unsafe { tile_scores::<T, N>(format, keys, queries, words, softmax, items, slot) };
            weighed = tile;
            let last = tile == tiles;
            let exceeded = !last && {
                if !visible.all_before((tile + 1) * KEY_ROWS) {
                    visible.mask::<T, N>(format, tile * KEY_ROWS, &mut scores);
                }
                // SAFETY: as above.
                unsafe { softmax.keep::<T, N>(format, &scores, SLACK) }
            };
            if weighed > start && (exceeded || last || weighed - start == room) {
                let (skipped, words) = (
                    start * KEY_ROWS / T::GROUP,
                    (weighed - start) * KEY_ROWS / T::GROUP,
                );
                for (channel, rows) in layout.value_tiles() {
                    // SAFETY: `skipped + words <= key_words`, the rows are among those of `sums`, and that many
                    // weights were written.
                    unsafe {
                        let values = packed_values
                            .as_ptr()
                            .add(channel * layout.key_words + skipped * rows);
                        let sums = sums.add(channel * width);
                        match rows {
                            6 => add_values::<T, N, 6>(format, values, weights, words, sums),
                            _ => add_values::<T, N, 5>(format, values, weights, words, sums),
                        }
                    }
                }
                start = weighed;
            }
            if exceeded {
                // SAFETY: `sums` has that many rows, and the softmax is of this block.
                unsafe { softmax.raise::<T, N>(format, sums, layout.value_rows()) };
            }
        }

        // SAFETY: the softmax is of this block, and the sums have `head_size` rows or more; `out` is
        // `[head_size][total]`, and `first + count <= total`.
        unsafe {
            let out = self.out.add(self.first);
            write_output::<T, N>(
                format,
                softmax,
                sums,
                [layout.head_size, self.total, self.count],
                out,
            );
        }
    }
}

/// `out[row][query] = sums[row][query] / total[query]` for `rows` rows, `stride` apart in `out`, of `count` queries.
///
/// # Safety
/// The memory of `softmax` must be valid for a block of `N` vectors, `sums` for reading `rows` rows of it, and `out` for
/// writing; `count` must be more than `N - 1` full vectors and at most `N`.
#[inline(always)]
unsafe fn write_output<T: Format, const N: usize>(
    format: T,
    softmax: Softmax,
    sums: *const f32,
    [rows, stride, count]: [usize; 3],
    out: *mut f32,
) {
    let l = format.lanes();
    let mut factors = [l.splat(0.0); N];
    for (vector, factor) in factors.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        *factor = l.reciprocal(unsafe { l.load(softmax.total.add(vector * T::L::COUNT)) });
    }
    let last = (N - 1) * T::L::COUNT;
    for row in 0..rows {
        // SAFETY: the caller's promise.
        unsafe {
            let (sums, out) = (sums.add(row * N * T::L::COUNT), out.add(row * stride));
            for (vector, &factor) in factors[..N - 1].iter().enumerate() {
                let lane = vector * T::L::COUNT;
                l.store(out.add(lane), l.mul(l.load(sums.add(lane)), factor));
            }
            l.store_some(
                out.add(last),
                l.mul(l.load(sums.add(last)), factors[N - 1]),
                count - last,
            );
        }
    }
}

/// Which keys the queries of a block see.
#[derive(Clone, Copy)]
pub(super) struct Visible {
    pub keys: usize,
    pub first_query: usize,
    pub causal: bool,
}

impl Visible {
    /// The keys before this one are all that any of the block's queries sees.
    pub(super) fn end(self, queries: usize) -> usize {
        if self.causal {
            self.keys.min(self.first_query + queries)
        } else {
            self.keys
        }
    }

    /// Whether every query sees all keys before `end`.
    #[inline(always)]
    pub(super) fn all_before(self, end: usize) -> bool {
        end <= self.keys && !(self.causal && end > self.first_query + 1)
    }

    /// Takes keys that do not exist, or that come after a query, out of the scores of a tile.
    #[inline(always)]
    fn mask<T: Format, const N: usize>(
        self,
        format: T,
        first_key: usize,
        scores: &mut Scores<T, N>,
    ) {
        for (row, scores) in scores.iter_mut().enumerate() {
            *scores = self.masked(format, first_key + row, *scores);
        }
    }

    /// The scores of one key, without those of queries that do not see it.
    #[inline(always)]
    pub(super) fn masked<T: Format, const N: usize>(
        self,
        format: T,
        key: usize,
        mut scores: [VectorOf<T>; N],
    ) -> [VectorOf<T>; N] {
        const STEPS: [f32; 16] = [
            0., 1., 2., 3., 4., 5., 6., 7., 8., 9., 10., 11., 12., 13., 14., 15.,
        ];
        let l = format.lanes();
        let nothing = l.splat(f32::NEG_INFINITY);
        // SAFETY: no vector has more than sixteen lanes.
        let steps = unsafe { l.load(STEPS.as_ptr()) };
        for (vector, score) in scores.iter_mut().enumerate() {
            if key >= self.keys {
                *score = nothing;
            } else if self.causal {
                // How far the query is behind the key; small integers, so exact where the comparison is close.
                let query = self.first_query + vector * T::L::COUNT;
                let distance = l.add(steps, l.splat(query as f32 - key as f32));
                *score = l.select_less(distance, l.splat(0.0), nothing, *score);
            }
        }
        scores
    }
}
