//! What happens to the sums of a tile on their way to the output.

use std::mem::MaybeUninit;

use crate::cpu::geometry::Segment;
use crate::cpu::isa::Isa;
use crate::cpu::math;
use crate::cpu::micro::ROWS;
use crate::cpu::simd::{Kernel, Lanes, dispatch};

/// Applied last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activation {
    /// The identity.
    None,
    /// `x * sigmoid(x)`.
    Silu,
    /// GELU with the error function.
    Gelu,
    /// `x * sigmoid(1.702 x)`.
    QuickGelu,
    /// `max(x, 0)`.
    Relu,
    /// The first half of the channels times the GELU of the second half.
    Geglu,
}

/// Added to the sums before the activation.
#[derive(Clone, Copy, Debug)]
pub struct Epilogue<'a> {
    /// `[out]`, where GEGLU counts values and gates.
    pub bias: Option<&'a [f32]>,
    /// `[batch][out]`, such as the embedding of the time step; not with GEGLU.
    pub channel_add: Option<&'a [f32]>,
    /// `[batch][out][pixels]` of the output; not with GEGLU.
    pub residual: Option<&'a [f32]>,
    /// Applied to the total.
    pub activation: Activation,
}

impl Epilogue<'_> {
    /// Nothing at all.
    pub const NONE: Self = Self {
        bias: None,
        channel_add: None,
        residual: None,
        activation: Activation::None,
    };

    /// # Panics
    /// If an extent is not that of `rows` output channels and the output's pixels.
    pub(crate) fn check(&self, batch: usize, rows: usize, pixels: usize) {
        if let Some(bias) = self.bias {
            assert_eq!(bias.len(), rows, "a bias per output channel");
        }
        if let Some(add) = self.channel_add {
            assert_eq!(
                add.len(),
                batch * rows,
                "an addend per image and output channel"
            );
        }
        if let Some(residual) = self.residual {
            assert_eq!(
                residual.len(),
                batch * rows * pixels,
                "a residual like the output"
            );
        }
        let adds = self.channel_add.is_some() || self.residual.is_some();
        assert!(
            self.activation != Activation::Geglu || !adds,
            "GEGLU takes a bias only"
        );
    }
}

/// The output as several threads write it, each its own pixels of its own channels.
#[derive(Clone, Copy)]
pub(crate) struct Output {
    start: *mut f32,
    length: usize,
}

// SAFETY: its users promise that no two threads write the same numbers.
unsafe impl Send for Output {}
// SAFETY: as above.
unsafe impl Sync for Output {}

impl Output {
    pub(crate) fn new(out: &mut [MaybeUninit<f32>]) -> Self {
        Self {
            start: out.as_mut_ptr().cast(),
            length: out.len(),
        }
    }

    /// Where the numbers from `first` are, for a caller that writes only what no other thread does.
    ///
    /// # Panics
    /// If the output has not that many.
    #[inline(always)]
    fn range(&self, first: usize, length: usize) -> *mut f32 {
        assert!(
            first + length <= self.length,
            "the output ends before a tile's last pixel"
        );
        self.start.wrapping_add(first)
    }
}

/// One tile's sums and where they belong.
pub(crate) struct Finish<'a> {
    pub epilogue: &'a Epilogue<'a>,
    /// `[ROWS][lanes]`, followed by at least a vector of anything.
    pub sums: &'a [f32],
    pub lanes: usize,
    /// `[ROWS][lanes]`, added before the activation; not with GEGLU.
    pub added: Option<&'a [f32]>,
    /// Factors of rows and lanes, for integer sums.
    pub scales: Option<(&'a [f32], &'a [f32])>,
    pub segments: &'a [Segment],
    /// First output channel, and how many rows are valid (values only for GEGLU).
    pub channel: usize,
    pub rows: usize,
    /// Channels and pixels of the output.
    pub channels: usize,
    pub pixels: usize,
    pub output: Output,
}

