//! Safetensors files: the header checked against the file.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use safetensors::tensor::{Dtype, TensorInfo};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::{ElementType, Entry, Format, FormatError, Table, limits};

pub(crate) fn parse(bytes: &[u8]) -> Result<Table, FormatError> {
    let damaged = |reason: String| FormatError::Damaged { reason };
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
        return Err(damaged(format!("only {} bytes long", bytes.len())));
    };
    let length = u64::from_le_bytes(*length);
    let header = usize::try_from(length)
        .ok()
        .filter(|&n| n <= limits::HEADER)
        .ok_or_else(|| damaged(format!("it declares a header of {length} bytes")))?;
    let Some((header, data)) = rest.split_at_checked(header) else {
        let all = bytes.len();
        return Err(damaged(format!(
            "it declares a header of {length} bytes, and the file has {all}"
        )));
    };
    check_json(header).map_err(|e| damaged(format!("header: {e}")))?;
    let Few(mut entries): Few<&RawValue, { limits::TENSORS + 1 }> =
        serde_json::from_slice(header).map_err(|e| damaged(format!("header: {e}")))?;
    let metadata = match entries.remove("__metadata__") {
        Some(raw) => metadata(raw.get()).map_err(|e| damaged(format!("`__metadata__`: {e}")))?,
        None => HashMap::new(),
    };
    let tensors = entries
        .into_iter()
        .map(|(name, raw)| {
            limits::check_name(&name)?;
            let entry = entry(&name, raw.get(), data.len())?;
            Ok((name, entry))
        })
        .collect::<Result<Vec<_>, FormatError>>()?;
    Ok(Table {
        format: Format::Safetensors,
        metadata,
        tensors: tile(tensors, data.len(), bytes.len() - data.len())?,
    })
}

/// Refuses JSON for which its parser would need much memory: it keeps a byte for each open bracket, and copies texts.
fn check_json(json: &[u8]) -> Result<(), String> {
    const DEPTH: usize = 8;
    let mut depth = 0;
    let mut text = None;
    let mut escaped = false;
    for (at, &byte) in json.iter().enumerate() {
        match (text, byte) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), b'\\') => escaped = true,
            (Some(start), b'"') => {
                check_text(at - start)?;
                text = None;
            }
            (Some(_), _) => {}
            (None, b'"') => text = Some(at),
            (None, b'[' | b'{') if depth == DEPTH => {
                return Err(format!("brackets are nested more than {DEPTH} deep"));
            }
            (None, b'[' | b'{') => depth += 1,
            (None, b']' | b'}') => depth = usize::saturating_sub(depth, 1),
            (None, _) => {}
        }
    }
    text.map_or(Ok(()), |start| check_text(json.len() - start))
}

fn check_text(length: usize) -> Result<(), String> {
    if length <= limits::METADATA_BYTES {
        return Ok(());
    }
    Err(format!("a text is {length} bytes long"))
}

/// A JSON object with at most so many keys.
struct Few<T, const LIMIT: usize>(BTreeMap<String, T>);

impl<'de, T: Deserialize<'de>, const LIMIT: usize> Deserialize<'de> for Few<T, LIMIT> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counting<T, const LIMIT: usize>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const LIMIT: usize> Visitor<'de> for Counting<T, LIMIT> {
            type Value = Few<T, LIMIT>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an object of at most {LIMIT} keys")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = BTreeMap::new();
                while let Some((key, value)) = map.next_entry()? {
                    if entries.len() == LIMIT {
                        return Err(Error::custom(format!("more than {LIMIT} keys")));
                    }
                    entries.insert(key, value);
                }
                Ok(Few(entries))
            }
        }

        deserializer.deserialize_map(Counting(PhantomData))
    }
}

