//! The cache's layout, which is Hugging Face's: contents under their hash in `blobs`, links with their names in `snapshots`,
//! the commits of branches in `refs`.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use hf_hub::{Cache, CacheRepo, Repo, RepoType};

use crate::error::HubError;
use crate::hash::FileHash;
use crate::repo::{RepoId, is_commit};

/// One repository's part of the cache.
pub(crate) struct RepoCache {
    repo: String,
    revision: String,
    folder: PathBuf,
    lock: PathBuf,
    inner: CacheRepo,
}

impl RepoCache {
    /// The part of `cache` for `repo`; `revision` must have been checked.
    pub(crate) fn new(cache: &Path, repo: &RepoId, revision: &str) -> Self {
        let named = Repo::with_revision(repo.to_string(), RepoType::Model, revision.to_string());
        let folder_name = named.folder_name();
        Self {
            repo: repo.to_string(),
            revision: revision.to_string(),
            folder: cache.join(&folder_name),
            lock: cache
                .join(".locks")
                .join(&folder_name)
                .join("plantain.lock"),
            inner: Cache::new(cache.to_path_buf()).repo(named),
        }
    }

    /// Keeps other pulls of this repository out for as long as the file is open.
    pub(crate) fn lock(&self) -> Result<File, HubError> {
        create_parent(&self.lock)?;
        let file = File::create(&self.lock).map_err(|e| HubError::io(&self.lock, e))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(HubError::Busy {
                repo: self.repo.clone(),
            }),
            Err(TryLockError::Error(source)) => Err(HubError::io(&self.lock, source)),
        }
    }

    /// Where a file's contents are when they are whole.
    pub(crate) fn blob(&self, hash: &FileHash) -> PathBuf {
        self.folder.join("blobs").join(hash.digits())
    }

    /// The folder of a commit, which has diffusers' layout.
    pub(crate) fn snapshot(&self, commit: &str) -> PathBuf {
        self.inner.pointer_path(commit)
    }

    /// Gives contents that are whole their name in the commit's folder.
    pub(crate) fn link(&self, blob: &Path, commit: &str, name: &str) -> Result<(), HubError> {
        let path = self.snapshot(commit).join(name);
        create_parent(&path)?;
        if path.symlink_metadata().is_ok() {
            fs::remove_file(&path).map_err(|e| HubError::io(&path, e))?;
        }
        let target = Path::new(&"../".repeat(2 + name.matches('/').count())).join("blobs");
        let target = target.join(blob.file_name().unwrap_or_default());
        link_or_move(&target, blob, &path).map_err(|e| HubError::io(&path, e))
    }

    /// Remembers which commit the revision is.
    pub(crate) fn set_commit(&self, commit: &str) -> Result<(), HubError> {
        if is_commit(&self.revision) {
            return Ok(());
        }
        self.inner
            .create_ref(commit)
            .map_err(|e| HubError::io(self.folder.join("refs"), e))
    }

    /// The commit that the revision was when it was last pulled.
    pub(crate) fn commit(&self) -> Option<String> {
        if is_commit(&self.revision) {
            return Some(self.revision.to_ascii_lowercase());
        }
        let path = self.folder.join("refs").join(&self.revision);
        let text = fs::read_to_string(path).ok()?;
        Some(text.trim().to_string()).filter(|commit| is_commit(commit))
    }

    /// The files of a commit that are there, at the top and one folder down.
    pub(crate) fn names(&self, commit: &str) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for (name, path) in entries(&self.snapshot(commit)) {
            if path.is_dir() {
                let inside = entries(&path)
                    .into_iter()
                    .filter(|(_, path)| path.is_file());
                names.extend(inside.map(|(inner, _)| format!("{name}/{inner}")));
            } else if path.is_file() {
                names.insert(name);
            }
        }
        names
    }
}

/// Makes the folder in which `path` is going to be.
pub(crate) fn create_parent(path: &Path) -> Result<(), HubError> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(|e| HubError::io(folder, e))
}

/// Whether there is a file of `size` bytes at `path`.
pub(crate) fn has_size(path: &Path, size: u64) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() == size)
}

/// What is in a folder; nothing, if it cannot be read.
fn entries(folder: &Path) -> Vec<(String, PathBuf)> {
    let found = fs::read_dir(folder).into_iter().flatten().flatten();
    let named = found.map(|entry| (entry.file_name().into_string(), entry.path()));
    named
        .filter_map(|(name, path)| Some((name.ok()?, path)))
        .collect()
}

#[cfg(unix)]
fn link_or_move(target: &Path, blob: &Path, path: &Path) -> io::Result<()> {
    // Some file systems of memory cards have no links.
    std::os::unix::fs::symlink(target, path).or_else(|_| fs::rename(blob, path))
}

#[cfg(windows)]
fn link_or_move(target: &Path, blob: &Path, path: &Path) -> io::Result<()> {
    // Links are a privilege there.
    let target = target.to_string_lossy().replace('/', "\\");
    std::os::windows::fs::symlink_file(target, path).or_else(|_| fs::rename(blob, path))
}

#[cfg(not(any(unix, windows)))]
fn link_or_move(_target: &Path, blob: &Path, path: &Path) -> io::Result<()> {
    fs::rename(blob, path)
}
