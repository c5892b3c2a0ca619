//! Telling formats apart by their first bytes.

use crate::{Format, FormatError};

/// What to do with files that only PyTorch can read.
pub(crate) const SAVE_AGAIN: &str =
    "save the model as safetensors (`safe_serialization=True` in diffusers)";

/// What the first bytes of files that people take for models look like, and what to do then.
const FOREIGN: [(&[u8], &str, &str); 6] = [
    (
        b"version https://git-lfs",
        "a Git LFS pointer",
        "fetch the file itself with `git lfs pull`",
    ),
    (
        b"<",
        "a web page",
        "the download failed; download the file again",
    ),
    (b"\x89PNG", "a picture", NAME_A_MODEL),
    (b"\xff\xd8\xff", "a picture", NAME_A_MODEL),
    (b"tjgg", OLD_GGML, USE_OTHERS),
    (b"lmgg", OLD_GGML, USE_OTHERS),
];
const NAME_A_MODEL: &str = "name a safetensors, PyTorch or GGUF file";
const OLD_GGML: &str = "a GGML file of before GGUF";
const USE_OTHERS: &str = "use the safetensors or GGUF files of the same model";

/// Which format `bytes` are in. Unknown bytes are taken for safetensors, whose reader then says what is wrong with them.
pub(crate) fn format(bytes: &[u8]) -> Result<Format, FormatError> {
    if bytes.is_empty() {
        return Err(FormatError::Foreign {
            found: "an empty file",
            advice: "download or convert it again",
        });
    }
    if bytes.starts_with(b"GGUF") {
        return Ok(Format::Gguf);
    }
    // A header of safetensors may be just as long as the number that another format begins with, but never above 2^40.
    if bytes.get(8) == Some(&b'{') && bytes[5..8] == [0; 3] {
        return Ok(Format::Safetensors);
    }
    if bytes.starts_with(b"PK") {
        return Ok(Format::Torch);
    }
    if let [0x80, 2..=5, ..] = bytes {
        return Ok(Format::TorchLegacy);
    }
    if bytes.get(257..262) == Some(b"ustar") {
        return Err(FormatError::Foreign {
            found: "a tar archive (PyTorch before 0.1.10 saved so)",
            advice: SAVE_AGAIN,
        });
    }
    if let Some(&(_, found, advice)) = FOREIGN.iter().find(|(magic, ..)| bytes.starts_with(magic)) {
        return Err(FormatError::Foreign { found, advice });
    }
    if is_text(bytes) {
        return Err(FormatError::Foreign {
            found: "a text",
            advice: NAME_A_MODEL,
        });
    }
    Ok(Format::Safetensors)
}

/// Whether the file begins as a text does.
fn is_text(bytes: &[u8]) -> bool {
    const LOOKED_AT: usize = 256;
    let begin = String::from_utf8_lossy(&bytes[..bytes.len().min(LOOKED_AT)]);
    // The last character may be cut.
    let whole = begin.trim_end_matches(char::REPLACEMENT_CHARACTER);
    let foreign =
        |c: char| c == char::REPLACEMENT_CHARACTER || c.is_control() && !c.is_whitespace();
    !whole.is_empty() && !whole.contains(foreign)
}
