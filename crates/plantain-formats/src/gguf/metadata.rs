//! The keys and values before the tensors.

use std::collections::HashMap;

use super::header::Header;
use crate::{FormatError, limits};

/// Where ComfyUI's converter keeps the shape of a tensor whose rows it changed to fill blocks.
const RESHAPED: &str = "comfy.gguf.orig_shape.";

#[derive(Default)]
pub(super) struct Metadata<'a> {
    pub(super) texts: HashMap<String, String>,
    /// Bytes of `texts`.
    size: usize,
    /// Shapes of tensors that were reshaped, by name.
    pub(super) shapes: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Metadata<'a> {
    pub(super) fn read(&mut self, header: &mut Header<'a>) -> Result<(), FormatError> {
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
                if count > limits::DIMENSIONS as u64 {
                    let reason = format!("the shape `{key}` has {count} dimensions");
                    return Err(FormatError::damaged(reason));
                }
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

    pub(super) fn alignment(&self) -> Result<usize, FormatError> {
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
                let at = header.at() - 4;
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
