//! 3x3 convolutions in a row, of which only the last one's output is written.
//!
//! Rows of a picture pass through all of them while they are in a near cache: each computes a few rows, straight into what the
//! next one reads, which goes on as soon as it has a row more on either side (the sliding windows of stencil codes, such as
//! Halide's, Ragan-Kelley et al. 2013). So what lies between them costs neither memory nor time to rewrite it. Threads take
//! parts of the picture; the few rows where these meet are computed twice.

#[cfg(test)]
mod tests;

use std::mem::MaybeUninit;
use std::ops::Range;

use crate::cpu::convolve::{Activation, Convolution, Epilogue, Prologue};
use crate::cpu::driver::{Added, Driver, Sums};
use crate::cpu::epilogue::Output;
use crate::cpu::geometry::{Band, Block, Extents, Part, Reach, Tile, even_parts};
use crate::cpu::isa::Isa;
use crate::cpu::micro::{Order, Pixels, ROWS, ThreadState, VECTOR, turn_pixels};
use crate::cpu::packed::{Form, PackedWeight};
use crate::cpu::parallel::{for_each, threads};
use crate::cpu::precision::Precision;
use crate::cpu::prologue::Input;
use crate::cpu::scratch::Scratch;

/// Channels that are multiplied together.
const CHANNELS: usize = 4 * ROWS;
/// About how many bytes the windows of a thread may take, unless they are many: of a second-level cache of 2 MiB, which all
/// processors with AMX have.
const WINDOW_BYTES: usize = 1600 << 10;
/// Rows that are computed together: fewer take longer to begin with than to compute, and more are not needed.
const ROWS_TOGETHER: [usize; 2] = [2, 16];
/// Rows of a part for each link below which too many would be computed twice.
const ROWS_OF_A_LINK: usize = 4;

/// One of the convolutions.
#[derive(Clone, Copy)]
pub struct Link<'a> {
    /// `[out][in][3][3]`; of the first link it may be packed for a doubled image.
    pub weight: &'a PackedWeight,
    /// `[out]`.
    pub bias: Option<&'a [f32]>,
    /// The link whose input, as it reads it, is added to this one's sums: not the first, which reads what is given.
    pub adds: Option<usize>,
    /// Applied to the total: nothing or a ReLU.
    pub activation: Activation,
}

impl Link<'_> {
    fn is_doubled(&self) -> bool {
        self.weight.form == Form::Upsample
    }
}

/// Convolutions in a row, and what is fused into them.
#[derive(Clone, Copy)]
pub struct Chain<'a> {
    /// Of stride 1 and padding 1, the first perhaps of the image doubled by nearest neighbour; [`can_chain`] holds for them.
    pub links: &'a [Link<'a>],
    /// Added to the last one's sums before its activation, of the output's extents; not if it adds what another link reads.
    pub residual: Option<&'a [f32]>,
}

