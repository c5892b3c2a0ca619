//! Keys, values and queries rewritten once into the words and the order that the inner loops read.

use super::format::{Format, FormatKernel};
use super::tile::KEY_ROWS;

/// Extents of one head in words of `group` values.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    pub head_size: usize,
    pub keys: usize,
    /// Tiles of [`KEY_ROWS`] keys.
    pub key_tiles: usize,
    /// Words that hold the channels of one token.
    pub channel_words: usize,
    /// Words that hold the keys, those of partial tiles included.
    pub key_words: usize,
    /// Tiles of six channels of the values.
    pub sixes: usize,
    /// Tiles of five channels, after the others.
    pub fives: usize,
}

impl Layout {
    pub(super) fn new(head_size: usize, keys: usize, group: usize) -> Self {
        let key_tiles = keys.div_ceil(KEY_ROWS);
        // Tiles of six and five cover every size from 20 on exactly; below, some channels are computed in vain.
        let waste = |fives: usize| {
            (fives * 5 + head_size.saturating_sub(fives * 5).next_multiple_of(6)) - head_size
        };
        let fives = (0..=head_size.div_ceil(5))
            .min_by_key(|&fives| waste(fives))
            .unwrap_or(0);
        Self {
            head_size,
            keys,
            key_tiles,
            channel_words: head_size.div_ceil(group),
            key_words: key_tiles * KEY_ROWS / group,
            sixes: head_size.saturating_sub(fives * 5).div_ceil(6),
            fives,
        }
    }

    /// Words of the packed keys: `[tile][channel word][key of the tile]`.
    pub(super) fn packed_keys(&self) -> usize {
        self.key_tiles * self.channel_words * KEY_ROWS
    }

    /// Words of the packed values: `[tile][key word][channel of the tile]`.
    pub(super) fn packed_values(&self) -> usize {
        self.value_rows() * self.key_words
    }

    /// Channels of all value tiles, at least `head_size`.
    pub(super) fn value_rows(&self) -> usize {
        6 * self.sixes + 5 * self.fives
    }

    /// First channel and number of channels of every value tile.
    pub(super) fn value_tiles(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let sixes = self.sixes;
        let six = (0..sixes).map(|tile| (6 * tile, 6));
        six.chain((0..self.fives).map(move |tile| (6 * sixes + 5 * tile, 5)))
    }
}

/// Packs the keys and values of one head, both `[channel][key]` in `keys` and `values`.
pub(super) struct PackHead<'a> {
    pub layout: Layout,
    pub keys: &'a [f32],
    pub values: &'a [f32],
    /// As [`Layout::packed_keys`] says.
    pub packed_keys: &'a mut [u32],
    /// As [`Layout::packed_values`] says.
    pub packed_values: &'a mut [u32],
    /// A row of words, as long as there are keys, partial tiles included.
    pub row: &'a mut [u32],
}

impl FormatKernel for PackHead<'_> {
    #[inline(always)]
    fn run<T: Format>(self, _: T) {
        let layout = self.layout;
        let (count, row) = (layout.keys, self.row);
        for word in 0..layout.channel_words {
            let channels = &self.keys[word * T::GROUP * count..];
            let low = &channels[..count];
            row[count..].fill(0);
            if T::GROUP == 1 {
                row.iter_mut()
                    .zip(low)
                    .for_each(|(out, &low)| *out = T::word(low, 0.0));
            } else if let Some(high) = channels.get(count..2 * count) {
                row.iter_mut()
                    .zip(low)
                    .zip(high)
                    .for_each(|((out, &low), &high)| *out = T::word(low, high));
            } else {
                row.iter_mut()
                    .zip(low)
                    .for_each(|(out, &low)| *out = T::word(low, 0.0));
            }
            let targets = self
                .packed_keys
                .chunks_exact_mut(layout.channel_words * KEY_ROWS);
            for (tile, keys) in targets.zip(row.as_chunks::<KEY_ROWS>().0) {
                tile[word * KEY_ROWS..][..KEY_ROWS].copy_from_slice(keys);
            }
        }
        for (first, rows) in layout.value_tiles() {
            let tile =
                &mut self.packed_values[first * layout.key_words..][..rows * layout.key_words];
            for channel in 0..rows {
                let row = &mut row[..layout.key_words];
                row.fill(0);
                if first + channel < layout.head_size {
                    let values = &self.values[(first + channel) * count..][..count];
                    let groups = values.chunks_exact(T::GROUP);
                    if let Some(&last) = groups.remainder().first() {
                        row[count / T::GROUP] = T::word(last, 0.0);
                    }
                    row.iter_mut()
                        .zip(groups)
                        .for_each(|(out, group)| *out = T::word(group[0], group[T::GROUP - 1]));
                }
                tile[channel..]
                    .iter_mut()
                    .step_by(rows)
                    .zip(row)
                    .for_each(|(out, &mut word)| *out = word);
            }
        }
    }
}

/// Packs `count` queries from `first` on of `queries: [channel][total]`, times `factor`, as
/// `[channel word][query]` with `width >= count` queries, zeros at the end.
#[inline(always)]
pub(super) fn pack_queries<T: Format>(
    queries: &[f32],
    [first, count, total]: [usize; 3],
    factor: f32,
    width: usize,
    out: &mut [u32],
) {
    let rows = queries.len() / total;
    for (word, out) in out.chunks_exact_mut(width).enumerate() {
        let channel = word * T::GROUP;
        let row = |channel: usize| &queries[channel * total + first..][..count];
        out[count..].fill(0);
        if T::GROUP == 2 && channel + 1 < rows {
            let pairs = row(channel).iter().zip(row(channel + 1));
            out.iter_mut()
                .zip(pairs)
                .for_each(|(out, (low, high))| *out = T::word(low * factor, high * factor));
        } else {
            out.iter_mut()
                .zip(row(channel))
                .for_each(|(out, low)| *out = T::word(low * factor, 0.0));
        }
    }
}