impl Finish<'_> {
    /// Scales, adds, activates and stores the tile.
    ///
    /// # Safety
    /// The slice given to [`Output::new`] is still borrowed for it, and nothing else accesses the tile's pixels of its
    /// channels meanwhile.
    pub(crate) unsafe fn run_on(&self, isa: Isa) {
        assert!(
            self.sums.len() >= (ROWS + 1) * self.lanes,
            "a row of slack after the tile"
        );
        assert!(
            self.added
                .is_none_or(|added| added.len() >= (ROWS + 1) * self.lanes)
        );
        dispatch(isa, self);
    }

    /// Every row of every segment. The activation is a constant wherever this is inlined.
    #[inline(always)]
    fn rows<L: Lanes>(&self, l: L, activation: Activation) {
        let epilogue = self.epilogue;
        for segment in self.segments {
            for row in 0..self.rows {
                let channel = segment.image * self.channels + self.channel + row;
                let addend = epilogue.bias.map_or(0.0, |bias| bias[self.channel + row])
                    + epilogue.channel_add.map_or(0.0, |values| values[channel]);
                let first = channel * self.pixels + segment.pixel;
                let out = self.output.range(first, segment.length);
                let residual = epilogue
                    .residual
                    .map(|residual| residual[first..][..segment.length].as_ptr());
                for at in (0..segment.length).step_by(L::COUNT) {
                    let count = L::COUNT.min(segment.length - at);
                    let mut sum = self.total(l, row, segment.lane + at, addend);
                    // SAFETY: `at + count` is at most the segment's length, which residual and output have; the output
                    // is this thread's own, as `run_on` demands.
                    unsafe {
                        if let Some(residual) = residual {
                            sum = l.add(sum, load(l, residual.add(at), count));
                        }
                        if let Some(added) = self.added {
                            // As many as sums.
                            let lane = row * self.lanes + segment.lane + at;
                            sum = l.add(sum, l.load(added.as_ptr().add(lane)));
                        }
                        store(l, out.add(at), activate(l, activation, sum), count);
                    }
                }
            }
        }
    }

    /// Values times the GELU of their gates.
    #[inline(always)]
    fn gated<L: Lanes>(&self, l: L) {
        let bias = |row: usize| self.epilogue.bias.map_or(0.0, |bias| bias[row]);
        for segment in self.segments {
            for row in 0..self.rows {
                let channel = segment.image * self.channels + self.channel + row;
                let out = self
                    .output
                    .range(channel * self.pixels + segment.pixel, segment.length);
                for at in (0..segment.length).step_by(L::COUNT) {
                    let count = L::COUNT.min(segment.length - at);
                    let lane = segment.lane + at;
                    let value = self.total(l, row, lane, bias(self.channel + row));
                    let gate = self.total(
                        l,
                        ROWS / 2 + row,
                        lane,
                        bias(self.channels + self.channel + row),
                    );
                    // SAFETY: as in `rows`.
                    unsafe { store(l, out.add(at), l.mul(value, math::gelu(l, gate)), count) };
                }
            }
        }
    }

    /// A vector of sums, scaled if they are integer, plus `addend`. Lanes behind a segment's last are anything.
    #[inline(always)]
    fn total<L: Lanes>(&self, l: L, row: usize, lane: usize, addend: f32) -> L::F {
        let at = row * self.lanes + lane;
        // SAFETY: `run_on` has checked that a row of at least a vector follows the last sum, and the scales of lanes
        // are as many as those.
        unsafe {
            let sum = l.load(self.sums.as_ptr().add(at));
            match self.scales {
                None => l.add(sum, l.splat(addend)),
                Some((rows, lanes)) => {
                    let scale = l.mul(l.splat(rows[row]), l.load(lanes.as_ptr().add(lane)));
                    l.mul_add(sum, scale, l.splat(addend))
                }
            }
        }
    }
}

impl Kernel for &Finish<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        match self.epilogue.activation {
            Activation::None => self.rows(l, Activation::None),
            Activation::Silu => self.rows(l, Activation::Silu),
            Activation::Gelu => self.rows(l, Activation::Gelu),
            Activation::QuickGelu => self.rows(l, Activation::QuickGelu),
            Activation::Relu => self.rows(l, Activation::Relu),
            Activation::Geglu => self.gated(l),
        }
    }
}

#[inline(always)]
fn activate<L: Lanes>(l: L, activation: Activation, x: L::F) -> L::F {
    match activation {
        Activation::None | Activation::Geglu => x,
        Activation::Silu => math::silu(l, x),
        Activation::Gelu => math::gelu(l, x),
        Activation::QuickGelu => math::quick_gelu(l, x),
        Activation::Relu => l.max(l.splat(0.0), x),
    }
}

/// # Safety
/// `count` values are readable.
#[inline(always)]
unsafe fn load<L: Lanes>(l: L, source: *const f32, count: usize) -> L::F {
    // SAFETY: this function's own contract.
    unsafe {
        if count == L::COUNT {
            l.load(source)
        } else {
            l.load_first(source, count)
        }
    }
}

/// # Safety
/// `count` values are writable.
#[inline(always)]
unsafe fn store<L: Lanes>(l: L, target: *mut f32, value: L::F, count: usize) {
    // SAFETY: this function's own contract.
    unsafe {
        if count == L::COUNT {
            l.store(target, value)
        } else {
            l.store_first(target, value, count)
        }
    }
}
