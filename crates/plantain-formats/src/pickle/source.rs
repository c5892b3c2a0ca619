//! The bytes of a pickle.

use crate::{FormatError, limits};

/// The unread part of a pickle.
pub(super) struct Source<'a> {
    bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Source<'a> {
    /// Reads `bytes` from `at` on.
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        let end = bytes.len().min(at.saturating_add(limits::PICKLE));
        let bytes = &bytes[..end];
        Self { bytes, at }
    }

    pub(super) fn take(&mut self, length: u64) -> Result<&'a [u8], FormatError> {
        let taken = usize::try_from(length)
            .ok()
            .and_then(|n| self.bytes.get(self.at..self.at.checked_add(n)?));
        let Some(taken) = taken else {
            return Err(self.damaged("goes on beyond its end"));
        };
        self.at += taken.len();
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let taken = self.take(N as u64)?;
        Ok(std::array::from_fn(|i| taken[i]))
    }

    pub(super) fn u8(&mut self) -> Result<u8, FormatError> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn u32(&mut self) -> Result<u32, FormatError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, FormatError> {
        self.array().map(u64::from_le_bytes)
    }

    /// The text up to the end of the line, which is skipped.
    pub(super) fn line(&mut self) -> Result<&'a str, FormatError> {
        let rest = &self.bytes[self.at..];
        let Some(length) = rest.iter().position(|&b| b == b'\n') else {
            return Err(self.damaged("goes on beyond its end"));
        };
        self.at += length + 1;
        self.text(&rest[..length])
    }

    pub(super) fn text(&self, bytes: &'a [u8]) -> Result<&'a str, FormatError> {
        str::from_utf8(bytes).map_err(|_| self.damaged("has text that is no UTF-8"))
    }

    /// The error that the pickle does `what` here.
    pub(super) fn damaged(&self, what: &str) -> FormatError {
        FormatError::damaged(format!("its pickle {what} at byte {}", self.at))
    }
}
