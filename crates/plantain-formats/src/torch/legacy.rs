//! Files of `torch.save` before PyTorch 1.6: a magic number, a version, the machine, the object and the keys of the storages,
//! each a pickle, then the storages in the order of their keys, each a count of elements and the elements.

use std::collections::HashMap;
use std::ops::Range;

use super::{Lost, state_dict};
use crate::detect::SAVE_AGAIN;
use crate::pickle::{self, Heap, Value};
use crate::{Format, FormatError, Table};

/// 0x1950a86a20f9469cfc6c, little-endian.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
const VERSION: i64 = 1001;

pub(crate) fn parse(bytes: &[u8]) -> Result<Table, FormatError> {
    let mut heap = Heap::default();
    let (magic, at) = pickle::load(&mut heap, bytes, 0)?;
    if !matches!(magic, Value::Long(magic) if magic == MAGIC) {
        return Err(FormatError::Foreign {
            found: "a Python pickle that PyTorch did not write",
            advice: SAVE_AGAIN,
        });
    }
    let (version, at) = pickle::load(&mut heap, bytes, at)?;
    if !matches!(version, Value::Int(VERSION)) {
        let what = "is a PyTorch file of an unknown version";
        return Err(FormatError::unsupported(what, SAVE_AGAIN));
    }
    let (machine, at) = pickle::load(&mut heap, bytes, at)?;
    if matches!(heap.get(machine, "little_endian"), Some(Value::Bool(false))) {
        let what = "has big-endian numbers";
        return Err(FormatError::unsupported(what, SAVE_AGAIN));
    }
    let (root, at) = pickle::load(&mut heap, bytes, at)?;
    let (keys, at) = pickle::load(&mut heap, bytes, at)?;
    let storages = storages(&heap, keys, bytes, at)?;
    state_dict::table(Format::TorchLegacy, &heap, root, |storage| {
        let found = storages.get(storage.key).cloned();
        found.ok_or_else(|| Lost::Damaged(format!("its storage `{}` is missing", storage.key)))
    })
}

/// Where the storages with `keys`, which begin `at` that byte, lie.
fn storages<'a>(
    heap: &Heap<'a>,
    keys: Value<'a>,
    bytes: &[u8],
    mut at: usize,
) -> Result<HashMap<&'a str, Range<usize>>, FormatError> {
    let sizes: HashMap<&str, usize> = heap
        .storages()
        .rev()
        .map(|storage| (storage.key, storage.dtype.size()))
        .collect();
    let mut found = HashMap::new();
    for &key in heap.items(keys) {
        let known = match key {
            Value::Text(key) => sizes.get(key).map(|&size| (key, size)),
            _ => None,
        };
        let Some((key, size)) = known else {
            let reason = "it lists a storage that no tensor uses";
            return Err(FormatError::damaged(reason));
        };
        let range = bytes
            .get(at..)
            .and_then(|rest| rest.first_chunk())
            .and_then(|count| usize::try_from(i64::from_le_bytes(*count)).ok())
            .and_then(|count| count.checked_mul(size))
            .and_then(|length| Some(at + 8..(at + 8).checked_add(length)?))
            .filter(|range| range.end <= bytes.len());
        let Some(range) = range else {
            let reason = format!("its storage `{key}` goes on beyond the end of the file");
            return Err(FormatError::damaged(reason));
        };
        at = range.end;
        found.insert(key, range);
    }
    Ok(found)
}