/// Whether links can be run by [`convolve_chain`]: there are at least two, each of as many channels as the one before gives, 3x3, packed
/// as they are (the first perhaps for a doubled image) for AMX in bf16, with a ReLU or nothing after it, and adding what has its
/// channels and is read by a link before it or by itself.
#[must_use]
pub fn can_chain(links: &[Link<'_>]) -> bool {
    let fits = links.iter().enumerate().all(|(index, link)| {
        let weight = link.weight;
        let before = index.checked_sub(1).map(|before| links[before].weight);
        let added = link.adds.is_none_or(|from| {
            let source = links.get(from).map(|link| link.weight.shape.inputs);
            (1..=index).contains(&from) && source == Some(weight.shape.outputs)
        });
        added
            && weight.shape.kernel == 3
            && (weight.form == Form::Plain || link.is_doubled() && before.is_none())
            && weight.precision == Precision::Bf16
            && weight.order == Order::Columns
            && before.is_none_or(|before| before.shape.outputs == weight.shape.inputs)
            && matches!(link.activation, Activation::None | Activation::Relu)
    });
    fits && links.len() > 1 && Isa::current().has_pixel_kernels()
}

/// Rows of a picture from which on so many links in a row take less time than one by one.
pub(crate) fn rows_to_chain(links: usize) -> usize {
    threads() * ROWS_OF_A_LINK * links
}

/// Convolves `x` of `[batch, channels, height, width]` with all links of a chain and writes every number of `out`.
///
/// # Panics
/// If an extent does not fit, or the links cannot be chained.
pub fn convolve_chain(
    x: &[f32],
    [batch, channels, height, width]: [usize; 4],
    chain: &Chain<'_>,
    out: &mut [MaybeUninit<f32>],
) {
    let links = chain.links;
    assert!(can_chain(links), "links that cannot be chained");
    assert_eq!(channels, links[0].weight.shape.inputs, "input channels");
    let adds = links.last().is_some_and(|link| link.adds.is_some());
    assert!(!adds || chain.residual.is_none(), "one addend of the last");
    let isa = Isa::current();
    let convolutions = convolutions(chain);
    let doubled = links[0].is_doubled();
    let given = Extents {
        batch,
        channels,
        height,
        width,
        reach: [Reach::Around, Reach::Doubled][usize::from(doubled)],
    };
    let scale = if doubled { 2 } else { 1 };
    let between = Extents {
        height: scale * height,
        width: scale * width,
        reach: Reach::Around,
        ..given
    };
    let last = links.len() - 1;
    assert_eq!(x.len(), batch * channels * height * width, "input");
    let outputs = links[last].weight.shape.outputs;
    assert_eq!(out.len(), batch * outputs * between.pixels(), "output");
    for (link, convolution) in links.iter().zip(&convolutions) {
        let outputs = link.weight.shape.outputs;
        convolution.epilogue.check(batch, outputs, between.pixels());
    }
    if out.is_empty() {
        return;
    }
    let output = Output::new(out);
    let driver = |(index, convolution)| {
        // Only the first reads what is given, and only the last writes the output.
        let (x, extents) = if index == 0 {
            (x, given)
        } else {
            (&[][..], between)
        };
        let input = Input {
            x,
            channels,
            pixels: extents.pixels(),
            prologue: Prologue::None,
        };
        let driver = Driver::new(isa, extents, input, convolution, output);
        if index == last {
            driver
        } else {
            driver.by_pixels()
        }
    };
    let drivers: Vec<_> = convolutions.iter().enumerate().map(driver).collect();
    let images = (0..batch).flat_map(|image| {
        let parts = between.height / (ROWS_OF_A_LINK * links.len());
        let parts = parts.clamp(1, threads());
        even_parts(between.height, parts).map(move |rows| (image, rows))
    });
    let parts: Vec<_> = images.collect();
    let state = || ();
    for_each(true, parts.len(), state, |(), index| {
        let (image, rows) = parts[index].clone();
        Passage::new(links, &drivers, image, rows).run();
    });
}

/// The links with what is fused into each.
fn convolutions<'a>(chain: &Chain<'a>) -> Vec<Convolution<'a>> {
    let last = chain.links.len() - 1;
    let convolution = |(index, link): (usize, &Link<'a>)| Convolution {
        weight: link.weight,
        stride: 1,
        upsample: link.is_doubled(),
        prologue: Prologue::None,
        epilogue: Epilogue {
            bias: link.bias,
            channel_add: None,
            residual: chain.residual.filter(|_| index == last),
            activation: link.activation,
        },
    };
    chain.links.iter().enumerate().map(convolution).collect()
}

/// Rows of one picture on their way through all links.
struct Passage<'a> {
    links: &'a [Link<'a>],
    drivers: &'a [Driver<'a>],
    image: usize,
    /// Most rows that a link computes at once.
    together: usize,
    /// For each link the rows of its output that it has to compute yet.
    left: Vec<Range<usize>>,
    /// What each link but the first reads.
    windows: Vec<Window>,
}

