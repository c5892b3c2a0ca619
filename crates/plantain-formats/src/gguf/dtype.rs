//! The types of numbers that GGUF has.

use crate::{ElementType, FormatError};

/// The type with ggml's number `id`.
pub(super) fn read(name: &str, id: u32) -> Result<ElementType, FormatError> {
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
