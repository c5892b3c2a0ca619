//! What can go wrong with a campaign, split by who can mend it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Where in a file something is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// Its line, from 1, where one can be told.
    pub line: Option<usize>,
    /// The key or column, where one can be told.
    pub key: Option<String>,
}

impl Place {
    /// Somewhere in `file`.
    pub fn file(file: &Path) -> Self {
        Self {
            file: file.to_path_buf(),
            line: None,
            key: None,
        }
    }

    /// The same place at line `line`, from 1.
    pub fn line(self, line: usize) -> Self {
        let line = Some(line);
        Self { line, ..self }
    }

    /// The same place at `key`.
    pub fn key(self, key: impl Into<String>) -> Self {
        let key = Some(key.into());
        Self { key, ..self }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(key) = &self.key {
            write!(f, ": `{key}`")?;
        }
        Ok(())
    }
}

/// A failure of a campaign as a whole; that of a single picture is an entry of its ledger.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CampaignError {
    /// The campaign or one of the files that it names says something that cannot be.
    #[error("{place}: {problem}")]
    Invalid {
        /// Where.
        place: Place,
        /// What, in one line.
        problem: String,
    },
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file or folder cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process works in the same folder.
    #[error("another run is at work in {path}; wait for it, or choose another folder")]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// Pictures that other shards were to make are not there.
    #[error(
        "{missing} of {expected} pictures are missing, first of them those of {first}; run the shards that lack them again"
    )]
    Incomplete {
        /// How many.
        missing: usize,
        /// Of how many.
        expected: usize,
        /// Which, in words.
        first: String,
    },
    /// The shards of this run cannot be told.
    #[error("{0}")]
    Shard(String),
    /// The model failed.
    #[error(transparent)]
    Model(#[from] plantain::Error),
    /// A picture or page that belongs to the whole campaign cannot be made.
    #[error("cannot make {what}: {reason}")]
    Make {
        /// Such as `the contact sheet`.
        what: String,
        /// Why.
        reason: String,
    },
    /// The run was asked to stop.
    #[error("stopped; what is finished is kept, and the same command goes on from there")]
    Stopped,
}

impl CampaignError {
    pub(crate) fn invalid(place: Place, problem: impl Into<String>) -> Self {
        let problem = problem.into();
        Self::Invalid { place, problem }
    }

    pub(crate) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        |source| Self::Read { path, source }
    }

    pub(crate) fn write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        |source| Self::Write { path, source }
    }
}
