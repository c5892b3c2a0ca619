//! The kernels on plain slices: row-major `f32`, parallel over rayon's global pool, no Burn.

pub mod attention;
pub mod conv;
mod features;
pub mod gemm;
mod math;
pub mod norm;
pub mod resample;

pub use features::features;
