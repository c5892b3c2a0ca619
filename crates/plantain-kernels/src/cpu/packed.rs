//! Weights rewritten once, at load, into the order in which the tiles read them.

use rayon::prelude::*;

use crate::cpu::fill::FillTiles;
use crate::cpu::isa::Isa;
use crate::cpu::micro::{HALF_ROWS, Order, ROWS, VECTOR, order};
use crate::cpu::precision::Precision;
use crate::cpu::scratch::{Buffer, HUGE_PAGE, Pages};
use crate::cpu::simd::dispatch;

/// What the weights will be used for, which decides their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// An ordinary convolution.
    Plain,
    /// The first half of the output channels are values and the second half gates (Shazeer 2020, GEGLU): rows of a
    /// value and its gate share a tile.
    Geglu,
    /// A 3x3 convolution after doubling the image by nearest neighbour: for each of the four positions of an output
    /// pixel in its input pixel a 2x2 kernel of the sums of weights that meet the same input pixel.
    Upsample,
    /// The same by minimal filtering: nine products for the four pixels that one becomes, of itself and of what those around it differ by
    /// ([`Form::Upsample`] takes sixteen). Not for [`Precision::Int8`], which differences do not fit.
    Doubling,
    /// A 3x3 convolution of stride 1 by minimal filtering (Lavin and Gray 2015): output
    /// tiles of 2x2 or 4x4 pixels with 2.25 or 4 times fewer products, for 1.8 or 4 times as many packed weights.
    /// Not for [`Precision::Int8`]. Tiles of 4x4 lose two decimal digits: too many for [`Precision::Bf16`].
    Winograd {
        /// Height and width of an output tile: 2 or 4.
        tile: usize,
    },
}

impl Form {
    /// The form that is fastest on a path for a convolution of stride 1, whose output is usually `side` pixels wide and high, of the image
    /// as it is or doubled.
    ///
    /// Where the size is not known, wide layers are taken for those of small images.
    #[must_use]
    pub fn fastest(
        isa: Isa,
        shape: WeightShape,
        upsample: bool,
        precision: Precision,
        side: Option<usize>,
    ) -> Self {
        let few = shape.inputs.min(shape.outputs) < 16;
        // Products of whole matrices are faster than the transformations that save some of them, and bytes do not bear those.
        let filtered = match precision {
            Precision::Int8 => false,
            _ => shape.kernel == 3 && !few && !multiplies_matrices(isa, shape, precision),
        };
        let [small, large] = [2, 4].map(|tile| Self::Winograd { tile });
        match (filtered, upsample) {
            _ if shape.kernel != 3 => Self::Plain,
            (true, true) => Self::Doubling,
            (false, true) => Self::Upsample,
            (false, false) => Self::Plain,
            (true, false) if precision == Precision::Bf16 => small,
            (true, false) => {
                let side = side.unwrap_or(if shape.outputs < 1280 { 64 } else { 16 });
                // The order stays the same for all larger images.
                let side = side.clamp(1, 256);
                let forms = [large, small, Self::Plain].into_iter();
                let cheapest = forms.min_by_key(|form| form.cost(side));
                cheapest.expect("three forms")
            }
        }
    }

    /// Pixels of the input from a tile to the next, if it filters minimally.
    pub(crate) fn filtering_step(self) -> Option<usize> {
        match self {
            Self::Winograd { tile } => Some(tile),
            Self::Doubling => Some(1),
            Self::Plain | Self::Geglu | Self::Upsample => None,
        }
    }

    /// Multiplications of vectors for a pair of channels and an output of `side` by `side` pixels of the image as it is; where pixels are
    /// few, reading the weights, more of them than caches hold, takes as long as multiplying some more.
    fn cost(self, side: usize) -> usize {
        const READING: usize = 2;
        let vectors = |lanes: usize| lanes.div_ceil(VECTOR).max(READING);
        match self.filtering_step() {
            Some(step) => (step + 2).pow(2) * vectors(side.div_ceil(step).pow(2)),
            // Rows of the direct form end with a lane of padding.
            None => 9 * vectors(side * (side + 1)),
        }
    }
}

/// Extents of a convolution's weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeightShape {
    /// Output channels (for [`Form::Geglu`] values and gates together).
    pub outputs: usize,
    /// Input channels.
    pub inputs: usize,
    /// Height and width of the kernel: 1 or 3.
    pub kernel: usize,
}

/// Whether a path multiplies whole matrices for a layer of this shape.
pub(crate) fn multiplies_matrices(isa: Isa, shape: WeightShape, precision: Precision) -> bool {
    order(isa, precision, shape.kernel, shape.inputs) != Order::Rows
}

