//! One tensor of a file.

use std::borrow::Cow;
use std::ops::Range;

use crate::ElementType;

/// One tensor of a file, checked to lie within it and to be of the declared size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What its numbers are stored as.
    pub dtype: ElementType,
    /// Dimensions, the last one changing fastest.
    pub shape: Vec<usize>,
    /// How many elements further the next one along each dimension lies; `None` where they are row-major without gaps.
    pub strides: Option<Vec<usize>>,
    /// Bytes within the file, from the first element to the last.
    pub range: Range<usize>,
}

impl Entry {
    /// The numbers, row-major, given the bytes of the whole `file`.
    ///
    /// `None` if the type is none of floats ([`ElementType::is_float`]), or `file` not the one this entry is from.
    pub fn to_f32(&self, file: &[u8]) -> Option<Vec<f32>> {
        if !self.dtype.is_float() {
            return None;
        }
        let bytes = self.bytes(file)?;
        let (elements, size) = self.dtype.block();
        let mut values = vec![0.0; bytes.len() / size * elements];
        self.dtype.decode(&bytes, &mut values).then_some(values)
    }

    /// The bytes, row-major without gaps, given those of the whole `file`: borrowed where they lie so already.
    ///
    /// Empty if `file` is not the one this entry is from.
    pub fn gather<'a>(&self, file: &'a [u8]) -> Cow<'a, [u8]> {
        self.bytes(file).unwrap_or_default()
    }

    fn bytes<'a>(&self, file: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        let bytes = file.get(self.range.clone())?;
        let Some(strides) = &self.strides else {
            return Some(Cow::Borrowed(bytes));
        };
        let gathered = match self.dtype.block().1 {
            1 => gather::<1>(bytes, &self.shape, strides),
            2 => gather::<2>(bytes, &self.shape, strides),
            4 => gather::<4>(bytes, &self.shape, strides),
            8 => gather::<8>(bytes, &self.shape, strides),
            _ => None,
        };
        gathered.map(Cow::Owned)
    }
}

/// Elements of `N` bytes, of which the one at index `i` is `i * strides` elements from the first, row-major.
fn gather<const N: usize>(bytes: &[u8], shape: &[usize], strides: &[usize]) -> Option<Vec<u8>> {
    let (elements, _) = bytes.as_chunks::<N>();
    let ((&width, shape), (&step, strides)) = (shape.split_last()?, strides.split_last()?);
    let rows = crate::element::count(shape)?;
    let mut gathered = Vec::with_capacity(rows.checked_mul(width)?);
    let mut index = vec![0; shape.len()];
    let mut row = 0usize;
    for _ in 0..rows {
        let mut at = row;
        for _ in 0..width {
            gathered.push(*elements.get(at)?);
            at = at.checked_add(step)?;
        }
        // The next row: count up, the last dimension first.
        for (index, (&length, &stride)) in index.iter_mut().zip(shape.iter().zip(strides)).rev() {
            *index += 1;
            row = row.checked_add(stride)?;
            if *index < length {
                break;
            }
            row -= stride * *index;
            *index = 0;
        }
    }
    Some(gathered.into_flattened())
}
