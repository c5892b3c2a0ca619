//! The number formats that products are computed in. Activations enter and leave every kernel as f32.

/// What a convolution multiplies in; sums are f32 (i32 for [`Precision::Int8`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Precision {
    /// Single precision.
    F32,
    /// bfloat16 operands, rounded to nearest even.
    Bf16,
    /// Signed bytes with a scale per output channel times unsigned bytes (zero point 128) with a scale per pixel for
    /// 1x1 kernels and per image otherwise.
    Int8,
}

impl Precision {
    /// How many input channels share one 32-bit lane.
    pub(crate) fn channels_per_lane(self) -> usize {
        match self {
            Self::F32 => 1,
            Self::Bf16 => 2,
            Self::Int8 => 4,
        }
    }
}
