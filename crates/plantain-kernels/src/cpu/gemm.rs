//! Matrix products: the `gemm` crate behind a safe function that checks every extent.

use gemm::Parallelism;

/// A matrix inside a slice: element `(r, c)` is at `r * row_stride + c * col_stride`.
#[derive(Debug, Clone, Copy)]
pub struct MatRef<'a> {
    /// The slice the matrix lies in.
    pub data: &'a [f32],
    /// Distance between vertical neighbours, in elements.
    pub row_stride: usize,
    /// Distance between horizontal neighbours, in elements.
    pub col_stride: usize,
}

/// Whether a product may use all threads, or only the one that calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// Only the calling thread.
    One,
    /// All threads of rayon's global pool.
    All,
}

/// `out = lhs rhs`, or `out += lhs rhs` with `accumulate`.
///
/// # Shapes
/// - `lhs`: `[m, k]`, `rhs`: `[k, n]`
/// - `out`: `[m, n]`, its rows `out_row_stride` elements apart
///
/// # Panics
/// When a matrix does not lie within its slice, or rows of `out` overlap.
#[allow(clippy::too_many_arguments)]
pub fn product(
    [m, n, k]: [usize; 3],
    out: &mut [f32],
    out_row_stride: usize,
    accumulate: bool,
    lhs: MatRef<'_>,
    rhs: MatRef<'_>,
    scale: f32,
    threads: Threads,
) {
    if m == 0 || n == 0 {
        return;
    }
    // Index of the last element; the sum must not wrap, or the checks below would mean nothing.
    let last = |rows: usize, cols: usize, row_stride: usize, col_stride: usize| {
        let row = (rows - 1).checked_mul(row_stride);
        let col = (cols - 1).checked_mul(col_stride);
        row.zip(col)
            .and_then(|(row, col)| row.checked_add(col))
            .expect("the extent of a matrix overflows")
    };
    assert!(n <= out_row_stride || m == 1, "rows of `out` overlap");
    assert!(last(m, n, out_row_stride, 1) < out.len(), "`out` too short");
    if k > 0 {
        assert!(
            last(m, k, lhs.row_stride, lhs.col_stride) < lhs.data.len(),
            "`lhs` too short"
        );
        assert!(
            last(k, n, rhs.row_stride, rhs.col_stride) < rhs.data.len(),
            "`rhs` too short"
        );
    }
    let parallelism = match threads {
        Threads::One => Parallelism::None,
        Threads::All => Parallelism::Rayon(0),
    };
    // SAFETY: the assertions above keep every element that the strides address within its slice,
    // and `out`, a mutable borrow with rows that do not overlap, aliases nothing.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            out_row_stride as isize,
            accumulate,
            lhs.data.as_ptr(),
            lhs.col_stride as isize,
            lhs.row_stride as isize,
            rhs.data.as_ptr(),
            rhs.col_stride as isize,
            rhs.row_stride as isize,
            1.0,
            scale,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// `x weightᵀ + bias` for each row of `x`.
///
/// # Shapes
/// - `x`: `[rows, in_features]`
/// - `weight`: `[out_features, in_features]`
/// - `bias`: `[out_features]`
/// - result: `[rows, out_features]`
pub fn linear(
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    in_features: usize,
    out_features: usize,
) -> Vec<f32> {
    let rows = x.len() / in_features;
    let mut out = match bias {
        Some(bias) => bias.repeat(rows),
        None => vec![0.0; rows * out_features],
    };
    product(
        [rows, out_features, in_features],
        &mut out,
        out_features,
        bias.is_some(),
        MatRef {
            data: x,
            row_stride: in_features,
            col_stride: 1,
        },
        MatRef {
            data: weight,
            row_stride: 1,
            col_stride: in_features,
        },
        1.0,
        Threads::All,
    );
    out
}
