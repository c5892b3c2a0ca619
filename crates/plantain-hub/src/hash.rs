//! The hashes by which a hub knows its files.

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// What the bytes of a file must hash to, in lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FileHash {
    /// SHA-256 of the bytes, for files in large file storage.
    Sha256(String),
    /// What git calls a blob: SHA-1 of a header with the length, and the bytes.
    GitBlob(String),
}

impl FileHash {
    /// The hash in digits, which is also the file's name among the blobs of the cache.
    pub(crate) fn digits(&self) -> &str {
        match self {
            Self::Sha256(digits) | Self::GitBlob(digits) => digits,
        }
    }

    /// Begins to hash a file of `size` bytes.
    pub(crate) fn begin(&self, size: u64) -> Hasher {
        match self {
            Self::Sha256(_) => Hasher::Sha256(Sha256::new()),
            Self::GitBlob(_) => Hasher::GitBlob(Sha1::new().chain_update(format!("blob {size}\0"))),
        }
    }
}

/// A hash in the making.
pub(crate) enum Hasher {
    Sha256(Sha256),
    GitBlob(Sha1),
}

impl Hasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::GitBlob(hasher) => hasher.update(bytes),
        }
    }

    pub(crate) fn digits(self) -> String {
        match self {
            Self::Sha256(hasher) => hex(&hasher.finalize()),
            Self::GitBlob(hasher) => hex(&hasher.finalize()),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether `text` is a hash of `digits` hexadecimal digits in lower case.
pub(crate) fn is_hash(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values are those of `sha256sum` and `git hash-object`.
    #[test]
    fn hashes_are_those_of_sha256sum_and_git() {
        let of = |hash: FileHash| {
            let mut hasher = hash.begin(6);
            hasher.update(b"hel");
            hasher.update(b"lo\n");
            hasher.digits()
        };
        let sha256 = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
        assert_eq!(of(FileHash::Sha256(String::new())), sha256);
        let blob = "ce013625030ba8dba906f756967f9e9ca394464a";
        assert_eq!(of(FileHash::GitBlob(String::new())), blob);
    }
}
