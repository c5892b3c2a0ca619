//! The inner loops of an attention.
//!
//! Products keep two of four vector units busy and the exponentials mostly the other two, but the processor does not
//! look far enough ahead to overlap them by itself. Therefore the scores of one tile of keys are computed in the same
//! loop that weighs the scores of the tile before; with 16 registers instead of 32, where that would spill, in one after it.

use super::format::{Format, VectorOf};
use crate::cpu::simd::Lanes;

/// Keys of a tile of scores: with four vectors of queries the sums fill half of 32 registers, and the exponentials have
/// the other half.
pub(super) const KEY_ROWS: usize = 4;

/// The scores of one tile.
pub(super) type Scores<T, const N: usize> = [[VectorOf<T>; N]; KEY_ROWS];

/// Memory of the running softmax of a block of `N` vectors of queries.
#[derive(Clone, Copy)]
pub(super) struct Softmax {
    /// What scores are taken relative to, `[query]`.
    pub bound: *mut f32,
    /// Sum of the weights `2^(score - bound)`, `[query]`.
    pub total: *mut f32,
    /// Scores of a tile that are not yet weighed, `[key word][vector][key of the word][lane]`.
    pub scores: *mut f32,
}

impl Softmax {
    /// Vectors of weights that a tile gives.
    pub(super) const fn items<T: Format, const N: usize>() -> usize {
        KEY_ROWS / T::GROUP * N
    }

    /// Writes vector `item` of the weights of the kept scores to `weights` and adds it to the total.
    ///
    /// # Safety
    /// The memory must be valid for a block of `N` vectors, `weights` for writing one, and `item` less than `items`.
    #[inline(always)]
    pub(super) unsafe fn weigh<T: Format, const N: usize>(
        self,
        format: T,
        item: usize,
        weights: *mut f32,
    ) {
        let l = format.lanes();
        let lane = item % N * T::L::COUNT;
        // SAFETY: the caller's promise.
        unsafe {
            let scores = self.scores.add(item * T::GROUP * T::L::COUNT);
            let bound = l.load(self.bound.add(lane));
            let low = l.sub(l.load(scores), bound);
            let high = l.sub(l.load(scores.add((T::GROUP - 1) * T::L::COUNT)), bound);
            let words = format.weights(low, high);
            l.store(weights, words);
            let total = self.total.add(lane);
            l.store(total, format.add_weights(l.load(total), words));
        }
    }

    /// Keeps the scores of a tile; returns whether any exceeds the bound by more than `slack`.
    ///
    /// # Safety
    /// The memory must be valid for a block of `N` vectors.
    #[inline(always)]
    pub(super) unsafe fn keep<T: Format, const N: usize>(
        self,
        format: T,
        scores: &Scores<T, N>,
        slack: f32,
    ) -> bool {
        let l = format.lanes();
        let mut exceeded = false;
        for vector in 0..N {
            let mut top = scores[0][vector];
            for (row, scores) in scores.iter().enumerate() {
                top = l.max(top, scores[vector]);
                let at = (row / T::GROUP * N + vector) * T::GROUP + row % T::GROUP;
                // SAFETY: the caller's promise.
                unsafe { l.store(self.scores.add(at * T::L::COUNT), scores[vector]) };
            }
            // SAFETY: as above.
            let bound = unsafe { l.load(self.bound.add(vector * T::L::COUNT)) };
            exceeded |= l.any_greater(top, l.add(bound, l.splat(slack)));
        }
        exceeded
    }

    /// Raises the bound to the kept scores where they exceed it, and scales the total and what was summed with it.
    ///
    /// # Safety
    /// The memory must be valid for a block of `N` vectors, and `sums` for reading and writing `rows` rows of it.
    #[inline(always)]
    pub(super) unsafe fn raise<T: Format, const N: usize>(
        self,
        format: T,
        sums: *mut f32,
        rows: usize,
    ) {
        let l = format.lanes();
        for vector in 0..N {
            let lane = vector * T::L::COUNT;
            // SAFETY: the caller's promise.
            unsafe {
                let old = l.load(self.bound.add(lane));
                let mut bound = old;
                for row in 0..KEY_ROWS {
                    let at = (row / T::GROUP * N + vector) * T::GROUP + row % T::GROUP;
                    bound = l.max(bound, l.load(self.scores.add(at * T::L::COUNT)));
                }
                let factor = crate::cpu::math::exp2(l, l.sub(old, bound));
                l.store(self.bound.add(lane), bound);
                l.store(
                    self.total.add(lane),
                    l.mul(l.load(self.total.add(lane)), factor),
                );
                for row in 0..rows {
                    let sum = sums.add(row * N * T::L::COUNT + lane);
                    l.store(sum, l.mul(l.load(sum), factor));
                }
            }
        }
    }
}

