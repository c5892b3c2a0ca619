//! A file of which not everything has arrived yet.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::error::HubError;
use crate::hash::{FileHash, Hasher};
use crate::observer::PullObserver;
use crate::retry::stop_if;

/// Bytes hashed at a time.
const CHUNK: usize = 1 << 20;

/// The beginning of a file, and the hash of what is there.
pub(crate) struct Partial<'a> {
    file: File,
    path: PathBuf,
    length: u64,
    hasher: Hasher,
    hash: &'a FileHash,
    size: u64,
}

impl<'a> Partial<'a> {
    /// Opens what an earlier pull left at `path` of a file of `size` bytes that must have the hash `hash`, or begins anew.
    pub(crate) fn open(
        path: PathBuf,
        hash: &'a FileHash,
        size: u64,
        observer: &mut dyn PullObserver,
    ) -> Result<Self, HubError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(&path).map_err(|e| HubError::io(&path, e))?;
        let mut partial = Self {
            file,
            path,
            length: 0,
            hasher: hash.begin(size),
            hash,
            size,
        };
        partial.read_back(observer)?;
        Ok(partial)
    }

    /// Hashes what is there; what is written afterwards comes behind it.
    fn read_back(&mut self, observer: &mut dyn PullObserver) -> Result<(), HubError> {
        let mut buffer = vec![0; CHUNK];
        loop {
            let read = self
                .file
                .read(&mut buffer)
                .map_err(|e| HubError::io(&self.path, e))?;
            if read == 0 {
                return Ok(());
            }
            self.length += read as u64;
            if self.length > self.size {
                return self.restart();
            }
            self.hasher.update(&buffer[..read]);
            stop_if(observer.progress(self.length))?;
        }
    }

    /// How many bytes are there.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Throws away what is there.
    pub(crate) fn restart(&mut self) -> Result<(), HubError> {
        let emptied = self.file.set_len(0).and_then(|()| self.file.rewind());
        emptied.map_err(|e| HubError::io(&self.path, e))?;
        self.length = 0;
        self.hasher = self.hash.begin(self.size);
        Ok(())
    }

    /// Adds the next bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), HubError> {
        self.file
            .write_all(bytes)
            .map_err(|e| HubError::io(&self.path, e))?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Gives the whole file its place at `path` if its hash is right. Otherwise removes it and says in the inner result which
    /// hash it has.
    pub(crate) fn finish(self, path: &Path) -> Result<Result<(), String>, HubError> {
        let found = self.hasher.digits();
        if found != self.hash.digits() {
            drop(self.file);
            fs::remove_file(&self.path).map_err(|e| HubError::io(&self.path, e))?;
            return Ok(Err(found));
        }
        self.file
            .sync_all()
            .map_err(|e| HubError::io(&self.path, e))?;
        drop(self.file);
        fs::rename(&self.path, path).map_err(|e| HubError::io(path, e))?;
        Ok(Ok(()))
    }
}
