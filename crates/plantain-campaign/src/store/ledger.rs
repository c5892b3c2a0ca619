//! The ledger: one line for each finished piece of work, only ever added to.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::record::Entry;
use crate::error::CampaignError;

/// An open ledger, which no other process writes to.
#[derive(Debug)]
pub(crate) struct Ledger {
    file: Mutex<File>,
}

impl Ledger {
    /// Opens the ledger at `path`, or begins it, and gives what it holds. A last line that was being written when a
    /// process died is taken away.
    pub(crate) fn open(path: &Path) -> Result<(Self, Vec<Entry>), CampaignError> {
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .map_err(CampaignError::write(path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let path = path.to_path_buf();
                return Err(CampaignError::Busy { path });
            }
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(CampaignError::write(path)(error)),
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text)
            .map_err(CampaignError::read(path))?;
        let (entries, whole) = parse(&text);
        if whole < text.len() {
            file.set_len(whole as u64)
                .map_err(CampaignError::write(path))?;
            file.seek(SeekFrom::End(0))
                .map_err(CampaignError::write(path))?;
        }
        let file = Mutex::new(file);
        Ok((Self { file }, entries))
    }

    /// The entries of another process's ledger, as far as it has come.
    pub(crate) fn read(path: &Path) -> Result<Vec<Entry>, CampaignError> {
        let text = std::fs::read(path).map_err(CampaignError::read(path))?;
        Ok(parse(&text).0)
    }

    /// Adds an entry, in one write.
    pub(crate) fn append(&self, entry: &Entry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&line)
    }

    /// Waits until everything is on the disk.
    pub(crate) fn flush(&self) -> io::Result<()> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.sync_data()
    }
}

/// The entries in `text`, and the length of the whole lines. A line that is no entry is left out: what it was about is
/// done again.
fn parse(text: &[u8]) -> (Vec<Entry>, usize) {
    let whole = text
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    let lines = text[..whole].split(|byte| *byte == b'\n');
    let entries = lines.filter_map(|line| serde_json::from_slice(line).ok());
    (entries.collect(), whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::record::FailureRecord;

    fn entry(seed: u64) -> Entry {
        Entry::Failure(FailureRecord {
            key: format!("k{seed}"),
            seed,
            reason: "a\nreason".into(),
        })
    }

    #[test]
    fn whatever_byte_a_process_dies_at_whole_lines_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        let (ledger, _) = Ledger::open(&path).unwrap();
        ledger.append(&entry(1)).unwrap();
        let first = std::fs::read(&path).unwrap().len();
        ledger.append(&entry(2)).unwrap();
        assert!(matches!(
            Ledger::open(&path),
            Err(CampaignError::Busy { .. })
        ));
        drop(ledger);
        let whole = std::fs::read(&path).unwrap();
        for end in 0..=whole.len() {
            std::fs::write(&path, &whole[..end]).unwrap();
            let (ledger, entries) = Ledger::open(&path).unwrap();
            let expected = usize::from(end >= first) + usize::from(end == whole.len());
            assert_eq!(entries.len(), expected, "{end}");
            ledger.append(&entry(3)).unwrap();
            drop(ledger);
            let (_, entries) = Ledger::open(&path).unwrap();
            assert_eq!(entries.len(), expected + 1, "{end}");
            assert_eq!(entries[expected], entry(3));
        }
    }
}