fn metadata(json: &str) -> Result<HashMap<String, String>, serde_json::Error> {
    if json.len() > limits::METADATA_BYTES {
        return Err(Error::custom(format!("{} bytes long", json.len())));
    }
    let few: Option<Few<String, { limits::METADATA }>> = serde_json::from_str(json)?;
    Ok(few.map_or_else(HashMap::new, |Few(map)| map.into_iter().collect()))
}

/// Reads the entry of one tensor and checks its size; offsets are still relative to the data.
fn entry(name: &str, json: &str, available: usize) -> Result<Entry, FormatError> {
    let damaged = |reason: String| FormatError::tensor(name, reason);
    if json.len() > limits::ENTRY {
        let length = json.len();
        return Err(damaged(format!("its entry is {length} bytes long")));
    }
    let TensorInfo {
        dtype,
        shape,
        data_offsets: (start, end),
    } = serde_json::from_str(json).map_err(|e| damaged(e.to_string()))?;
    if start > end || end > available {
        return Err(damaged(format!(
            "it lies at {start}..{end}, and the file holds {available} bytes of data"
        )));
    }
    let bits = shape
        .iter()
        .try_fold(dtype.bitsize(), |n, &d| n.checked_mul(d))
        .ok_or_else(|| damaged(format!("the shape {shape:?} is too large")))?;
    if bits % 8 != 0 || bits / 8 != end - start {
        return Err(damaged(format!(
            "shape {shape:?} of {dtype} does not fill its {} bytes",
            end - start
        )));
    }
    Ok(Entry {
        dtype: element(dtype).ok_or_else(|| damaged(format!("its type {dtype} is unknown")))?,
        shape,
        strides: None,
        range: start..end,
    })
}

fn element(dtype: Dtype) -> Option<ElementType> {
    Some(match dtype {
        Dtype::BOOL => ElementType::Bool,
        Dtype::F4 => ElementType::F4,
        Dtype::F6_E2M3 => ElementType::F6E2M3,
        Dtype::F6_E3M2 => ElementType::F6E3M2,
        Dtype::U8 => ElementType::U8,
        Dtype::I8 => ElementType::I8,
        Dtype::F8_E5M2 => ElementType::F8E5M2,
        Dtype::F8_E4M3 => ElementType::F8E4M3,
        Dtype::F8_E8M0 => ElementType::F8E8M0,
        Dtype::F8_E4M3FNUZ => ElementType::F8E4M3Fnuz,
        Dtype::F8_E5M2FNUZ => ElementType::F8E5M2Fnuz,
        Dtype::I16 => ElementType::I16,
        Dtype::U16 => ElementType::U16,
        Dtype::F16 => ElementType::F16,
        Dtype::BF16 => ElementType::Bf16,
        Dtype::I32 => ElementType::I32,
        Dtype::U32 => ElementType::U32,
        Dtype::F32 => ElementType::F32,
        Dtype::C64 => ElementType::C64,
        Dtype::F64 => ElementType::F64,
        Dtype::I64 => ElementType::I64,
        Dtype::U64 => ElementType::U64,
        _ => return None,
    })
}

/// Checks that the tensors cover the data without gap or overlap, and makes offsets absolute.
fn tile(
    mut tensors: Vec<(String, Entry)>,
    available: usize,
    data_start: usize,
) -> Result<BTreeMap<String, Entry>, FormatError> {
    tensors.sort_by_key(|(_, t)| (t.range.start, t.range.end));
    let mut covered = 0;
    for (name, tensor) in &mut tensors {
        let Range { start, end } = tensor.range;
        if start != covered {
            let what = if start < covered {
                "overlaps"
            } else {
                "leaves a gap after"
            };
            return Err(FormatError::tensor(
                name,
                format!("it {what} the tensor before it, which ends at {covered}"),
            ));
        }
        covered = end;
        tensor.range = start + data_start..end + data_start;
    }
    if covered != available {
        return Err(FormatError::damaged(format!(
            "its tensors fill {covered} of {available} bytes of data"
        )));
    }
    Ok(tensors.into_iter().collect())
}