/// Weights in compute precision, for each phase in the order of the path that they were packed for.
pub struct PackedWeight {
    pub(crate) shape: WeightShape,
    pub(crate) form: Form,
    pub(crate) precision: Precision,
    pub(crate) order: Order,
    /// Kernels that make one convolution: positions of an output pixel in its input pixel for [`Form::Upsample`],
    /// frequencies for [`Form::Doubling`] and [`Form::Winograd`].
    pub(crate) phases: usize,
    /// Tiles of one phase.
    pub(crate) tiles: usize,
    /// Groups of input channels, and what their order fills them up with: lanes of a pixel.
    pub(crate) groups: usize,
    /// Taps of one phase.
    pub(crate) taps: usize,
    /// [`Precision::Int8`] only, `[phase][stored tile][ROWS]`: the scale of a row.
    scales: Vec<f32>,
    /// `[phase][stored tile]`: what sums start from; for [`Precision::Int8`] minus 128 times the sum of a row's bytes, which
    /// the zero point 128 of the sources adds.
    starts: Vec<[i32; ROWS]>,
    lanes: Buffer,
}

impl PackedWeight {
    /// Packs `numbers`, `[out][in][kernel][kernel]`, for the best path of this processor.
    ///
    /// # Panics
    /// As [`PackedWeight::new_on`].
    #[must_use]
    pub fn new(numbers: &[f32], shape: WeightShape, form: Form, precision: Precision) -> Self {
        Self::new_on(Isa::current(), numbers, shape, form, precision)
    }

    /// Packs `numbers`, `[out][in][kernel][kernel]`, for a path.
    ///
    /// # Panics
    /// If the processor does not have the path's instructions, the numbers are not as many as the shape says, the kernel is neither 1 nor 3, or the form does not fit it
    /// (GEGLU needs an even number of outputs, the doubled image a 3x3 kernel).
    #[must_use]
    pub fn new_on(
        isa: Isa,
        numbers: &[f32],
        shape: WeightShape,
        form: Form,
        precision: Precision,
    ) -> Self {
        assert!(isa.is_available(), "the processor does not have {isa:?}");
        let WeightShape {
            outputs,
            inputs,
            kernel,
        } = shape;
        check(numbers, shape, form, precision);
        let (phases, taps) = match (form, form.filtering_step()) {
            (_, Some(step)) => ((step + 2).pow(2), 1),
            (Form::Upsample, None) => (4, 4),
            (_, None) => (1, kernel * kernel),
        };
        let tiles = match form {
            Form::Geglu => (outputs / 2).div_ceil(ROWS / 2),
            _ => outputs.div_ceil(ROWS),
        };
        let order = match form.filtering_step() {
            Some(_) => Order::Rows,
            None => order(isa, precision, kernel, inputs),
        };
        let groups = inputs
            .div_ceil(precision.channels_per_lane())
            .next_multiple_of(order.groups());
        let stored = tiles.next_multiple_of(order.tiles());
        let mut packed = Self {
            shape,
            form,
            precision,
            order,
            phases,
            tiles,
            groups,
            taps,
            scales: Vec::new(),
            starts: vec![[0; ROWS]; phases * stored],
            lanes: room(phases * stored * groups * taps * ROWS, precision),
        };
        if precision == Precision::Int8 {
            packed.scales = vec![0.0; phases * stored * ROWS];
        }
        packed.fill(isa, numbers);
        packed
    }

    /// The extents given to [`PackedWeight::new`].
    #[must_use]
    pub fn shape(&self) -> WeightShape {
        self.shape
    }

    /// The precision that products are computed in.
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Channels that the convolution writes: half of the rows for [`Form::Geglu`].
    #[must_use]
    pub fn output_channels(&self) -> usize {
        match self.form {
            Form::Geglu => self.shape.outputs / 2,
            _ => self.shape.outputs,
        }
    }

    /// Output channels that a tile writes.
    pub(crate) fn channels_per_tile(&self) -> usize {
        match self.form {
            Form::Geglu => ROWS / 2,
            _ => ROWS,
        }
    }

    /// Whether all that a tile has is in the first half of its rows; gates are in the second one.
    pub(crate) fn fills_half(&self, tile: usize) -> bool {
        self.form != Form::Geglu && self.shape.outputs - tile * ROWS <= HALF_ROWS
    }

    /// Bytes of the packed weights.
    #[must_use]
    pub fn bytes(&self) -> usize {
        4 * self.phases * self.stored_tiles() * self.tile_lanes()
    }

    /// Lanes of a tile.
    fn tile_lanes(&self) -> usize {
        self.groups * self.taps * ROWS
    }

    /// Tiles of one phase that there is room for.
    fn stored_tiles(&self) -> usize {
        self.tiles.next_multiple_of(self.order.tiles())
    }

    /// The lanes of the tiles from `tile` on that are stored together.
    pub(crate) fn tile(&self, phase: usize, tile: usize) -> &[u32] {
        let lanes = self.tile_lanes();
        &self.lanes[(phase * self.stored_tiles() + tile) * lanes..][..self.order.tiles() * lanes]
    }

    /// What the sums of the same tiles start from.
    pub(crate) fn starts(&self, phase: usize, tile: usize) -> &[[i32; ROWS]] {
        &self.starts[phase * self.stored_tiles() + tile..][..self.order.tiles()]
    }

    /// The scales of the rows of a tile, if they have some.
    pub(crate) fn scales(&self, phase: usize, tile: usize) -> Option<&[f32]> {
        let first = (phase * self.stored_tiles() + tile) * ROWS;
        self.scales.get(first..first + ROWS)
    }

