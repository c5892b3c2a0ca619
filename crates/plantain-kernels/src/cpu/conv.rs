//! Convolution as a matrix product over columns gathered from the picture (im2col).

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;

use super::gemm::{MatRef, Threads, product};

/// Columns gathered at a time, in elements: 8 MiB, which stays within a desktop's last-level cache.
const COLUMN_ELEMENTS: usize = 2 << 20;

thread_local! {
    // Kept between calls: fresh memory of this size costs a page fault every 4 KiB.
    static COLUMNS: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Shape of a two-dimensional convolution, NCHW.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct ConvShape {
    pub batch: usize,
    pub in_channels: usize,
    pub out_channels: usize,
    pub height: usize,
    pub width: usize,
    pub kernel_height: usize,
    pub kernel_width: usize,
    pub stride: usize,
    pub padding: usize,
}

impl ConvShape {
    /// Rows of the result.
    pub fn out_height(&self) -> usize {
        (self.height + 2 * self.padding - self.kernel_height) / self.stride + 1
    }

    /// Columns of the result.
    pub fn out_width(&self) -> usize {
        (self.width + 2 * self.padding - self.kernel_width) / self.stride + 1
    }

    fn is_pointwise(&self) -> bool {
        self.kernel_height == 1 && self.kernel_width == 1 && self.stride == 1 && self.padding == 0
    }
}

/// Convolution with zero padding.
///
/// # Shapes
/// - `x`: `[batch, in_channels, height, width]`
/// - `weight`: `[out_channels, in_channels, kernel_height, kernel_width]`
/// - `bias`: `[out_channels]`
/// - result: `[batch, out_channels, out_height, out_width]`
///
/// # Panics
/// When a slice is shorter than `shape` says, or the kernel is larger than the padded picture.
pub fn conv2d(x: &[f32], weight: &[f32], bias: Option<&[f32]>, shape: &ConvShape) -> Vec<f32> {
    let pixels = shape.out_height() * shape.out_width();
    let depth = shape.in_channels * shape.kernel_height * shape.kernel_width;
    let mut out = vec![0.0; shape.batch * shape.out_channels * pixels];
    if out.is_empty() {
        return out;
    }
    if let Some(bias) = bias {
        for (row, bias) in out.chunks_exact_mut(pixels).zip(bias.iter().cycle()) {
            row.fill(*bias);
        }
    }
    let weight = MatRef {
        data: weight,
        row_stride: depth,
        col_stride: 1,
    };
    let images = x.chunks_exact(shape.in_channels * shape.height * shape.width);
    for (image, out) in images.zip(out.chunks_exact_mut(shape.out_channels * pixels)) {
        if shape.is_pointwise() {
            let columns = MatRef {
                data: image,
                row_stride: pixels,
                col_stride: 1,
            };
            let size = [shape.out_channels, pixels, depth];
            product(
                size,
                out,
                pixels,
                bias.is_some(),
                weight,
                columns,
                1.0,
                Threads::All,
            );
        } else {
            convolve_image(image, weight, bias.is_some(), shape, out);
        }
    }
    out
}

/// One image, a tile of output pixels at a time.
fn convolve_image(
    image: &[f32],
    weight: MatRef<'_>,
    has_bias: bool,
    shape: &ConvShape,
    out: &mut [f32],
) {
    let pixels = shape.out_height() * shape.out_width();
    let depth = weight.row_stride;
    let tile = (COLUMN_ELEMENTS / depth).clamp(64, pixels.max(64));
    // Taken, not borrowed: while this thread waits for others, rayon may give it another convolution.
    let mut scratch = COLUMNS.take();
    for start in (0..pixels).step_by(tile) {
        let range = start..pixels.min(start + tile);
        let len = range.len();
        if scratch.len() < depth * len {
            scratch.resize(depth * len, 0.0);
        }
        let columns = &mut scratch[..depth * len];
        gather(image, shape, range, columns);
        let columns = MatRef {
            data: columns,
            row_stride: len,
            col_stride: 1,
        };
        product(
            [shape.out_channels, len, depth],
            &mut out[start..],
            pixels,
            has_bias,
            weight,
            columns,
            1.0,
            Threads::All,
        );
    }
    COLUMNS.set(scratch);
}

/// Writes the columns of the output pixels `range`: row `(channel, ky, kx)` of `columns` holds, for
/// each of these pixels, the input pixel that this weight meets.
fn gather(image: &[f32], shape: &ConvShape, range: Range<usize>, columns: &mut [f32]) {
    let taps = shape.kernel_height * shape.kernel_width;
    columns
        .par_chunks_exact_mut(range.len())
        .with_min_len(taps)
        .enumerate()
        .for_each(|(row, out)| {
            let (channel, tap) = (row / taps, row % taps);
            let plane =
                &image[channel * shape.height * shape.width..][..shape.height * shape.width];
            let (ky, kx) = (tap / shape.kernel_width, tap % shape.kernel_width);
            gather_tap(plane, shape, ky, kx, range.clone(), out);
        });
}

/// One row of [`gather`]: output row by output row, borders as zeros.
fn gather_tap(
    plane: &[f32],
    shape: &ConvShape,
    ky: usize,
    kx: usize,
    range: Range<usize>,
    mut out: &mut [f32],
) {
    let (out_width, width, stride) = (shape.out_width(), shape.width, shape.stride);
    // Output columns [first, end) meet the picture; the others meet its padding.
    let first = shape.padding.saturating_sub(kx).div_ceil(stride);
    let end = (width + shape.padding - kx.min(width + shape.padding))
        .div_ceil(stride)
        .clamp(first.min(out_width), out_width);
    let mut pixel = range.start;
    while pixel < range.end {
        let (oy, ox) = (pixel / out_width, pixel % out_width);
        let len = (out_width - ox).min(range.end - pixel);
        let (line, rest) = out.split_at_mut(len);
        let (from, to) = (first.clamp(ox, ox + len), end.clamp(ox, ox + len));
        match (oy * stride + ky).checked_sub(shape.padding) {
            Some(y) if y < shape.height && from < to => {
                let source = &plane[y * width..][..width];
                let x0 = from * stride + kx - shape.padding;
                line[..from - ox].fill(0.0);
                line[to - ox..].fill(0.0);
                let middle = &mut line[from - ox..to - ox];
                if stride == 1 {
                    middle.copy_from_slice(&source[x0..x0 + middle.len()]);
                } else {
                    for (value, x) in middle.iter_mut().zip(source[x0..].iter().step_by(stride)) {
                        *value = *x;
                    }
                }
            }
            _ => line.fill(0.0),
        }
        out = rest;
        pixel += len;
    }
}
