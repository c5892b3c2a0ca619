//! Where pixels live: in the prepared copy of the input, in tiles, and in the output.

use std::ops::Range;

use crate::cpu::micro::{Order, VECTOR, VECTORS};

/// How an output pixel meets its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// 1x1.
    Point,
    /// 3x3 with padding 1.
    Around,
    /// 3x3 with padding 1, every second pixel.
    Halved,
    /// 3x3 with padding 1 on the doubled image.
    Doubled,
}

/// Extents of the input and of one convolution over it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extents {
    pub batch: usize,
    pub channels: usize,
    pub height: usize,
    pub width: usize,
    pub reach: Reach,
}

impl Extents {
    pub(crate) fn pixels(&self) -> usize {
        self.height * self.width
    }

    /// Height and width of what tiles compute: the output, or one of its four phases if the image is doubled.
    pub(crate) fn tiled(&self) -> [usize; 2] {
        match self.reach {
            Reach::Halved => [self.height.div_ceil(2), self.width.div_ceil(2)],
            _ => [self.height, self.width],
        }
    }

    pub(crate) fn output_pixels(&self) -> usize {
        let [height, width] = self.tiled();
        height * width * if self.reach == Reach::Doubled { 4 } else { 1 }
    }

    /// Lanes of a row in a prepared image: one pixel of padding, which also ends the row before.
    pub(crate) fn stride(&self) -> usize {
        self.tiled()[1] + 1
    }
}

/// Rows `rows` of the output of image `image`, computed together.
#[derive(Clone, Debug)]
pub(crate) struct Band {
    pub image: usize,
    pub rows: Range<usize>,
    /// First lane in each group's plane.
    pub start: usize,
}

/// Consecutive valid lanes of a tile and the pixels they stand for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub image: usize,
    /// First lane of the tile.
    pub lane: usize,
    /// First pixel of the image that tiles compute.
    pub pixel: usize,
    pub length: usize,
}

impl Segment {
    /// Its parts in the rows of an image so many pixels wide.
    pub(crate) fn rows(&self, width: usize) -> impl Iterator<Item = Self> {
        let whole = *self;
        let mut done = 0;
        std::iter::from_fn(move || {
            let pixel = whole.pixel + done;
            let length = (width - pixel % width).min(whole.length - done);
            let part = Self {
                lane: whole.lane + done,
                pixel,
                length,
                ..whole
            };
            done += length;
            (length > 0).then_some(part)
        })
    }

    /// Whether both lanes and pixels go on in `next`.
    pub(crate) fn is_followed_by(&self, next: &Self) -> bool {
        self.image == next.image
            && self.lane + self.length == next.lane
            && self.pixel + self.length == next.pixel
    }
}

/// Up to three vectors of pixels, as many as are multiplied together. Places are counted in lanes of one group; of orders that
/// keep several groups of a lane beside each other, each is that many words.
#[derive(Clone, Debug)]
pub(crate) struct Tile {
    pub vectors: usize,
    /// First lane of each vector in the prepared input, before a tap's offset.
    pub sources: [usize; VECTORS],
    /// Lanes between groups.
    pub group_stride: usize,
    /// First of this tile's lanes if the lanes of all tiles are counted.
    pub lane: usize,
    pub segments: Vec<Segment>,
}

impl Tile {
    pub(crate) fn lanes(&self) -> usize {
        self.vectors * VECTOR
    }
}

/// A part of the output whose prepared input is small enough to stay in a near cache.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// Empty for [`Reach::Point`], where tiles are prepared one by one.
    pub bands: Vec<Band>,
    /// Lanes of the prepared input.
    pub prepared: usize,
    /// Lanes from a group to the next, unless tiles are prepared one by one.
    pub plane: usize,
    /// Lanes of all tiles.
    pub lanes: usize,
    pub tiles: Vec<Tile>,
}

