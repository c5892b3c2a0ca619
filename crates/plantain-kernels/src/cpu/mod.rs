//! CPU kernels of diffusion networks: convolutions and linear layers over channel-major activations.

pub mod attention;
pub mod chain;
pub mod convolve;
pub mod isa;
pub mod norm;
pub mod packed;
pub mod precision;
pub mod scratch;
pub mod upsample;

mod driver;
mod epilogue;
mod fill;
mod geometry;
mod math;
mod micro;
mod parallel;
mod prepare;
mod prologue;
mod simd;
mod winograd;
