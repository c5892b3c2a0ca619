//! What can go wrong, each error saying what, where and what to do.

use std::io;
use std::path::PathBuf;

/// A model that could not be pulled.
///
/// ```
/// use plantain_hub::RepoId;
///
/// let error = "gpt2".parse::<RepoId>().unwrap_err();
/// assert!(error.to_string().contains("OWNER/NAME"));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// No name of a repository.
    #[error("`{text}` does not name a repository; write OWNER/NAME, as in segmind/tiny-sd")]
    RepoId {
        /// What was given.
        text: String,
    },
    /// No name of a branch, tag or commit.
    #[error(
        "`{revision}` is no revision; give the name of a branch or tag, or the hash of a commit"
    )]
    Revision {
        /// What was given.
        revision: String,
    },
    /// No address of a hub.
    #[error("the endpoint `{endpoint}` is no address of a hub; write it as https://HOST")]
    Endpoint {
        /// What was given.
        endpoint: String,
    },
    /// A token that cannot be sent.
    #[error("the access token is empty or has characters that no token has; set HF_TOKEN anew")]
    Token,
    /// The cache lacks something, and may not fetch it.
    #[error(
        "{repo} is not whole in {} ({missing}) and offline mode is on; pull it once without HF_HUB_OFFLINE",
        cache.display()
    )]
    Offline {
        /// The repository.
        repo: String,
        /// The cache.
        cache: PathBuf,
        /// What is not there.
        missing: String,
    },
    /// Another pull of the same repository.
    #[error("another program is pulling {repo} into the same cache; wait until it is done")]
    Busy {
        /// The repository.
        repo: String,
    },
    /// There is no such repository, or none that this token may see.
    #[error(
        "{host} has no repository {repo} that it shows; check the name, set HF_TOKEN if it is private, and renew the token if there is one: hubs show nothing for one that has expired"
    )]
    NoRepository {
        /// The hub.
        host: String,
        /// The repository.
        repo: String,
    },
    /// The repository has no such revision.
    #[error("{repo} has no revision `{revision}`; give a branch, tag or commit that it has")]
    NoRevision {
        /// The repository.
        repo: String,
        /// The revision.
        revision: String,
    },
    /// The file was listed, but is not there.
    #[error("{repo} lists {file}, but does not have it; try another revision")]
    NoFile {
        /// The repository.
        repo: String,
        /// The file.
        file: String,
    },
    /// The licence has to be accepted first.
    #[error(
        "{repo} is only for those who accepted its licence; accept it on {page}, then set HF_TOKEN to a token of that account"
    )]
    Gated {
        /// The repository.
        repo: String,
        /// Address of its page.
        page: String,
    },
    /// The hub answered with something that this program does not expect.
    #[error("{host} answered {what} with status {status}; check the endpoint, or try again later")]
    Status {
        /// The host.
        host: String,
        /// What was asked for.
        what: String,
        /// The HTTP status.
        status: u16,
    },
    /// The hub asks to wait for longer than the patience allows.
    #[error(
        "{host} asks to wait for {seconds} seconds before {what}; pull again then, what has arrived is kept"
    )]
    RateLimited {
        /// The host.
        host: String,
        /// What was asked for.
        what: String,
        /// How long.
        seconds: u64,
    },
    /// A request failed as often as the patience allows.
    #[error(
        "cannot get {what} from {host} after {attempts} attempts: {reason}; pull again to continue, what has arrived is kept"
    )]
    GaveUp {
        /// The hub.
        host: String,
        /// What was asked for.
        what: String,
        /// How often.
        attempts: u32,
        /// What happened last.
        reason: String,
    },
    /// A redirection that is not followed.
    #[error(
        "{host} redirected {what} to where this program does not go: {reason}; check the endpoint"
    )]
    Redirect {
        /// The hub.
        host: String,
        /// What was asked for.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The list of files makes no sense, or is too long.
    #[error("the list of files of {repo} cannot be used: {reason}; check the endpoint")]
    Listing {
        /// The repository.
        repo: String,
        /// Why.
        reason: String,
    },
    /// A file that would lie outside of its folder.
    #[error(
        "{repo} lists the file `{path}`, which would lie outside of its folder; do not use this repository"
    )]
    UnsafePath {
        /// The repository.
        repo: String,
        /// The file as listed.
        path: String,
    },
    /// A model of another family.
    #[error(
        "{repo} is a model of another kind ({what}); models of the Stable Diffusion 1 and 2 kind can be used"
    )]
    Family {
        /// The repository.
        repo: String,
        /// What shows it.
        what: String,
    },
    /// Not a model, or not a whole one.
    #[error("{repo} cannot be used: {reason}")]
    Unusable {
        /// The repository.
        repo: String,
        /// What it lacks, and what to do.
        reason: String,
    },
    /// A file of another size than the hub said.
    #[error(
        "{file} of {repo} should have {expected} bytes, but {found} are offered; pull again, or check the endpoint"
    )]
    Size {
        /// The repository.
        repo: String,
        /// The file.
        file: String,
        /// Bytes according to the list of files.
        expected: u64,
        /// Bytes offered.
        found: u64,
    },
    /// The bytes are not those that the hub has.
    #[error(
        "{file} of {repo} arrived damaged and was removed: its hash should be {expected} and is {found}; pull again"
    )]
    WrongHash {
        /// The repository.
        repo: String,
        /// The file.
        file: String,
        /// Hash according to the list of files.
        expected: String,
        /// Hash of what arrived.
        found: String,
    },
    /// The operating system refused.
    #[error("cannot use {}: {source}; what has arrived is kept, so pull again when this is mended", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The observer stopped it.
    #[error("stopped; pull again to continue, what has arrived is kept")]
    Cancelled,
}

impl HubError {
    pub(crate) fn io(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io {
            path: path.into(),
            source,
        }
    }
}
