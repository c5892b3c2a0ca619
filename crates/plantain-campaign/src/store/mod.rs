//! The output folder: what is finished in it, and how more is added.
//!
//! Besides the assets it holds a folder `.plantain` with every picture that was drawn, under the name of what went into
//! it, and a ledger that says so. Neither has anything of the campaign's order in it, so rows may come, go and move.

mod ledger;
mod record;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use plantain::weights::sha256;

use crate::error::CampaignError;
use crate::shard::Shard;

use ledger::Ledger;
pub(crate) use record::Entry;
pub use record::{AssetRecord, FailureRecord, PictureRecord};

/// Name of the folder with pictures and ledgers.
const FOLDER: &str = ".plantain";

/// An output folder at work.
#[derive(Debug)]
pub(crate) struct Store {
    root: PathBuf,
    ledger: Ledger,
    known: Known,
    /// Folder of this process for files that are being written, and how many there have been.
    unfinished: PathBuf,
    begun: AtomicU64,
}

/// What ledgers say, as far as the files bear them out.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// By key.
    pub(crate) pictures: HashMap<String, PictureRecord>,
    /// By key.
    pub(crate) failures: HashMap<String, FailureRecord>,
    /// By path.
    pub(crate) assets: HashMap<String, AssetRecord>,
}

impl Known {
    fn add(&mut self, entry: Entry) {
        match entry {
            Entry::Picture(record) => {
                self.failures.remove(&record.key);
                self.pictures.insert(record.key.clone(), record);
            }
            // Ledgers of several processes are read in no order of time.
            Entry::Failure(record) if self.pictures.contains_key(&record.key) => drop(record),
            Entry::Failure(record) => {
                self.failures.insert(record.key.clone(), record);
            }
            Entry::Asset(record) => {
                self.assets.insert(record.path.clone(), record);
            }
        }
    }

    /// Whether nothing is left to do for the picture `key`.
    pub(crate) fn settled(&self, key: &str) -> bool {
        self.pictures.contains_key(key) || self.failures.contains_key(key)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.unfinished);
    }
}

impl Store {
    /// Opens `root`, which is made where there is none, for the process that works on `shard`. What a ledger says and
    /// no file bears out counts as undone.
    pub(crate) fn open(root: &Path, shard: Shard) -> Result<Self, CampaignError> {
        let folder = root.join(FOLDER);
        fs::create_dir_all(&folder).map_err(CampaignError::write(&folder))?;
        let own = folder.join(ledger_name(shard));
        let (ledger, entries) = Ledger::open(&own)?;
        // Where a process was killed before, it left something.
        let unfinished = own.with_extension("unfinished");
        let _ = fs::remove_dir_all(&unfinished);
        fs::create_dir_all(&unfinished).map_err(CampaignError::write(&unfinished))?;
        let mut known = Known::default();
        for other in ledgers(&folder)?.into_iter().filter(|path| *path != own) {
            Ledger::read(&other)?
                .into_iter()
                .for_each(|entry| known.add(entry));
        }
        entries.into_iter().for_each(|entry| known.add(entry));
        let mut store = Self {
            root: root.to_path_buf(),
            ledger,
            known,
            unfinished,
            begun: AtomicU64::new(0),
        };
        store.forget_what_is_not_there();
        Ok(store)
    }

    /// What is finished.
    pub(crate) fn known(&self) -> &Known {
        &self.known
    }

    /// Takes over what the run of a shard made in a folder of its own.
    pub(crate) fn adopt(&mut self, shard: &Path) -> Result<(), CampaignError> {
        let folder = shard.join(FOLDER);
        if !folder.is_dir() {
            let source = io::Error::new(
                io::ErrorKind::NotFound,
                "it is no output folder of a campaign",
            );
            return Err(CampaignError::read(shard)(source));
        }
        for path in ledgers(&folder)? {
            for entry in Ledger::read(&path)? {
                match entry {
                    Entry::Picture(record) => self.adopt_picture(&folder, record)?,
                    Entry::Failure(record) if !self.known.settled(&record.key) => {
                        self.add(Entry::Failure(record))?;
                    }
                    // Assets are made of the pictures again where they belong.
                    Entry::Failure(_) | Entry::Asset(_) => {}
                }
            }
        }
        Ok(())
    }

