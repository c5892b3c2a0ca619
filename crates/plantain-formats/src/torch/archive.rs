//! Files of `torch.save` since PyTorch 1.6: zip archives of a pickle and storages, none of them compressed.

use std::collections::HashMap;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::ops::Range;

use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive, read};

use super::{Lost, state_dict};
use crate::detect::SAVE_AGAIN;
use crate::{Format, FormatError, Table, limits, pickle};

const PICKLE: &str = "data.pkl";

pub(crate) fn parse(bytes: &[u8]) -> Result<Table, FormatError> {
    let mut archive = Archive::open(bytes)?;
    if archive.has("constants.pkl") {
        let what = "is a TorchScript program, not tensors by name";
        return Err(FormatError::unsupported(
            what,
            "save the model's `state_dict()`, as safetensors",
        ));
    }
    if archive.has("byteorder") {
        let order = archive.file("byteorder")?;
        if bytes[order] != *b"little" {
            let what = "has big-endian numbers";
            return Err(FormatError::unsupported(what, SAVE_AGAIN));
        }
    }
    let pickle = archive.file(PICKLE)?;
    if pickle.len() > limits::PICKLE {
        let length = pickle.len();
        return Err(FormatError::damaged(format!(
            "its pickle is {length} bytes long"
        )));
    }
    let mut heap = pickle::Heap::default();
    let (root, _) = pickle::load(&mut heap, &bytes[pickle], 0)?;
    let mut storages = HashMap::new();
    state_dict::table(Format::Torch, &heap, root, |storage| {
        if let Some(range) = storages.get(storage.key) {
            return Ok(Range::clone(range));
        }
        let range = archive.locate(&format!("data/{}", storage.key))?;
        storages.insert(storage.key, range.clone());
        Ok(range)
    })
}

/// The archive's directory.
struct Archive<'a> {
    zip: ZipArchive<Limited<'a>>,
    /// What all names begin with.
    folder: String,
    length: usize,
}

impl<'a> Archive<'a> {
    fn open(bytes: &'a [u8]) -> Result<Self, FormatError> {
        check_count(bytes)?;
        let limited = Limited {
            file: Cursor::new(bytes),
            left: limits::DIRECTORY,
        };
        // Nobody puts anything before the archives of PyTorch, so there is no need to search the file for one.
        let archive_offset = read::ArchiveOffset::Known(0);
        let zip = ZipArchive::with_config(read::Config { archive_offset }, limited)
            .map_err(|e| FormatError::damaged(format!("its zip directory cannot be read ({e})")))?;
        let mut folders = zip.file_names_raw().filter_map(|name| {
            let folder = str::from_utf8(name).ok()?.strip_suffix(PICKLE)?;
            let is_folder = folder.find('/') == folder.len().checked_sub(1);
            is_folder.then(|| folder.to_string())
        });
        let folder = folders.next().ok_or(FormatError::Foreign {
            found: "a zip archive that PyTorch did not write",
            advice: "unpack it, or use the safetensors files of the same model",
        })?;
        if folders.next().is_some() {
            return Err(FormatError::damaged("it holds several pickles"));
        }
        drop(folders);
        Ok(Self {
            zip,
            folder,
            length: bytes.len(),
        })
    }

    fn has(&self, name: &str) -> bool {
        let path = format!("{}{name}", self.folder);
        self.zip.index_for_name_raw(path.as_bytes()).is_some()
    }

    /// Where the file `name` of the archive's folder lies.
    fn file(&mut self, name: &str) -> Result<Range<usize>, FormatError> {
        self.locate(name).map_err(|lost| match lost {
            Lost::Damaged(reason) => FormatError::Damaged { reason },
            Lost::Refused(error) => error,
        })
    }

    fn locate(&mut self, name: &str) -> Result<Range<usize>, Lost> {
        let path = format!("{}{name}", self.folder);
        let Some(index) = self.zip.index_for_name_raw(path.as_bytes()) else {
            return Err(Lost::Damaged(format!("`{path}` is missing in the archive")));
        };
        let refused = |how: &str| {
            let what = format!("holds `{path}` {how}, and PyTorch never does so");
            Lost::Refused(FormatError::unsupported(what, SAVE_AGAIN))
        };
        let damaged = |e: ZipError| Lost::Damaged(format!("`{path}` cannot be read ({e})"));
        let file = self.zip.by_index_raw(index).map_err(damaged)?;
        if file.encrypted() {
            return Err(refused("encrypted"));
        }
        if file.compression() != CompressionMethod::Stored {
            return Err(refused("compressed"));
        }
        let range = file
            .data_start()
            .filter(|_| file.size() == file.compressed_size())
            .and_then(|start| {
                let end = start.checked_add(file.size())?;
                Some(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
            })
            .filter(|range| range.end <= self.length);
        range.ok_or_else(|| Lost::Damaged(format!("`{path}` reaches beyond the end of the file")))
    }
}

/// Refuses directories that declare too many files: `zip` makes room for as many before it reads any.
fn check_count(bytes: &[u8]) -> Result<(), FormatError> {
    // The locator of the large directory is just before the end record, and that before a comment of up to 64 KiB.
    const TAIL: usize = 20 + 22 + 0xffff;
    let tail = bytes.len().saturating_sub(TAIL);
    let locators = bytes[tail..]
        .windows(16)
        .filter(|w| w.starts_with(b"PK\x06\x07"));
    for locator in locators {
        let declared = number(locator, 8)
            .and_then(|at| bytes.get(usize::try_from(at).ok()?..))
            .and_then(|record| number(record, 32));
        if let Some(count) = declared.filter(|&n| n > limits::FILES) {
            return Err(FormatError::damaged(format!(
                "its zip directory declares {count} files"
            )));
        }
    }
    Ok(())
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// A file of which so much may be read: directories of more are hostile.
struct Limited<'a> {
    file: Cursor<&'a [u8]>,
    left: usize,
}

impl Read for Limited<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.left = self
            .left
            .checked_sub(buffer.len())
            .ok_or_else(|| io::Error::other("it is too long"))?;
        self.file.read(buffer)
    }
}

impl Seek for Limited<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}
