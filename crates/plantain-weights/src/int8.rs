//! Weights as 8-bit integers with a scale per output channel.

use std::borrow::Cow;

use plantain_formats::ElementType;
use rayon::prelude::*;

use crate::error::ScaleProblem;
use crate::float::{FloatType, is_finite};
use crate::tensor::{TensorRef, ValueError};

/// Name of the scales of the weight `weight`.
pub(crate) fn scales_name(weight: &str) -> String {
    format!("{weight}{SUFFIX}")
}

/// The weight whose scales would be called `name`.
pub(crate) fn weight_of(name: &str) -> Option<&str> {
    name.strip_suffix(SUFFIX)
}

const SUFFIX: &str = "_scale";

/// The scales of a weight, as they lie in a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StoredScales<'a> {
    pub(crate) shape: &'a [usize],
    pub(crate) dtype: ElementType,
    pub(crate) bytes: &'a [u8],
}

impl StoredScales<'_> {
    /// One scale for each of `rows` output channels.
    fn read(self, rows: usize) -> Result<Vec<f32>, ScaleProblem> {
        if self.shape != [rows] {
            let found = self.shape.to_vec();
            return Err(ScaleProblem::Misshaped { found });
        }
        let stored = FloatType::of(self.dtype).filter(|stored| *stored != FloatType::Bf16);
        let stored = stored.ok_or_else(|| ScaleProblem::NotFloat {
            dtype: self.dtype.name().to_string(),
        })?;
        let mut scales = vec![0.0; rows];
        stored.decode(self.bytes, &mut scales);
        if is_finite(&scales) && scales.iter().all(|scale| *scale > 0.0) {
            Ok(scales)
        } else {
            Err(ScaleProblem::NotPositive)
        }
    }
}

/// A weight as 8-bit integers, symmetric per output channel:
/// `weight[o, ..] = values[o, ..] * scales[o]`.
#[derive(Debug)]
pub(crate) struct Int8Weight<'a> {
    /// `[out, ..]`, row-major.
    pub(crate) values: Cow<'a, [i8]>,
    /// `[out]`, each finite and above 0.
    pub(crate) scales: Vec<f32>,
}

impl<'a> Int8Weight<'a> {
    /// A weight `[rows, ..]` as it is stored.
    pub(crate) fn stored(
        bytes: &'a [u8],
        rows: usize,
        scales: Option<StoredScales<'_>>,
    ) -> Result<Self, ValueError> {
        let scales = scales.ok_or(ScaleProblem::Missing);
        let scales = scales.and_then(|scales| scales.read(rows));
        Ok(Self {
            values: Cow::Borrowed(bytemuck::cast_slice(bytes)),
            scales: scales.map_err(|problem| ValueError::Scales { rows, problem })?,
        })
    }

    /// The nearest to `weight`, `[rows, ..]`, with the largest magnitude of each row as 127; halves
    /// go to the even integer.
    pub(crate) fn nearest(weight: &[f32], rows: usize) -> Result<Self, ValueError> {
        let length = weight.len().checked_div(rows).unwrap_or(0);
        let row = |index: usize| &weight[index * length..(index + 1) * length];
        let scales: Vec<f32> = (0..rows).into_par_iter().map(|i| scale(row(i))).collect();
        if scales.iter().any(|scale| (LARGEST * scale).is_infinite()) {
            return Err(ValueError::OutOfRange { dtype: "int8" });
        }
        let mut values = vec![0; weight.len()];
        values
            .par_chunks_mut(length.max(1))
            .zip(weight.par_chunks(length.max(1)).zip(&scales))
            .for_each(|(values, (weight, scale))| {
                for (value, weight) in values.iter_mut().zip(weight) {
                    let steps = f64::from(*weight) / f64::from(*scale);
                    *value = steps.round_ties_even() as i8;
                }
            });
        Ok(Self {
            values: Cow::Owned(values),
            scales,
        })
    }

    /// Whether even the integer of the largest magnitude stands for a finite number in every row: then none of them needs to be
    /// looked at.
    pub(crate) fn is_finite_whatever_its_integers(&self) -> bool {
        let mut scales = self.scales.iter();
        scales.all(|scale| (f32::from(i8::MIN) * scale).is_finite())
    }

    /// The numbers it stands for.
    pub(crate) fn to_f32(&self) -> Vec<f32> {
        let length = self.values.len().checked_div(self.scales.len());
        let length = length.unwrap_or(0).max(1);
        let mut weight = vec![0.0; self.values.len()];
        weight
            .par_chunks_mut(length)
            .zip(self.values.par_chunks(length).zip(&self.scales))
            .for_each(|(weight, (values, scale))| {
                for (weight, value) in weight.iter_mut().zip(values) {
                    *weight = f32::from(*value) * scale;
                }
            });
        weight
    }

