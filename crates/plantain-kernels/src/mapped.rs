//! Files mapped into memory: weights are read from the page cache, without a copy of the file.

use std::fs::File;
use std::io;
use std::ops::{Deref, Range};
use std::path::Path;

/// A file mapped read-only into memory.
#[derive(Debug)]
pub struct MappedFile(memmap2::Mmap);

impl MappedFile {
    /// Maps the file at `path`.
    ///
    /// # Errors
    /// When the file cannot be opened or mapped; a directory or another special file is refused.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a regular file",
            ));
        }
        // SAFETY: the map is read-only. Its contents change only if another process truncates or
        // rewrites the file in place while it is open, which every memory-mapping reader of model
        // files accepts; our own writer never does so, it renames a finished file into place.
        let map = unsafe { memmap2::Mmap::map(&file)? };
        Ok(Self(map))
    }

    /// Lets the system take back the memory of the whole pages in `range`, whose contents have been
    /// used; reading them again would read the file again. Without effect where the system cannot.
    ///
    /// # Panics
    /// When `range` does not lie within the file.
    pub fn forget(&self, range: Range<usize>) {
        const PAGE: usize = 1 << 12;
        assert!(range.end <= self.0.len(), "a range within the file");
        let (start, end) = (range.start.next_multiple_of(PAGE), range.end / PAGE * PAGE);
        #[cfg(target_os = "linux")]
        if start < end {
            // SAFETY: the pages are those of a read-only map of a file, so what comes back at the next
            // access is the same; nothing was written that could be lost.
            let advice = unsafe {
                self.0.unchecked_advise_range(
                    memmap2::UncheckedAdvice::DontNeed,
                    start,
                    end - start,
                )
            };
            // It is no more than a hint.
            let _ = advice;
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (start, end);
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
