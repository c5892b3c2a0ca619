//! From the name of a repository to a folder.

use std::fs;
use std::path::{Path, PathBuf};

use crate::bring::Download;
use crate::cache::RepoCache;
use crate::error::HubError;
use crate::folder::model_index;
use crate::hub::Hub;
use crate::observer::PullObserver;
use crate::options::HubOptions;
use crate::repo::{RepoId, check_revision};
use crate::select::{Selection, select};

/// A model in the cache.
///
/// ```no_run
/// use plantain_hub::{HubOptions, RepoId, Unobserved, pull};
///
/// let repo: RepoId = "segmind/tiny-sd".parse()?;
/// let pulled = pull(&repo, &HubOptions::from_env(), &mut Unobserved)?;
/// for file in &pulled.files {
///     println!("{:>12} {}", file.size, file.name);
/// }
/// # Ok::<(), plantain_hub::HubError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pulled {
    /// The folder in diffusers' layout; where the repository holds one checkpoint instead, that file.
    pub folder: PathBuf,
    /// The licence on the repository's card, if the hub was asked and it names one; the folder's README states it too.
    pub license: Option<String>,
    /// The files that belong to the model.
    pub files: Vec<PulledFile>,
    /// Hash of the commit.
    pub revision: String,
}

/// A file in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PulledFile {
    /// Its path in the repository, with slashes.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
}

/// Brings the model in `repo` into the cache and says where it is.
///
/// Of a repository in diffusers' layout come the parts that a model of the Stable Diffusion kind needs, each network with one
/// set of weights: safetensors rather than `.bin`, the plain variant rather than fp16 or others. A repository without
/// `model_index.json` may hold one checkpoint at its top instead.
///
/// Files that are in the cache are not fetched again, and those that are there in part are continued. Every file that is
/// fetched is checked against the hash in the hub's list of files.
///
/// # Errors
///
/// If the model is of another family or lacks a part, the hub refuses or cannot be reached, what arrives is not what it should
/// be, the disk is full, or `observer` stops it. With [`HubOptions::offline`]: if the cache lacks a file.
///
/// ```
/// use plantain_hub::{HubError, HubOptions, RepoId, Unobserved, pull};
///
/// let empty = tempfile::tempdir().unwrap();
/// let options = HubOptions {
///     offline: true,
///     ..HubOptions::new(empty.path())
/// };
/// let repo: RepoId = "segmind/tiny-sd".parse()?;
/// let error = pull(&repo, &options, &mut Unobserved).unwrap_err();
/// assert!(matches!(error, HubError::Offline { .. }));
/// # Ok::<(), HubError>(())
/// ```
pub fn pull(
    repo: &RepoId,
    options: &HubOptions,
    observer: &mut dyn PullObserver,
) -> Result<Pulled, HubError> {
    check_revision(&options.revision)?;
    let cache = RepoCache::new(&options.cache, repo, &options.revision);
    if options.offline {
        return from_cache(repo, options, &cache);
    }
    let hub = Hub::new(repo, options)?;
    let _lock = cache.lock()?;
    let listing = hub.list(observer)?;
    let download = Download {
        repo,
        hub: &hub,
        cache: &cache,
        listing: &listing,
    };
    let pulled = download.run(observer)?;
    cache.set_commit(&listing.commit)?;
    Ok(pulled)
}

/// What is in the cache, if it is whole.
fn from_cache(repo: &RepoId, options: &HubOptions, cache: &RepoCache) -> Result<Pulled, HubError> {
    let missing = |missing: String| HubError::Offline {
        repo: repo.to_string(),
        cache: options.cache.clone(),
        missing,
    };
    let never = || {
        missing(format!(
            "its revision `{}` was never pulled",
            options.revision
        ))
    };
    let commit = cache.commit().ok_or_else(never)?;
    let snapshot = cache.snapshot(&commit);
    let names = cache.names(&commit);
    let index = model_index(repo, &names, &snapshot)?;
    let selection = select(&names, index.as_ref()).map_err(missing)?;
    pulled(&selection, &snapshot, None, commit)
}

/// The files of `selection` in the folder of a commit.
pub(crate) fn pulled(
    selection: &Selection,
    snapshot: &Path,
    license: Option<String>,
    revision: String,
) -> Result<Pulled, HubError> {
    let file = |name: &String| {
        let path = snapshot.join(name);
        let size = fs::metadata(&path)
            .map_err(|e| HubError::io(&path, e))?
            .len();
        Ok(PulledFile {
            name: name.clone(),
            path,
            size,
        })
    };
    let files: Result<Vec<PulledFile>, HubError> = selection.files.iter().map(file).collect();
    let single = selection.single_file.as_ref();
    Ok(Pulled {
        folder: single.map_or_else(|| snapshot.to_path_buf(), |file| snapshot.join(file)),
        license,
        files: files?,
        revision,
    })
}
