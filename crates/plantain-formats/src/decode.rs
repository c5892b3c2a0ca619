//! Stored numbers as f32.

use half::f16;
use half::slice::HalfFloatSliceExt;

use crate::ElementType;

impl ElementType {
    /// Decodes numbers from whole blocks in `bytes`, of any alignment, and says whether it could: not if the type is none
    /// of floats ([`Self::is_float`]), and not if `bytes` are not just what `values` take.
    ///
    /// Blocks are those of ggml (`ggml-quants.c`); `F64` is rounded.
    pub fn decode(self, bytes: &[u8], values: &mut [f32]) -> bool {
        if self.bytes_of(values.len()) != Some(bytes.len()) {
            return false;
        }
        match self {
            Self::F64 => each(bytes, values, |b| f64::from_le_bytes(b) as f32),
            Self::F32 => each(bytes, values, f32::from_le_bytes),
            Self::F16 => halves(bytes, values),
            Self::Bf16 => each(bytes, values, |[low, high]| {
                f32::from_le_bytes([0, 0, low, high])
            }),
            Self::F8E4M3 => each(bytes, values, |[b]| e4m3(b)),
            // The upper half of an `F16`.
            Self::F8E5M2 => each(bytes, values, |[b]| f16::from_le_bytes([0, b]).to_f32()),
            Self::Q8_0 => blocks(bytes, values, q8_0),
            Self::Q4_0 => blocks(bytes, values, q4_0),
            Self::Q4_1 => blocks(bytes, values, q4_1),
            Self::Q5_0 => blocks(bytes, values, q5_0),
            Self::Q5_1 => blocks(bytes, values, q5_1),
            _ => return false,
        }
        true
    }
}

fn each<const N: usize>(bytes: &[u8], values: &mut [f32], decode: impl Fn([u8; N]) -> f32) {
    for (value, bytes) in values.iter_mut().zip(bytes.as_chunks().0) {
        *value = decode(*bytes);
    }
}

/// Many halves at once, for which there are instructions.
fn halves(bytes: &[u8], values: &mut [f32]) {
    const BATCH: usize = 512;
    let mut batch = [f16::ZERO; BATCH];
    for (values, bytes) in values.chunks_mut(BATCH).zip(bytes.chunks(2 * BATCH)) {
        let batch = &mut batch[..values.len()];
        for (half, bytes) in batch.iter_mut().zip(bytes.as_chunks().0) {
            *half = f16::from_le_bytes(*bytes);
        }
        batch.convert_to_f32_slice(values);
    }
}

fn e4m3(byte: u8) -> f32 {
    let (exponent, mantissa) = (byte >> 3 & 15, byte & 7);
    let magnitude = match (exponent, mantissa) {
        (15, 7) => f32::NAN,
        (0, _) => f32::from(mantissa) / 512.0,
        // The exponent's bias is 7, that of an f32 127.
        _ => f32::from_bits((u32::from(exponent) + 120) << 23 | u32::from(mantissa) << 20),
    };
    if byte & 0x80 == 0 {
        magnitude
    } else {
        -magnitude
    }
}

fn blocks<const N: usize>(
    bytes: &[u8],
    values: &mut [f32],
    decode: impl Fn(&[u8; N], &mut [f32; 32]),
) {
    let (values, _) = values.as_chunks_mut();
    for (values, block) in values.iter_mut().zip(bytes.as_chunks().0) {
        decode(block, values);
    }
}

/// The `index`th half of a block.
fn half(block: &[u8], index: usize) -> f32 {
    f16::from_le_bytes([block[2 * index], block[2 * index + 1]]).to_f32()
}

fn q8_0(block: &[u8; 34], values: &mut [f32; 32]) {
    let scale = half(block, 0);
    for (value, &q) in values.iter_mut().zip(&block[2..]) {
        *value = f32::from(q as i8) * scale;
    }
}

/// Sixteen bytes of two numbers each: low nibbles are the first half of a block, high nibbles the second.
fn nibbles(packed: &[u8], values: &mut [f32; 32], number: impl Fn(u8, usize) -> f32) {
    for (i, &byte) in packed.iter().enumerate() {
        values[i] = number(byte & 15, i);
        values[i + 16] = number(byte >> 4, i + 16);
    }
}

fn q4_0(block: &[u8; 18], values: &mut [f32; 32]) {
    let scale = half(block, 0);
    nibbles(&block[2..], values, |q, _| (f32::from(q) - 8.0) * scale);
}

fn q4_1(block: &[u8; 20], values: &mut [f32; 32]) {
    let (scale, minimum) = (half(block, 0), half(block, 1));
    nibbles(&block[4..], values, |q, _| f32::from(q) * scale + minimum);
}

/// The number whose fifth bits are bit `i` of the four bytes from `at`.
fn fifth_bits(block: &[u8], at: usize) -> impl Fn(u8, usize) -> f32 {
    let bits = u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]]);
    move |q, i| f32::from(q | ((bits >> i & 1) as u8) << 4)
}

fn q5_0(block: &[u8; 22], values: &mut [f32; 32]) {
    let scale = half(block, 0);
    let number = fifth_bits(block, 2);
    nibbles(&block[6..], values, |q, i| (number(q, i) - 16.0) * scale);
}

fn q5_1(block: &[u8; 24], values: &mut [f32; 32]) {
    let (scale, minimum) = (half(block, 0), half(block, 1));
    let number = fifth_bits(block, 4);
    nibbles(&block[8..], values, |q, i| number(q, i) * scale + minimum);
}
