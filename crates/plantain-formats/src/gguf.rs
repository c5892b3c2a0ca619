//! GGUF files of versions 2 and 3, little-endian, as ggml's `gguf.cpp` defines them.

use std::collections::{BTreeMap, HashMap};

use crate::{ElementType, Entry, Format, FormatError, Table, element, limits};

/// Where ComfyUI's converter keeps the shape of a tensor whose rows it changed to fill blocks.
const RESHAPED: &str = "comfy.gguf.orig_shape.";

pub(crate) fn parse(bytes: &[u8]) -> Result<Table, FormatError> {
    let mut header = Header {
        bytes: &bytes[..bytes.len().min(limits::HEADER)],
        at: 4,
        whole: bytes.len() <= limits::HEADER,
    };
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
    let start = header.at.next_multiple_of(alignment);
    let tensors = place(infos, &metadata.shapes, alignment, start, bytes.len())?;
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

/// The unread part of the header.
struct Header<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Whether `bytes` are the whole file.
    whole: bool,
}

impl<'a> Header<'a> {
    fn take(&mut self, length: u64) -> Result<&'a [u8], FormatError> {
        let taken = usize::try_from(length)
            .ok()
            .and_then(|n| self.bytes.get(self.at..self.at.checked_add(n)?));
        let Some(taken) = taken else {
            let reason = if self.whole {
                "its header goes on beyond the end of the file".to_string()
            } else {
                format!("its header is longer than {} bytes", limits::HEADER)
            };
            return Err(FormatError::damaged(reason));
        };
        self.at += taken.len();
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let taken = self.take(N as u64)?;
        Ok(std::array::from_fn(|i| taken[i]))
    }

    fn u32(&mut self) -> Result<u32, FormatError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, FormatError> {
        self.array().map(u64::from_le_bytes)
    }

    fn string(&mut self) -> Result<&'a [u8], FormatError> {
        let length = self.u64()?;
        self.take(length)
    }

    fn count(&mut self, what: &str, limit: usize) -> Result<usize, FormatError> {
        let count = self.u64()?;
        usize::try_from(count)
            .ok()
            .filter(|&n| n <= limit)
            .ok_or_else(|| FormatError::damaged(format!("it declares {count} {what}")))
    }

    fn name(&mut self) -> Result<&'a str, FormatError> {
        let name = self.string()?;
        match str::from_utf8(name) {
            Ok(name) if name.len() <= limits::NAME => Ok(name),
            _ => {
                let at = self.at - name.len();
                Err(FormatError::damaged(format!(
                    "what should be a name at byte {at} is none"
                )))
            }
        }
    }
}

/// The types of metadata, by number.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Number(Number),
    String,
    Array,
}

#[derive(Clone, Copy, PartialEq)]
enum Number {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    U64,
    I64,
    F64,
}

impl Kind {
    fn read(header: &mut Header<'_>) -> Result<Self, FormatError> {
        Ok(match header.u32()? {
            0 => Self::Number(Number::U8),
            1 => Self::Number(Number::I8),
            2 => Self::Number(Number::U16),
            3 => Self::Number(Number::I16),
            4 => Self::Number(Number::U32),
            5 => Self::Number(Number::I32),
            6 => Self::Number(Number::F32),
            7 => Self::Number(Number::Bool),
            8 => Self::String,
            9 => Self::Array,
            10 => Self::Number(Number::U64),
            11 => Self::Number(Number::I64),
            12 => Self::Number(Number::F64),
            other => {
                let at = header.at - 4;
                return Err(FormatError::damaged(format!(
                    "the metadata at byte {at} are of unknown type {other}"
                )));
            }
        })
    }
}

impl Number {
    fn size(self) -> u64 {
        match self {
            Self::U8 | Self::I8 | Self::Bool => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    fn read(self, header: &mut Header<'_>) -> Result<String, FormatError> {
        Ok(match self {
            Self::U8 => header.array().map(u8::from_le_bytes)?.to_string(),
            Self::I8 => header.array().map(i8::from_le_bytes)?.to_string(),
            Self::U16 => header.array().map(u16::from_le_bytes)?.to_string(),
            Self::I16 => header.array().map(i16::from_le_bytes)?.to_string(),
            Self::U32 => header.u32()?.to_string(),
            Self::I32 => header.array().map(i32::from_le_bytes)?.to_string(),
            Self::F32 => header.array().map(f32::from_le_bytes)?.to_string(),
            Self::Bool => (header.array()? != [0]).to_string(),
            Self::U64 => header.u64()?.to_string(),
            Self::I64 => header.array().map(i64::from_le_bytes)?.to_string(),
            Self::F64 => header.array().map(f64::from_le_bytes)?.to_string(),
        })
    }
}

#[derive(Default)]
struct Metadata<'a> {
    texts: HashMap<String, String>,
    /// Bytes of `texts`.
    size: usize,
    /// Shapes of tensors that were reshaped, by name.
    shapes: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Metadata<'a> {
    fn read(&mut self, header: &mut Header<'a>) -> Result<(), FormatError> {
        let key = header.name()?;
        let text = match Kind::read(header)? {
            Kind::Number(number) => number.read(header)?,
            Kind::String => String::from_utf8_lossy(header.string()?).into_owned(),
            Kind::Array => return self.array(key, header),
        };
        self.size += key.len() + text.len();
        if self.size > limits::METADATA_BYTES {
            let limit = limits::METADATA_BYTES;
            return Err(FormatError::damaged(format!(
                "its metadata are more than {limit} bytes"
            )));
        }
        if self.texts.insert(key.to_string(), text).is_some() {
            return Err(FormatError::damaged(format!(
                "its metadata have `{key}` twice"
            )));
        }
        Ok(())
    }

    fn array(&mut self, key: &'a str, header: &mut Header<'a>) -> Result<(), FormatError> {
        let kind = Kind::read(header)?;
        let count = header.u64()?;
        match kind {
            Kind::Number(Number::I32) if key.starts_with(RESHAPED) => {
                let count = count.min(limits::DIMENSIONS as u64 + 1);
                let shape = (0..count)
                    .map(|_| header.u32().map(|n| n as usize))
                    .collect::<Result<_, _>>()?;
                self.shapes.insert(&key[RESHAPED.len()..], shape);
            }
            Kind::Number(number) => {
                let length = count.saturating_mul(number.size());
                header.take(length)?;
            }
            // Each string takes up at least its length, so this ends with the header.
            Kind::String => {
                for _ in 0..count {
                    header.string()?;
                }
            }
            Kind::Array => {
                let what = format!("has a list of lists in its metadata, `{key}`");
                return Err(FormatError::unsupported(what, "convert the model again"));
            }
        }
        Ok(())
    }

    fn alignment(&self) -> Result<usize, FormatError> {
        match self.texts.get("general.alignment") {
            None => Ok(32),
            Some(text) => match text.parse::<u32>() {
                Ok(n) if n.is_power_of_two() => Ok(n as usize),
                _ => Err(FormatError::damaged(format!(
                    "its alignment is {text}, and only powers of 2 are one"
                ))),
            },
        }
    }
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
            dtype: dtype(name, header.u32()?)?,
            offset: header.u64()?,
        })
    }
}

