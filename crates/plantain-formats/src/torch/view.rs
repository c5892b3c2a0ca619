//! Tensors as views of storages: where their numbers lie, checked.

use std::ops::Range;

use super::Lost;
use crate::pickle::{Heap, Storage, StorageType, Strided, Tensor, Value};
use crate::{ElementType, Entry, FormatError, element, limits};

/// Where the numbers of the tensor with index `tensor` lie; `find` says where in the file a storage lies, or why nowhere.
pub(super) fn entry<'a>(
    name: &str,
    heap: &Heap<'a>,
    tensor: usize,
    find: &mut impl FnMut(&Storage<'a>) -> Result<Range<usize>, Lost>,
) -> Result<Entry, FormatError> {
    let unreadable = |kind: &str| {
        let what = format!("holds `{name}` as {kind}, which is not read");
        FormatError::unsupported(what, "save it as a plain tensor of floats")
    };
    let damaged = |reason: String| FormatError::tensor(name, reason);
    let strided = match heap.tensor(tensor) {
        Some(Tensor::Strided(strided)) => strided,
        Some(Tensor::Other(kind)) => return Err(unreadable(kind)),
        None => return Err(damaged("it is made of too little".to_string())),
    };
    /// More than there are kinds of.
    const MOST_FLAGS: usize = 16;
    let flags = heap.pairs(strided.flags);
    if flags.len() > MOST_FLAGS {
        return Err(damaged("it has more flags than there are".to_string()));
    }
    if flags
        .iter()
        .any(|(_, flag)| matches!(flag, Value::Bool(true)))
    {
        return Err(unreadable("numbers yet to be negated or conjugated"));
    }
    let Some(storage) = heap.storage(strided.storage) else {
        return Err(damaged("it has no storage".to_string()));
    };
    let dtype = match strided.dtype {
        Some(dtype) => heap.dtype(dtype),
        None => Some(storage.dtype),
    };
    let dtype = match dtype {
        Some(StorageType::Of(dtype)) => dtype,
        Some(StorageType::Unreadable { kind, .. }) => return Err(unreadable(kind)),
        Some(StorageType::Untyped) => ElementType::U8,
        None => return Err(unreadable("numbers of unknown type")),
    };
    let bytes = find(&storage).map_err(|lost| match lost {
        Lost::Damaged(reason) => damaged(reason),
        Lost::Refused(error) => error,
    })?;
    let bytes = part(&storage, bytes).map_err(damaged)?;
    view(heap, &strided, dtype, &bytes).map_err(damaged)
}

/// The part of `storage`, which lies at `found` of the file, that is meant.
fn part(storage: &Storage<'_>, found: Range<usize>) -> Result<Range<usize>, String> {
    let size = storage.dtype.size();
    let bytes = |count: i64| usize::try_from(count).ok()?.checked_mul(size);
    if bytes(storage.count) != Some(found.len()) {
        return Err(format!(
            "its storage of {} elements has {} bytes",
            storage.count,
            found.len()
        ));
    }
    let Some((offset, count)) = storage.view else {
        return Ok(found);
    };
    let part = bytes(offset).and_then(|offset| Some(offset..offset.checked_add(bytes(count)?)?));
    match part {
        Some(part) if part.end <= found.len() => {
            Ok(found.start + part.start..found.start + part.end)
        }
        _ => Err(format!(
            "it uses {count} elements at {offset} of a storage of {}",
            storage.count
        )),
    }
}

/// The view of a storage, which lies at `bytes` of the file, as numbers of type `dtype`.
fn view<'a>(
    heap: &Heap<'a>,
    strided: &Strided<'a>,
    dtype: ElementType,
    bytes: &Range<usize>,
) -> Result<Entry, String> {
    let shape = naturals(heap, strided.shape, "shape")?;
    let strides = naturals(heap, strided.strides, "strides")?;
    let offset = natural(strided.offset).ok_or("its offset is no natural number")?;
    if shape.len() != strides.len() {
        return Err(format!("it has shape {shape:?} and strides {strides:?}"));
    }
    let too_large = || format!("the shape {shape:?} is too large");
    let count = element::count(&shape).ok_or_else(too_large)?;
    if count == 0 {
        return Ok(Entry {
            dtype,
            shape,
            strides: None,
            range: bytes.start..bytes.start,
        });
    }
    let (_, size) = dtype.block();
    let reach = shape
        .iter()
        .zip(&strides)
        .try_fold(1usize, |reach, (d, stride)| {
            reach.checked_add((d - 1).checked_mul(*stride)?)
        })
        .ok_or_else(too_large)?;
    let range = offset
        .checked_add(reach)
        .and_then(|end| end.checked_mul(size))
        .filter(|&end| end <= bytes.len())
        .map(|end| bytes.start + offset * size..bytes.start + end)
        .ok_or_else(|| {
            format!(
                "shape {shape:?} with strides {strides:?} from {offset} on reaches beyond its storage of {} bytes",
                bytes.len()
            )
        })?;
    // The same numbers again and again take no room in the file, but do where they are read.
    if count > reach && count > limits::EXPANDED {
        return Err(format!("it makes {count} numbers of {reach}"));
    }
    let strides = (!is_row_major(&shape, &strides)).then_some(strides);
    Ok(Entry {
        dtype,
        shape,
        strides,
        range,
    })
}

/// Whether the elements follow each other in order without gaps. Strides of single elements mean nothing.
fn is_row_major(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = 1;
    shape.iter().zip(strides).rev().all(|(&d, &stride)| {
        let fits = d == 1 || stride == expected;
        expected *= d;
        fits
    })
}

fn naturals<'a>(heap: &Heap<'a>, value: Value<'a>, what: &str) -> Result<Vec<usize>, String> {
    let items = match value {
        Value::Tuple(_) | Value::List(_) => heap.items(value),
        _ => return Err(format!("its {what} are no numbers")),
    };
    if items.len() > limits::DIMENSIONS {
        return Err(format!("it has {} dimensions", items.len()));
    }
    let numbers = items.iter().map(|&item| natural(item));
    let numbers = numbers.collect::<Option<_>>();
    numbers.ok_or_else(|| format!("its {what} are not all natural numbers"))
}

fn natural(value: Value<'_>) -> Option<usize> {
    match value {
        Value::Int(number) => usize::try_from(number).ok(),
        _ => None,
    }
}
