//! Float types that weights are stored as, and conversion between them.

use std::fmt;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use plantain_formats::ElementType;
use serde::{Deserialize, Serialize};

/// Types that weights may be stored as.
///
/// ```
/// use plantain_weights::FloatType;
///
/// assert!(FloatType::F16 < FloatType::Bf16);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FloatType {
    /// 32-bit IEEE 754.
    F32,
    /// 16-bit IEEE 754: 11 significant bits, up to 65504.
    F16,
    /// The upper half of an `F32`: 8 significant bits, the same range.
    Bf16,
}

impl FloatType {
    /// Bytes of one number.
    ///
    /// ```
    /// assert_eq!(plantain_weights::FloatType::Bf16.size(), 2);
    /// ```
    pub fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// Name as in safetensors headers.
    ///
    /// ```
    /// assert_eq!(plantain_weights::FloatType::Bf16.name(), "BF16");
    /// ```
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
        }
    }

    pub(crate) fn of(dtype: ElementType) -> Option<Self> {
        match dtype {
            ElementType::F32 => Some(Self::F32),
            ElementType::F16 => Some(Self::F16),
            ElementType::Bf16 => Some(Self::Bf16),
            _ => None,
        }
    }

    /// The type that numbers stored as `dtype` are kept as: blocks of quantised numbers have scales in `F16`.
    pub(crate) fn keeping(dtype: ElementType) -> Option<Self> {
        match dtype {
            ElementType::F64 => Some(Self::F32),
            dtype if dtype.is_float() => Some(Self::of(dtype).unwrap_or(Self::F16)),
            _ => None,
        }
    }

    /// `bytes` (of any alignment) as `out.len()` numbers.
    pub(crate) fn decode(self, bytes: &[u8], out: &mut [f32]) {
        let element = match self {
            Self::F32 => ElementType::F32,
            Self::F16 => ElementType::F16,
            Self::Bf16 => ElementType::Bf16,
        };
        element.decode(bytes, out);
    }

    /// Whether none of the numbers in `bytes` is infinite or not a number: no exponent is all ones.
    pub(crate) fn all_finite(self, bytes: &[u8]) -> bool {
        let halves = |exponent: u16| {
            let halves = bytes
                .as_chunks()
                .0
                .iter()
                .map(|half| u16::from_le_bytes(*half));
            halves.fold(true, |finite, half| finite & (half & exponent != exponent))
        };
        match self {
            Self::F32 => {
                let words = bytes
                    .as_chunks()
                    .0
                    .iter()
                    .map(|word| u32::from_le_bytes(*word));
                words.fold(true, |finite, word| {
                    finite & (word & 0x7F80_0000 != 0x7F80_0000)
                })
            }
            Self::F16 => halves(0x7C00),
            Self::Bf16 => halves(0x7F80),
        }
    }

    pub(crate) fn encode(self, values: &[f32], out: &mut [u8]) {
        match self {
            Self::F32 => {
                for (out, value) in out.as_chunks_mut().0.iter_mut().zip(values) {
                    *out = value.to_le_bytes();
                }
            }
            Self::F16 => encode_half(values, out, f16::to_le_bytes),
            Self::Bf16 => encode_half(values, out, bf16::to_le_bytes),
        }
    }
}

impl fmt::Display for FloatType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Numbers converted at once through the stack: bytes of a file have no alignment.
const BLOCK: usize = 512;
/// Numbers one thread converts at a time.
pub(crate) const CHUNK: usize = 64 * BLOCK;

fn encode_half<T: Copy + Default>(values: &[f32], out: &mut [u8], write: impl Fn(T) -> [u8; 2])
where
    [T]: HalfFloatSliceExt,
{
    let mut block = [T::default(); BLOCK];
    for (out, values) in out.chunks_mut(2 * BLOCK).zip(values.chunks(BLOCK)) {
        let block = &mut block[..values.len()];
        block.convert_from_f32_slice(values);
        for (out, half) in out.as_chunks_mut().0.iter_mut().zip(&*block) {
            *out = write(*half);
        }
    }
}

/// Whether no value is NaN or infinite. Without a branch, so that it is computed many at a time.
pub(crate) fn is_finite(values: &[f32]) -> bool {
    values.iter().fold(true, |all, v| all & v.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(stored: FloatType, values: &[f32]) -> Vec<f32> {
        let mut bytes = vec![0; values.len() * stored.size() + 1];
        stored.encode(values, &mut bytes[1..]);
        let mut back = vec![0.0; values.len()];
        stored.decode(&bytes[1..], &mut back);
        back
    }

    #[test]
    fn float_types_round_trip_from_unaligned_bytes() {
        let values: Vec<f32> = (0..1500).map(|i| (i as f32 - 700.0) / 64.0).collect();
        assert_eq!(round_trip(FloatType::F32, &values), values);
        assert_eq!(round_trip(FloatType::F16, &values), values);
        for (back, value) in round_trip(FloatType::Bf16, &values).iter().zip(&values) {
            assert!((back - value).abs() <= value.abs() / 256.0);
        }
    }
}