/// The type with ggml's number `id`.
fn dtype(name: &str, id: u32) -> Result<ElementType, FormatError> {
    let other = match id {
        0 => return Ok(ElementType::F32),
        1 => return Ok(ElementType::F16),
        2 => return Ok(ElementType::Q4_0),
        3 => return Ok(ElementType::Q4_1),
        6 => return Ok(ElementType::Q5_0),
        7 => return Ok(ElementType::Q5_1),
        8 => return Ok(ElementType::Q8_0),
        24 => return Ok(ElementType::I8),
        25 => return Ok(ElementType::I16),
        26 => return Ok(ElementType::I32),
        27 => return Ok(ElementType::I64),
        28 => return Ok(ElementType::F64),
        30 => return Ok(ElementType::Bf16),
        9 => "Q8_1",
        10 => "Q2_K",
        11 => "Q3_K",
        12 => "Q4_K",
        13 => "Q5_K",
        14 => "Q6_K",
        15 => "Q8_K",
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        20 => "IQ4_NL",
        21 => "IQ3_S",
        22 => "IQ2_S",
        23 => "IQ4_XS",
        29 => "IQ1_M",
        34 => "TQ1_0",
        35 => "TQ2_0",
        39 => "MXFP4",
        40 => "NVFP4",
        41 => "Q1_0",
        _ => {
            let reason = format!("its type {id} is unknown");
            return Err(FormatError::tensor(name, reason));
        }
    };
    Err(FormatError::unsupported(
        format!("stores `{name}` as {other}, which is not read"),
        "get the model as Q8_0 or F16, or convert it so",
    ))
}

/// Checks sizes and offsets, from `start` on, against the `end` of the file and against each other.
fn place(
    mut infos: Vec<Info<'_>>,
    shapes: &HashMap<&str, Vec<usize>>,
    alignment: usize,
    start: usize,
    end: usize,
) -> Result<BTreeMap<String, Entry>, FormatError> {
    infos.sort_by_key(|info| info.offset);
    let mut tensors = BTreeMap::new();
    let mut free = 0;
    for info in infos {
        let damaged = |reason: String| FormatError::tensor(info.name, reason);
        let (shape, dtype, offset) = (info.shape, info.dtype, info.offset);
        let too_large = || damaged(format!("the shape {shape:?} is too large"));
        let count = element::count(&shape).ok_or_else(too_large)?;
        let (block, _) = dtype.block();
        if !shape.last().unwrap_or(&1).is_multiple_of(block) {
            return Err(damaged(format!(
                "rows of shape {shape:?} do not fill the blocks of {}",
                dtype.name()
            )));
        }
        let size = dtype.bytes_of(count).ok_or_else(too_large)?;
        if !offset.is_multiple_of(alignment as u64) {
            return Err(damaged(format!(
                "its offset {offset} is no multiple of {alignment}"
            )));
        }
        let range = usize::try_from(offset)
            .ok()
            .and_then(|offset| start.checked_add(offset))
            .and_then(|first| Some(first..first.checked_add(size)?))
            .filter(|range| range.end <= end)
            .ok_or_else(|| {
                damaged(format!(
                    "it lies {size} bytes long at {offset} of the data, beyond the end of the file"
                ))
            })?;
        if range.start < free {
            return Err(damaged("it overlaps another tensor".to_string()));
        }
        free = range.end;
        let shape = match shapes.get(info.name) {
            None => shape,
            Some(first) if element::count(first) == Some(count) => first.clone(),
            Some(first) => {
                return Err(damaged(format!(
                    "it has shape {shape:?}, which cannot have been {first:?}"
                )));
            }
        };
        let entry = Entry {
            dtype,
            shape,
            strides: None,
            range,
        };
        if tensors.insert(info.name.to_string(), entry).is_some() {
            return Err(damaged("it is there twice".to_string()));
        }
    }
    Ok(tensors)
}