/// Scores of a tile of keys: `keys` is `[word][key]`, `queries` `[word][query]`. On the way the first `items` vectors of
/// the scores that `softmax` keeps are weighed into `weights`.
///
/// # Safety
/// `keys` and `queries` must be valid for reading `words` rows, the memory of `softmax` for a block of `N` vectors,
/// `weights` for writing `items` vectors, and `items` at most that of a tile.
#[inline(always)]
pub(super) unsafe fn tile_scores<T: Format, const N: usize>(
    format: T,
    keys: *const u32,
    queries: *const f32,
    words: usize,
    softmax: Softmax,
    items: usize,
    weights: *mut f32,
) -> Scores<T, N> {
    let mut scores = [[format.lanes().splat(0.0); N]; KEY_ROWS];
    let both = if T::L::REGISTERS >= 32 {
        words.min(items)
    } else {
        0
    };
    // SAFETY: the caller's promise.
    unsafe {
        for index in 0..both {
            add_products(
                format,
                keys.add(index * KEY_ROWS),
                queries,
                index,
                &mut scores,
            );
            softmax.weigh::<T, N>(format, index, weights.add(index * T::L::COUNT));
        }
        for word in both..words {
            add_products(
                format,
                keys.add(word * KEY_ROWS),
                queries,
                word,
                &mut scores,
            );
        }
        for item in both..items {
            softmax.weigh::<T, N>(format, item, weights.add(item * T::L::COUNT));
        }
    }
    scores
}

/// `sums[channel][query] += sum_key values[key][channel] weights[key][query]` over `words` words of keys.
///
/// # Safety
/// `values` and `weights` must be valid for reading `words` rows, `sums` for reading and writing `ROWS`.
#[inline(always)]
pub(super) unsafe fn add_values<T: Format, const N: usize, const ROWS: usize>(
    format: T,
    values: *const u32,
    weights: *const f32,
    words: usize,
    sums: *mut f32,
) {
    let l = format.lanes();
    let mut total = [[l.splat(0.0); N]; ROWS];
    // SAFETY: the caller's promise.
    unsafe {
        for (row, total) in total.iter_mut().enumerate() {
            *total = load_row(format, sums, row);
        }
        for word in 0..words {
            add_products(format, values.add(word * ROWS), weights, word, &mut total);
        }
        for (row, total) in total.iter().enumerate() {
            for (vector, &total) in total.iter().enumerate() {
                l.store(sums.add((row * N + vector) * T::L::COUNT), total);
            }
        }
    }
}

/// `sums[row] += factors[row] * matrix[word]`.
///
/// # Safety
/// `factors` must be valid for reading `ROWS` words, `matrix` for reading row `word`.
#[inline(always)]
unsafe fn add_products<T: Format, const N: usize, const ROWS: usize>(
    format: T,
    factors: *const u32,
    matrix: *const f32,
    word: usize,
    sums: &mut [[VectorOf<T>; N]; ROWS],
) {
    // SAFETY: the caller's promise.
    let vectors: [_; N] = unsafe { load_row(format, matrix, word) };
    for (row, sums) in sums.iter_mut().enumerate() {
        // SAFETY: as above.
        let factor = format
            .lanes()
            .splat(f32::from_bits(unsafe { *factors.add(row) }));
        for (sum, &vector) in sums.iter_mut().zip(&vectors) {
            *sum = format.dot(*sum, factor, vector);
        }
    }
}

/// Row `row` of a matrix as wide as a block.
///
/// # Safety
/// The row must be valid for reading.
#[inline(always)]
unsafe fn load_row<T: Format, const N: usize>(
    format: T,
    matrix: *const f32,
    row: usize,
) -> [VectorOf<T>; N] {
    let l = format.lanes();
    let mut vectors = [l.splat(0.0); N];
    for (vector, value) in vectors.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        *value = unsafe { l.load(matrix.add((row * N + vector) * T::L::COUNT)) };
    }
    vectors
}