    /// Its integers as bytes.
    pub(crate) fn into_bytes(self) -> Cow<'a, [u8]> {
        match self.values {
            Cow::Borrowed(values) => Cow::Borrowed(bytemuck::cast_slice(values)),
            Cow::Owned(values) => values.into_iter().map(i8::cast_unsigned).collect(),
        }
    }
}

const LARGEST: f32 = 127.0;

/// The scale of a row. One of nothing but zeros, or of numbers so small that their scale would not
/// hold all of its digits, becomes all zeros.
fn scale(row: &[f32]) -> f32 {
    let scale = row.iter().fold(0f32, |most, w| most.max(w.abs())) / LARGEST;
    if scale.is_normal() { scale } else { 1.0 }
}

/// Whether the weight `name` bears 8 bits: the convolutions and linear layers of the UNets and the
/// text encoder do. What is small and decides about every pixel does not: their ends, their
/// embeddings, what the refiner has beside its UNet, and the decoder.
pub(crate) fn suits(name: &str, tensor: TensorRef<'_>) -> bool {
    const LARGE: [&str; 2] = ["unet.", "text_encoder."];
    const DELICATE: [&str; 5] = [
        "unet.conv_in.",
        "unet.conv_out.",
        "unet.time_embedding.",
        "unet.class_embedding.",
        "text_encoder.embeddings.",
    ];
    // A refiner's UNet is treated as the other.
    let within = name.strip_prefix("refiner.").unwrap_or(name);
    let starts = |parts: &[&str]| parts.iter().any(|part| within.starts_with(part));
    name.ends_with(".weight")
        && matches!(tensor.shape.len(), 2 | 4)
        && starts(&LARGE)
        && !starts(&DELICATE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Numbers from the smallest to nearly the largest.
    fn weights() -> impl Strategy<Value = f32> {
        prop_oneof![
            -2f32..2.0,
            any::<f32>().prop_map(|w| if w.is_finite() { w / 2.0 } else { 0.0 }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_number_moves_by_more_than_half_a_step(
            weight in (1usize..5, 0usize..40).prop_flat_map(|(rows, length)| {
                (Just(rows), prop::collection::vec(weights(), rows * length))
            }),
        ) {
            let (rows, weight) = weight;
            let int8 = Int8Weight::nearest(&weight, rows).unwrap();
            prop_assert_eq!(int8.scales.len(), rows);
            prop_assert!(int8.scales.iter().all(|s| s.is_finite() && *s > 0.0));
            let length = weight.len() / rows;
            for (i, w) in weight.iter().enumerate() {
                let (w, s) = (f64::from(*w), f64::from(int8.scales[i / length]));
                let error = (w - f64::from(int8.values[i]) * s).abs();
                // The quotient was rounded to 53 bits before it was rounded to an integer.
                prop_assert!(error <= s / 2.0 * (1.0 + 1e-12), "{w} {s} {error}");
            }
            // What is written is read, and stays what it is when it is rounded once more.
            let bytes: Vec<u8> = int8.scales.iter().flat_map(|s| s.to_le_bytes()).collect();
            let (shape, dtype) = (&[rows][..], ElementType::F32);
            let stored = StoredScales { shape, dtype, bytes: &bytes };
            let (values, scales) = (int8.values.clone(), int8.scales.clone());
            let integers = int8.into_bytes();
            let read = Int8Weight::stored(&integers, rows, Some(stored)).unwrap();
            prop_assert_eq!(&read.values, &values);
            prop_assert_eq!(&read.scales, &scales);
            let again = Int8Weight::nearest(&read.to_f32(), rows).unwrap();
            prop_assert_eq!(again.values, values);
        }
    }

    #[test]
    fn halves_go_to_the_even_integer() {
        let weight = [127.0, 0.5, 1.5, 2.5, -0.5, -1.5, -126.5, 126.5];
        let int8 = Int8Weight::nearest(&weight, 1).unwrap();
        assert_eq!(int8.scales, [1.0]);
        assert_eq!(*int8.values, [127, 0, 2, 2, 0, -2, -126, 126]);
    }

    #[test]
    fn rows_without_a_scale_of_their_own_become_zeros() {
        let tiny = f32::MIN_POSITIVE / 2.0;
        let int8 = Int8Weight::nearest(&[0.0, 0.0, tiny, -tiny, 254.0, 2.0], 3).unwrap();
        assert_eq!(int8.scales, [1.0, 1.0, 2.0]);
        assert_eq!(*int8.values, [0, 0, 0, 0, 127, 1]);
        for rows in [0, 2] {
            let empty = Int8Weight::nearest(&[], rows).unwrap();
            assert_eq!((empty.scales.len(), empty.to_f32().len()), (rows, 0));
        }
    }
}