impl Block {
    /// The same of an input with so many lanes from a group to the next.
    pub(crate) fn spread(&mut self, plane: usize) {
        self.prepared = self.prepared / self.plane * plane;
        self.plane = plane;
        for tile in &mut self.tiles {
            tile.group_stride = plane;
        }
    }
}

/// One vector before it is put into a tile.
struct Strip {
    source: usize,
    segments: Vec<Segment>,
}

/// What a block will compute.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    /// A range of the vectors of all images' pixels.
    Points(Range<usize>),
    Bands(Vec<Band>),
}

/// Cuts the output into parts of about `target` tiled pixels.
pub(crate) fn parts(extents: &Extents, target: usize) -> Vec<Part> {
    if extents.reach == Reach::Point {
        let vectors = extents.batch * extents.pixels().div_ceil(VECTOR);
        return even_parts(vectors, (vectors * VECTOR).div_ceil(target.max(VECTOR)))
            .map(Part::Points)
            .collect();
    }
    band_groups(extents.batch, extents.tiled(), target)
        .into_iter()
        .map(Part::Bands)
        .collect()
}

impl Part {
    /// For weights of so many groups in this order.
    pub(crate) fn block(&self, extents: &Extents, groups: usize, order: Order) -> Block {
        match self {
            Self::Points(vectors) => point_block(extents, groups, order, vectors.clone()),
            Self::Bands(bands) => image_block(extents, groups, order, bands.clone()),
        }
    }
}

fn point_block(extents: &Extents, groups: usize, order: Order, vectors: Range<usize>) -> Block {
    let pixels = extents.pixels();
    let each = pixels.div_ceil(VECTOR);
    let strip = |vector: usize| {
        let (image, pixel) = (vector / each, vector % each * VECTOR);
        let segments = vec![Segment {
            image,
            lane: 0,
            pixel,
            length: VECTOR.min(pixels - pixel),
        }];
        Strip {
            source: 0,
            segments,
        }
    };
    let strips: Vec<_> = vectors.map(strip).collect();
    let mut tiles = into_tiles(&strips, order.vectors());
    let lanes = tiles.iter().map(Tile::lanes).sum::<usize>();
    for tile in &mut tiles {
        tile.group_stride = tile.lanes();
        tile.sources = std::array::from_fn(|vector| tile.lane * groups + vector * VECTOR);
    }
    Block {
        bands: Vec::new(),
        prepared: lanes * groups,
        plane: 0,
        lanes,
        tiles,
    }
}

/// Bands of about `target` pixels (or tiles), grouped into blocks: small images share one, large ones are cut.
pub(crate) fn band_groups(
    batch: usize,
    [height, width]: [usize; 2],
    target: usize,
) -> Vec<Vec<Band>> {
    let bands = |image: usize, count: usize| {
        even_parts(height, count).map(move |rows| Band {
            image,
            rows,
            start: 0,
        })
    };
    let target = target.max(1);
    if height * width >= target {
        let count = (height * width).div_ceil(target);
        return (0..batch)
            .flat_map(|image| bands(image, count))
            .map(|band| vec![band])
            .collect();
    }
    let together = target / (height * width);
    even_parts(batch, batch.div_ceil(together))
        .map(|images| images.flat_map(|image| bands(image, 1)).collect())
        .collect()
}

