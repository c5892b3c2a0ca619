//! The types of numbers.

/// What the numbers of a tensor are stored as, always little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
// The names of ggml, which everyone knows them by.
#[allow(non_camel_case_types)]
pub enum ElementType {
    /// 64-bit IEEE 754.
    F64,
    /// 32-bit IEEE 754.
    F32,
    /// 16-bit IEEE 754: 5 bits of exponent, 10 of mantissa.
    F16,
    /// The upper half of an `F32`.
    Bf16,
    /// Signed, 64 bits.
    I64,
    /// Signed, 32 bits.
    I32,
    /// Signed, 16 bits.
    I16,
    /// Signed, 8 bits.
    I8,
    /// Unsigned, 64 bits.
    U64,
    /// Unsigned, 32 bits.
    U32,
    /// Unsigned, 16 bits.
    U16,
    /// Unsigned, 8 bits.
    U8,
    /// One byte, 0 or 1.
    Bool,
    /// 8 bits: 4 of exponent, 3 of mantissa, no infinities (PyTorch's `float8_e4m3fn`).
    F8E4M3,
    /// 8 bits: 5 of exponent, 2 of mantissa.
    F8E5M2,
    /// Blocks of 32 8-bit integers with a scale.
    Q8_0,
    /// Blocks of 32 4-bit integers from -8 with a scale.
    Q4_0,
    /// Blocks of 32 4-bit integers from 0 with a scale and a minimum.
    Q4_1,
    /// Blocks of 32 5-bit integers from -16 with a scale.
    Q5_0,
    /// Blocks of 32 5-bit integers from 0 with a scale and a minimum.
    Q5_1,
    /// Two `F32`, a complex number.
    C64,
    /// 8 bits of exponent alone.
    F8E8M0,
    /// As `F8E4M3`, with another bias and no negative zero.
    F8E4M3Fnuz,
    /// As `F8E5M2`, with another bias, no infinities and no negative zero.
    F8E5M2Fnuz,
    /// 6 bits: 2 of exponent, 3 of mantissa.
    F6E2M3,
    /// 6 bits: 3 of exponent, 2 of mantissa.
    F6E3M2,
    /// 4 bits.
    F4,
}

impl ElementType {
    /// Name as in safetensors or GGUF.
    pub fn name(self) -> &'static str {
        match self {
            Self::F64 => "F64",
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::I64 => "I64",
            Self::I32 => "I32",
            Self::I16 => "I16",
            Self::I8 => "I8",
            Self::U64 => "U64",
            Self::U32 => "U32",
            Self::U16 => "U16",
            Self::U8 => "U8",
            Self::Bool => "BOOL",
            Self::F8E4M3 => "F8_E4M3",
            Self::F8E5M2 => "F8_E5M2",
            Self::Q8_0 => "Q8_0",
            Self::Q4_0 => "Q4_0",
            Self::Q4_1 => "Q4_1",
            Self::Q5_0 => "Q5_0",
            Self::Q5_1 => "Q5_1",
            Self::C64 => "C64",
            Self::F8E8M0 => "F8_E8M0",
            Self::F8E4M3Fnuz => "F8_E4M3FNUZ",
            Self::F8E5M2Fnuz => "F8_E5M2FNUZ",
            Self::F6E2M3 => "F6_E2M3",
            Self::F6E3M2 => "F6_E3M2",
            Self::F4 => "F4",
        }
    }

    /// The least that can be stored: so many numbers in so many bytes.
    pub fn block(self) -> (usize, usize) {
        match self {
            Self::F64 | Self::I64 | Self::U64 | Self::C64 => (1, 8),
            Self::F32 | Self::I32 | Self::U32 => (1, 4),
            Self::F16 | Self::Bf16 | Self::I16 | Self::U16 => (1, 2),
            Self::I8 | Self::U8 | Self::Bool => (1, 1),
            Self::F8E4M3 | Self::F8E5M2 | Self::F8E8M0 => (1, 1),
            Self::F8E4M3Fnuz | Self::F8E5M2Fnuz => (1, 1),
            Self::Q8_0 => (32, 34),
            Self::Q4_0 => (32, 18),
            Self::Q4_1 => (32, 20),
            Self::Q5_0 => (32, 22),
            Self::Q5_1 => (32, 24),
            Self::F6E2M3 | Self::F6E3M2 => (4, 3),
            Self::F4 => (2, 1),
        }
    }

    /// Whether [`Self::decode`] reads it: floats of 64, 32, 16 and the common ones of 8 bits, and blocks.
    pub fn is_float(self) -> bool {
        matches!(
            self,
            Self::F64
                | Self::F32
                | Self::F16
                | Self::Bf16
                | Self::F8E4M3
                | Self::F8E5M2
                | Self::Q8_0
                | Self::Q4_0
                | Self::Q4_1
                | Self::Q5_0
                | Self::Q5_1
        )
    }

    /// Bytes of `count` numbers, if they fill whole blocks and the product exists.
    pub(crate) fn bytes_of(self, count: usize) -> Option<usize> {
        let (elements, bytes) = self.block();
        if count.is_multiple_of(elements) {
            (count / elements).checked_mul(bytes)
        } else {
            None
        }
    }
}

/// How many numbers a tensor of `shape` has.
pub(crate) fn count(shape: &[usize]) -> Option<usize> {
    // A dimension of 0 must not hide that the others overflow, which would trip whoever multiplies in another order.
    let rest = shape.iter().filter(|&&d| d != 0);
    let count = rest.copied().try_fold(1, usize::checked_mul)?;
    Some(if shape.contains(&0) { 0 } else { count })
}