    fn adopt_picture(&mut self, folder: &Path, record: PictureRecord) -> Result<(), CampaignError> {
        if self.known.pictures.contains_key(&record.key) {
            return Ok(());
        }
        let from = picture_path(folder, &record.key);
        match fs::read(&from) {
            Ok(bytes) if sha256(&bytes) == record.sha256 => {
                self.write_picture(&record.key, &bytes)?;
                self.add(Entry::Picture(record))
            }
            // It counts as missing, which is found out later.
            _ => Ok(()),
        }
    }

    /// Lets pictures that earlier runs failed to draw be tried again: this one may draw on another device, or in another precision.
    pub(crate) fn forget_failures(&mut self) {
        self.known.failures.clear();
    }

    /// Puts the bytes of a picture's file in place; the picture counts once its entry is added.
    pub(crate) fn write_picture(&self, key: &str, bytes: &[u8]) -> Result<(), CampaignError> {
        self.write(&self.picture_path(key), bytes)
    }

    /// Where a picture's file is.
    pub(crate) fn picture_path(&self, key: &str) -> PathBuf {
        picture_path(&self.root.join(FOLDER), key)
    }

    /// The bytes of a picture's file.
    pub(crate) fn read_picture(&self, key: &str) -> Result<Vec<u8>, CampaignError> {
        let path = self.picture_path(key);
        fs::read(&path).map_err(CampaignError::read(&path))
    }

    /// Writes a file of the campaign at `path` below the folder.
    pub(crate) fn write_output(&self, path: &str, bytes: &[u8]) -> Result<(), CampaignError> {
        self.write(&self.root.join(path), bytes)
    }

    /// Makes a file appear whole or not at all. It is not waited for until it is on the disk: what a loss of power takes is
    /// not what the ledger says, and is made again.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), CampaignError> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(CampaignError::write(folder))?;
        }
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        let unfinished = self.unfinished.join(number.to_string());
        let written = fs::write(&unfinished, bytes).and_then(|()| fs::rename(&unfinished, path));
        written.map_err(|error| {
            let _ = fs::remove_file(&unfinished);
            CampaignError::write(path)(error)
        })
    }

    /// Records a finished piece of work, for this process and for those to come.
    pub(crate) fn add(&mut self, entry: Entry) -> Result<(), CampaignError> {
        self.append(&entry)?;
        self.known.add(entry);
        Ok(())
    }

    /// [`Self::add`] for threads that share the store: this process learns of it by [`Self::learn`].
    pub(crate) fn append(&self, entry: &Entry) -> Result<(), CampaignError> {
        let path = self.root.join(FOLDER);
        self.ledger
            .append(entry)
            .map_err(CampaignError::write(&path))
    }

    /// Takes note of entries that were appended.
    pub(crate) fn learn(&mut self, entries: impl IntoIterator<Item = Entry>) {
        entries.into_iter().for_each(|entry| self.known.add(entry));
    }

    /// Waits until every entry is on the disk.
    pub(crate) fn flush(&self) -> Result<(), CampaignError> {
        let path = self.root.join(FOLDER);
        self.ledger.flush().map_err(CampaignError::write(&path))
    }

    fn forget_what_is_not_there(&mut self) {
        let (root, folder) = (&self.root, self.root.join(FOLDER));
        let is = |path: &Path, hash: &str| fs::read(path).is_ok_and(|bytes| sha256(&bytes) == hash);
        let pictures = &mut self.known.pictures;
        pictures.retain(|key, record| is(&picture_path(&folder, key), &record.sha256));
        let assets = &mut self.known.assets;
        assets.retain(|path, record| is(&root.join(path), &record.sha256));
    }
}

fn ledger_name(shard: Shard) -> String {
    match shard.parts() {
        (_, 1) => "ledger.jsonl".into(),
        (index, count) => format!("ledger-{index}-of-{count}.jsonl"),
    }
}

/// The ledgers of all processes that worked in a folder, in a fixed order.
fn ledgers(folder: &Path) -> Result<Vec<PathBuf>, CampaignError> {
    let entries = folder.read_dir().map_err(CampaignError::read(folder))?;
    let is_ledger = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("ledger") && name.ends_with(".jsonl")
    };
    let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    let mut paths: Vec<_> = paths.filter(is_ledger).collect();
    paths.sort();
    Ok(paths)
}

/// Where a picture is: in one of 256 folders, as folders with many thousand files are slow.
fn picture_path(folder: &Path, key: &str) -> PathBuf {
    folder
        .join("pictures")
        .join(&key[..2])
        .join(format!("{key}.png"))
}