impl<'a> Passage<'a> {
    /// For these rows of the output.
    fn new(
        links: &'a [Link<'a>],
        drivers: &'a [Driver<'a>],
        image: usize,
        rows: Range<usize>,
    ) -> Self {
        let last = drivers.len() - 1;
        let extents = drivers[last].extents();
        let left = (0..drivers.len()).map(|link| {
            let more = last - link;
            rows.start.saturating_sub(more)..(rows.end + more).min(extents.height)
        });
        let mut left: Vec<_> = left.collect();
        if drivers[0].convolution().upsample {
            // Rows come in pairs.
            left[0] = left[0].start / 2 * 2..left[0].end.next_multiple_of(2);
        }
        let groups = |driver: &Driver<'_>| driver.convolution().weight.groups;
        let widest = drivers.iter().map(groups).max().unwrap_or(0);
        let row_bytes = extents.stride() * widest * size_of::<u32>();
        let [least, most] = ROWS_TOGETHER;
        let fitting = WINDOW_BYTES / (row_bytes * drivers.len());
        let together = fitting.saturating_sub(2).clamp(least, most) / 2 * 2;
        let windows = (1..drivers.len()).map(|link| {
            // What is added later stays until then.
            let last_use = links.iter().rposition(|other| other.adds == Some(link));
            let rows = together + last_use.unwrap_or(link) - link;
            let driver = &drivers[link];
            Window::new(extents.stride(), groups(driver), rows, left[link].start)
        });
        Self {
            links,
            drivers,
            image,
            together,
            windows: windows.collect(),
            left,
        }
    }

    fn run(mut self) {
        let last = self.drivers.len() - 1;
        while !self.left[last].is_empty() {
            for link in 0..=last {
                self.advance(link);
            }
            for link in 1..=last {
                self.forget(link);
            }
        }
    }

    /// Lets a link compute the rows whose input is there.
    fn advance(&mut self, link: usize) {
        let left = &self.left[link];
        let there = match link.checked_sub(1) {
            Some(window) => self.windows[window].end - 1,
            None => left.end.cast_signed(),
        };
        let there = usize::try_from(there).unwrap_or(0);
        let end = left.end.min(left.start + self.together).min(there);
        if end <= left.start {
            return;
        }
        let start = left.start;
        self.left[link].start = end;
        let driver = &self.drivers[link];
        let Convolution {
            weight, upsample, ..
        } = driver.convolution();
        let band = Band {
            image: self.image,
            rows: if *upsample {
                start / 2..end / 2
            } else {
                start..end
            },
            start: 0,
        };
        let mut block =
            Part::Bands(vec![band]).block(driver.extents(), weight.groups, weight.order);
        let (before, after) = self.windows.split_at_mut(link);
        let next = after.first_mut();
        let added = self.links[link].adds.map(|from| &before[from - 1]);
        if let Some(window) = before.last() {
            block.spread(window.plane);
            compute(driver, &block, window.reading(start), added, next);
        } else {
            let mut prepared = Scratch::take(block.prepared);
            driver.prepare(&block, &mut prepared);
            compute(driver, &block, &prepared, added, next);
        }
    }

    /// Drops what neither a link nor one that adds the same will read any more.
    fn forget(&mut self, link: usize) {
        let above = self.left[link].start.cast_signed() - 1;
        let adding = (0..self.links.len()).filter(|&other| self.links[other].adds == Some(link));
        let adding = adding.map(|other| self.left[other].start.cast_signed());
        let start = adding.fold(above, isize::min);
        self.windows[link - 1].forget_before(start);
    }
}

/// All pixels of a block, into what the next link reads or, after the last one, into the output.
fn compute<'a>(
    driver: &Driver<'_>,
    block: &Block,
    prepared: &[u32],
    added: Option<&'a Window>,
    next: Option<&mut Window>,
) {
    let Some(window) = next else {
        let turn = |added: &'a Window| {
            move |call, tile: &Tile, lanes: &mut [f32]| {
                added.turn(driver.isa(), call, tile, block.bands[0].rows.start, lanes);
            }
        };
        let turn = added.map(turn);
        let turn = turn.as_ref().map(|turn| -> Added<'_> { turn });
        return driver.multiply_all(block, prepared, turn);
    };
    into_window(driver, block, prepared, added, window);
    let (end, height) = (block.bands[0].rows.end, driver.extents().height);
    let scale = if driver.convolution().upsample { 2 } else { 1 };
    window.end = (scale * end).cast_signed();
    if end == height {
        window.add_zeros();
    }
}

/// Computes all pixels of a block into what the next link reads.
fn into_window(
    driver: &Driver<'_>,
    block: &Block,
    prepared: &[u32],
    added: Option<&Window>,
    window: &mut Window,
) {
    let Convolution {
        weight, epilogue, ..
    } = driver.convolution();
    let width = driver.extents().width;
    let step = if driver.convolution().upsample { 2 } else { 1 };
    let phases = (0..weight.phases).map(|phase| driver.checked_taps(block, phase, prepared.len()));
    let phases: Vec<_> = phases.collect();
    let _ready = ThreadState::new(driver.isa(), weight.order);
    let relu = epilogue.activation == Activation::Relu;
    let mut sums = Sums::new();
    for call in 0..weight.tiles.div_ceil(weight.order.tiles()) {
        let mut bias = [0.0; CHANNELS];
        let given = epilogue.bias.unwrap_or_default().iter();
        let given = given.skip(call * CHANNELS);
        bias.iter_mut()
            .zip(given)
            .for_each(|(to, from)| *to = *from);
        let at = call * weight.order.tiles();
        for tile in &block.tiles {
            for (phase, taps) in phases.iter().enumerate() {
                // SAFETY: this thread is ready, and the taps were checked with this block and its prepared input.
                unsafe { driver.sum(tile, prepared, (phase, at), taps, &[], &mut sums) };
                for run in tile.segments.iter().flat_map(|segment| segment.rows(width)) {
                    let row = step * (run.pixel / width) + phase / 2;
                    let column = step * (run.pixel % width) + phase % 2;
                    // Of a pair of rows the first may not be needed.
                    let Some(place) = window.place(call, row, column) else {
                        continue;
                    };
                    let added = added.map(|added| {
                        let place = added.place(call, row, column);
                        &added.lanes[place.expect("rows that are added are kept")..]
                    });
                    let pixels = Pixels {
                        sums: &sums[run.lane * CHANNELS..][..run.length * CHANNELS],
                        bias: &bias,
                        added,
                        relu,
                    };
                    pixels.pack(driver.isa(), &mut window.lanes[place..], step);
                }
            }
        }
    }
}

