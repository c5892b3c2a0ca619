//! GGUF files of versions 2 and 3, little-endian, as ggml's `gguf.cpp` defines them.

mod dtype;
mod header;
mod metadata;

use std::collections::{BTreeMap, HashMap};

use crate::{ElementType, Entry, Format, FormatError, Table, element, limits};
use header::Header;
use metadata::Metadata;

pub(crate) fn parse(bytes: &[u8]) -> Result<Table, FormatError> {
    let mut header = Header::new(bytes);
    check_version(header.u32()?)?;
    let tensors = header.count("tensors", limits::TENSORS)?;
    let entries = header.count("entries of metadata", limits::METADATA)?;
    let mut metadata = Metadata::default();
    for _ in 0..entries {
        metadata.read(&mut header)?;
    }
    let infos = (0..tensors)
        .map(|_| Info::read(&mut header))
        .collect::<Result<Vec<_>, _>>()?;
    let alignment = metadata.alignment()?;
    let data = Data {
        start: header.at().next_multiple_of(alignment),
        end: bytes.len(),
        alignment,
    };
    let tensors = place(infos, &metadata.shapes, &data)?;
    Ok(Table {
        format: Format::Gguf,
        metadata: metadata.texts,
        tensors,
    })
}

fn check_version(version: u32) -> Result<(), FormatError> {
    let what = match version {
        2 | 3 => return Ok(()),
        // Real versions are small, so those of big-endian files are seen with their bytes swapped.
        v if v & 0xffff == 0 => "is a big-endian GGUF file".to_string(),
        v => format!("is a GGUF file of version {v}, and versions 2 and 3 are read"),
    };
    let advice = "use the safetensors files of the same model, or convert it again";
    Err(FormatError::unsupported(what, advice))
}

/// What the header says about a tensor.
struct Info<'a> {
    name: &'a str,
    shape: Vec<usize>,
    dtype: ElementType,
    offset: u64,
}

impl<'a> Info<'a> {
    fn read(header: &mut Header<'a>) -> Result<Self, FormatError> {
        let name = header.name()?;
        let dimensions = header.u32()? as usize;
        if dimensions > limits::DIMENSIONS {
            let reason = format!("it has {dimensions} dimensions");
            return Err(FormatError::tensor(name, reason));
        }
        let mut shape = (0..dimensions)
            .map(|_| {
                let dimension = header.u64()?;
                usize::try_from(dimension).map_err(|_| {
                    FormatError::tensor(name, format!("a dimension of {dimension} is too large"))
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        // ggml names the dimension first that changes fastest.
        shape.reverse();
        Ok(Self {
            name,
            shape,
            dtype: dtype::read(name, header.u32()?)?,
            offset: header.u64()?,
        })
    }
}

/// Where the data of tensors may lie.
struct Data {
    start: usize,
    /// The end of the file.
    end: usize,
    alignment: usize,
}

/// Checks the tensors against the data and against each other.
fn place(
    mut infos: Vec<Info<'_>>,
    shapes: &HashMap<&str, Vec<usize>>,
    data: &Data,
) -> Result<BTreeMap<String, Entry>, FormatError> {
    infos.sort_by_key(|info| info.offset);
    let mut tensors = BTreeMap::new();
    let mut free = 0;
    for info in infos {
        let name = info.name;
        let damaged = |reason: String| FormatError::tensor(name, reason);
        let mut entry = info.entry(data).map_err(damaged)?;
        if entry.range.start < free {
            return Err(damaged("it overlaps another tensor".to_string()));
        }
        free = entry.range.end;
        if let Some(shape) = shapes.get(name) {
            if element::count(shape) != element::count(&entry.shape) {
                let stored = entry.shape;
                return Err(damaged(format!(
                    "it has shape {stored:?}, which cannot have been {shape:?}"
                )));
            }
            entry.shape.clone_from(shape);
        }
        if tensors.insert(name.to_string(), entry).is_some() {
            return Err(damaged("it is there twice".to_string()));
        }
    }
    Ok(tensors)
}

impl Info<'_> {
    /// The tensor, if all of it lies in `data`.
    fn entry(self, data: &Data) -> Result<Entry, String> {
        let (shape, dtype, offset) = (self.shape, self.dtype, self.offset);
        let (block, _) = dtype.block();
        if !shape.last().unwrap_or(&1).is_multiple_of(block) {
            let name = dtype.name();
            return Err(format!(
                "rows of shape {shape:?} do not fill the blocks of {name}"
            ));
        }
        let size = element::count(&shape)
            .and_then(|count| dtype.bytes_of(count))
            .ok_or_else(|| format!("the shape {shape:?} is too large"))?;
        if !offset.is_multiple_of(data.alignment as u64) {
            let alignment = data.alignment;
            return Err(format!("its offset {offset} is no multiple of {alignment}"));
        }
        let range = usize::try_from(offset)
            .ok()
            .and_then(|offset| data.start.checked_add(offset))
            .and_then(|first| Some(first..first.checked_add(size)?))
            .filter(|range| range.end <= data.end)
            .ok_or_else(|| {
                format!("its {size} bytes at {offset} of the data reach beyond the end of the file")
            })?;
        Ok(Entry {
            dtype,
            shape,
            strides: None,
            range,
        })
    }
}
