//! Reading the header of a GGUF file value by value.

use crate::{FormatError, limits};

/// The unread part of the header.
pub(super) struct Header<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Whether `bytes` are the whole file.
    whole: bool,
}

impl<'a> Header<'a> {
    /// The header of the file `bytes`, after the magic number.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes: &bytes[..bytes.len().min(limits::HEADER)],
            at: 4,
            whole: bytes.len() <= limits::HEADER,
        }
    }

    /// The next byte's offset in the file.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn take(&mut self, length: u64) -> Result<&'a [u8], FormatError> {
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

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let taken = self.take(N as u64)?;
        Ok(std::array::from_fn(|i| taken[i]))
    }

    pub(super) fn u32(&mut self) -> Result<u32, FormatError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, FormatError> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn string(&mut self) -> Result<&'a [u8], FormatError> {
        let length = self.u64()?;
        self.take(length)
    }

    pub(super) fn count(&mut self, what: &str, limit: usize) -> Result<usize, FormatError> {
        let count = self.u64()?;
        usize::try_from(count)
            .ok()
            .filter(|&n| n <= limit)
            .ok_or_else(|| FormatError::damaged(format!("it declares {count} {what}")))
    }

    pub(super) fn name(&mut self) -> Result<&'a str, FormatError> {
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