    /// The output channel of a tile's row, or nothing where the tile is larger than what is left.
    pub(crate) fn row_channel(&self, tile: usize, row: usize) -> Option<usize> {
        match self.form {
            Form::Geglu => {
                let channel = tile * (ROWS / 2) + row % (ROWS / 2);
                let gate = row / (ROWS / 2) * (self.shape.outputs / 2);
                (channel < self.shape.outputs / 2).then_some(channel + gate)
            }
            _ => Some(tile * ROWS + row).filter(|&channel| channel < self.shape.outputs),
        }
    }

    fn fill(&mut self, isa: Isa, numbers: &[f32]) {
        let (together, stored) = (self.order.tiles(), self.stored_tiles());
        let kinds = stored / together;
        let chunk = together * self.tile_lanes();
        let mut lanes = std::mem::replace(&mut self.lanes, Buffer::zeroed(0, Pages::Usual));
        let mut chunks: Vec<Vec<_>> = Vec::new();
        chunks.resize_with(kinds, || Vec::with_capacity(self.phases));
        for (index, lanes) in lanes
            .chunks_exact_mut(chunk)
            .take(self.phases * kinds)
            .enumerate()
        {
            chunks[index % kinds].push(lanes);
        }
        let weight = &*self;
        let nothing = vec![0.0; weight.shape.inputs * weight.shape.kernel * weight.shape.kernel];
        let quantised: Vec<_> = chunks
            .into_par_iter()
            .enumerate()
            .flat_map_iter(|(index, phases)| {
                let first = index * together;
                let fill = FillTiles {
                    weight,
                    stored: numbers,
                    nothing: &nothing,
                    tiles: first..(first + together).min(weight.tiles),
                    phases,
                };
                dispatch(isa, fill)
            })
            .collect();
        self.lanes = lanes;
        if self.precision == Precision::Int8 {
            for (tile, quantised) in quantised.iter().enumerate() {
                for (phase, starts) in quantised.starts.iter().enumerate() {
                    let index = phase * stored + tile;
                    self.scales[index * ROWS..][..ROWS].copy_from_slice(&quantised.scales);
                    self.starts[index] = *starts;
                }
            }
        }
    }
}

/// Memory for weights. Products of bytes, which read them fastest, lose a tenth of their speed on small pages, others next to nothing.
fn room(lanes: usize, precision: Precision) -> Buffer {
    let huge = precision == Precision::Int8 && 4 * lanes >= HUGE_PAGE;
    Buffer::zeroed(lanes, if huge { Pages::Huge } else { Pages::Usual })
}

fn check(numbers: &[f32], shape: WeightShape, form: Form, precision: Precision) {
    let WeightShape {
        outputs,
        inputs,
        kernel,
    } = shape;
    let expected = outputs * inputs * kernel * kernel;
    assert!(
        outputs > 0 && inputs > 0,
        "a convolution has channels, not {outputs} x {inputs}"
    );
    assert!(
        kernel == 1 || kernel == 3,
        "kernels are 1x1 or 3x3, not {kernel}x{kernel}"
    );
    assert_eq!(
        numbers.len(),
        expected,
        "weights of {outputs} x {inputs} x {kernel} x {kernel}"
    );
    assert!(
        form != Form::Geglu || outputs % 2 == 0,
        "as many gates as values, not {outputs} rows"
    );
    let around = form == Form::Upsample || form.filtering_step().is_some();
    assert!(
        !around || kernel == 3,
        "{form:?} is for 3x3 kernels, not {kernel}x{kernel}"
    );
    if let Form::Winograd { tile } = form {
        assert!(
            tile == 2 || tile == 4,
            "output tiles are 2x2 or 4x4, not {tile}x{tile}"
        );
    }
    assert!(
        form.filtering_step().is_none() || precision != Precision::Int8,
        "minimal filtering is not exact enough for bytes"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINOGRAD: [Form; 2] = [Form::Winograd { tile: 2 }, Form::Winograd { tile: 4 }];

    fn fastest(channels: usize, upsample: bool, side: impl Into<Option<usize>>) -> Form {
        let shape = WeightShape {
            outputs: channels,
            inputs: channels,
            kernel: 3,
        };
        Form::fastest(Isa::Scalar, shape, upsample, Precision::F32, side.into())
    }

    #[test]
    fn small_images_are_not_filtered_in_tiles_that_they_hardly_fill() {
        let [small, large] = WINOGRAD;
        for (side, form) in [(64, large), (32, large), (8, small), (4, Form::Plain)] {
            assert_eq!(fastest(240, false, side), form, "{side}");
        }
        assert_eq!(fastest(240, false, usize::MAX), large);
    }

    #[test]
    fn where_the_size_is_not_known_width_tells() {
        let [small, large] = WINOGRAD;
        assert_eq!(fastest(320, false, None), large);
        assert_eq!(fastest(1280, false, None), small);
        assert_eq!(fastest(8, false, None), Form::Plain);
        assert_eq!(fastest(8, true, None), Form::Upsample);
        assert_eq!(fastest(240, true, None), Form::Doubling);
    }
}