fn image_block(extents: &Extents, groups: usize, order: Order, mut bands: Vec<Band>) -> Block {
    let [_, width] = extents.tiled();
    let stride = extents.stride();
    let mut plane = 0;
    let mut strips = Vec::new();
    for band in &mut bands {
        band.start = plane;
        plane += band_lanes(extents, band.rows.len());
        let origin = band.start
            + if extents.reach == Reach::Halved {
                0
            } else {
                stride + 1
            };
        let rows = band.rows.len();
        // A vector either stays within a row, or runs on over the padding between rows, whichever needs fewer.
        let flat = ((rows - 1) * stride + width).div_ceil(VECTOR);
        if flat < rows * width.div_ceil(VECTOR) {
            strips.extend((0..flat).map(|index| flat_strip(band, width, origin, index * VECTOR)));
        } else {
            let starts = (0..rows)
                .flat_map(|row| (0..width).step_by(VECTOR).map(move |column| (row, column)));
            strips.extend(starts.map(|(row, column)| {
                let pixel = (band.rows.start + row) * width + column;
                let length = VECTOR.min(width - column);
                let segments = vec![Segment {
                    image: band.image,
                    lane: 0,
                    pixel,
                    length,
                }];
                Strip {
                    source: origin + row * stride + column,
                    segments,
                }
            }));
        }
    }
    let plane = odd_lines(plane);
    let mut tiles = into_tiles(&strips, order.vectors());
    for tile in &mut tiles {
        tile.group_stride = plane;
    }
    let lanes = tiles.iter().map(Tile::lanes).sum();
    Block {
        bands,
        prepared: plane * groups,
        plane,
        lanes,
        tiles,
    }
}

/// An odd number of cache lines for so many lanes: planes a multiple of 4 KiB apart, when the same lane of many is accessed together, would
/// share a few sets of the caches.
pub(crate) fn odd_lines(lanes: usize) -> usize {
    let lines = lanes.div_ceil(VECTOR);
    (lines + usize::from(lines.is_multiple_of(2))) * VECTOR
}

/// Lanes of a band in a plane: its rows with the ones above and below (for each phase if the image is halved), and what
/// the last vector reads beyond them.
fn band_lanes(extents: &Extents, rows: usize) -> usize {
    let stride = extents.stride();
    let image = match extents.reach {
        Reach::Halved => 4 * (rows + 1) * stride,
        _ => (rows + 2) * stride,
    };
    image + 1 + VECTOR
}

/// The vector that starts `start` lanes after the band's first pixel.
fn flat_strip(band: &Band, width: usize, origin: usize, start: usize) -> Strip {
    let stride = width + 1;
    let mut segments: Vec<Segment> = Vec::new();
    let mut lane = 0;
    while lane < VECTOR && (start + lane) / stride < band.rows.len() {
        let (row, column) = ((start + lane) / stride, (start + lane) % stride);
        let length = width.saturating_sub(column).min(VECTOR - lane);
        if length > 0 {
            let pixel = (band.rows.start + row) * width + column;
            segments.push(Segment {
                image: band.image,
                lane,
                pixel,
                length,
            });
        }
        lane += stride - column;
    }
    Strip {
        source: origin + start,
        segments,
    }
}

/// Deals vectors to as few tiles as possible, of nearly equal size up to `widest` vectors.
fn into_tiles(strips: &[Strip], widest: usize) -> Vec<Tile> {
    let mut lane = 0;
    even_parts(strips.len(), strips.len().div_ceil(widest))
        .map(|range| {
            let strips = &strips[range];
            let sources =
                std::array::from_fn(|vector| strips.get(vector).map_or(0, |strip| strip.source));
            let mut segments: Vec<Segment> = Vec::new();
            for (vector, strip) in strips.iter().enumerate() {
                for &segment in &strip.segments {
                    let segment = Segment {
                        lane: segment.lane + vector * VECTOR,
                        ..segment
                    };
                    match segments.last_mut() {
                        Some(last) if last.is_followed_by(&segment) => {
                            last.length += segment.length
                        }
                        _ => segments.push(segment),
                    }
                }
            }
            let tile = Tile {
                vectors: strips.len(),
                sources,
                group_stride: 0,
                lane,
                segments,
            };
            lane += tile.lanes();
            tile
        })
        .collect()
}

/// `length` things in `count` ranges whose lengths differ by at most one.
pub(crate) fn even_parts(length: usize, count: usize) -> impl Iterator<Item = Range<usize>> {
    let count = count.min(length);
    (0..count).map(move |part| part * length / count..(part + 1) * length / count)
}
