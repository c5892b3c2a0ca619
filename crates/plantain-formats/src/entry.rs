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
        let (_, size) = self.dtype.block();
        let count = crate::element::count(&self.shape)?;
        let mut gathered = Vec::with_capacity(count.checked_mul(size)?);
        let mut index = vec![0; self.shape.len()];
        let mut at = 0;
        for _ in 0..count {
            gathered.extend_from_slice(bytes.get(at..)?.get(..size)?);
            // Count up, the last dimension first.
            for dimension in (0..index.len()).rev() {
                let step = strides.get(dimension)?.checked_mul(size)?;
                index[dimension] += 1;
                at = at.checked_add(step)?;
                if index[dimension] < self.shape[dimension] {
                    break;
                }
                at -= step * index[dimension];
                index[dimension] = 0;
            }
        }
        Some(Cow::Owned(gathered))
    }
}