/// Some rows of what a link reads, in the order in which it reads them: `[16 groups][lane][16]`, with a lane of padding before
/// each row.
struct Window {
    lanes: Scratch,
    /// Lanes from sixteen groups to the next sixteen.
    plane: usize,
    /// Lanes of a row.
    stride: usize,
    /// The first row that is there, and the one behind the last; zeros are above and below the picture.
    start: isize,
    end: isize,
}

impl Window {
    /// Rows that a window has beside those that come at once: one above and below those that are read, one of zeros, and one that
    /// came with another.
    const MORE: usize = 4;

    /// For so many rows that come at once or stay for later; the first that is computed from it is `first`.
    fn new(stride: usize, groups: usize, rows: usize, first: usize) -> Self {
        let lanes = (rows + Self::MORE) * stride + 1 + VECTOR;
        let plane = lanes.next_multiple_of(VECTOR);
        let start = first.cast_signed() - 1;
        let mut lanes = Scratch::take(plane * groups);
        lanes.fill(0);
        Self {
            lanes,
            plane,
            stride,
            start,
            end: start.max(0),
        }
    }

    /// The lane of a row's padding, if the row is not before those that are read.
    fn row(&self, row: isize) -> Option<usize> {
        let lane = usize::try_from(row - self.start).ok()? * self.stride;
        debug_assert!(lane < self.plane, "a window that is too small");
        Some(lane)
    }

    /// What is read to compute rows from this one on.
    fn reading(&self, row: usize) -> &[u32] {
        let above = self.row(row.cast_signed() - 1);
        &self.lanes[above.expect("rows that are read are kept") * VECTOR..]
    }

    /// The first word of a pixel of a row in the sixteen groups of a call.
    fn place(&self, call: usize, row: usize, column: usize) -> Option<usize> {
        let lane = self.row(row.cast_signed())? + 1 + column;
        Some((call * self.plane + lane) * VECTOR)
    }

    /// The numbers of the pixels of a tile of a block that begins with this row, `[4 * ROWS][lanes]`, in the sixteen groups of a call.
    fn turn(&self, isa: Isa, call: usize, tile: &Tile, row: usize, lanes: &mut [f32]) {
        let first = self
            .place(call, row, 0)
            .expect("rows that are added are kept");
        // Tiles read from the row above on, the padding of which comes first.
        let before = self.stride + 1;
        for (vector, source) in tile.sources[..tile.vectors].iter().enumerate() {
            let pixels = &self.lanes[first + (source - before) * VECTOR..][..VECTOR * VECTOR];
            turn_pixels(isa, pixels, &mut lanes[vector * VECTOR..], tile.lanes());
        }
    }

    /// The row below the picture.
    fn add_zeros(&mut self) {
        let row = self.row(self.end).expect("rows below the first");
        for plane in self.lanes.chunks_exact_mut(self.plane * VECTOR) {
            plane[row * VECTOR..(row + self.stride) * VECTOR].fill(0);
        }
        self.end += 1;
    }

    /// Moves the rows from `start` on to the beginning.
    fn forget_before(&mut self, start: isize) {
        if start <= self.start {
            return;
        }
        let lane = |row| self.row(row).expect("rows that are computed are there");
        let kept = lane(start) * VECTOR..(lane(self.end) + 1) * VECTOR;
        for plane in self.lanes.chunks_exact_mut(self.plane * VECTOR) {
            plane.copy_within(kept.clone(), 0);
        }
        self.start = start;
    }
}
