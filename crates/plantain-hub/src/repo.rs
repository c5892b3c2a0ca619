//! Names of repositories and of their revisions.

use std::fmt;
use std::str::FromStr;

use crate::error::HubError;

/// Longest name that the hub gives.
const MAX_NAME: usize = 96;
/// Longest name of a branch, tag or pull request.
const MAX_REVISION: usize = 255;

/// The name of a repository, `OWNER/NAME`.
///
/// ```
/// use plantain_hub::RepoId;
///
/// let repo: RepoId = "nota-ai/bk-sdm-tiny".parse()?;
/// assert_eq!((repo.owner(), repo.name()), ("nota-ai", "bk-sdm-tiny"));
/// assert_eq!(repo.to_string(), "nota-ai/bk-sdm-tiny");
/// assert!("../secret".parse::<RepoId>().is_err());
/// # Ok::<(), plantain_hub::HubError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RepoId {
    owner: String,
    name: String,
}

impl RepoId {
    /// The user or organisation that published it.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Its name among those of its owner.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl FromStr for RepoId {
    type Err = HubError;

    fn from_str(text: &str) -> Result<Self, HubError> {
        match text.split_once('/') {
            Some((owner, name)) if is_name(owner) && is_name(name) => Ok(Self {
                owner: owner.to_string(),
                name: name.to_string(),
            }),
            _ => Err(HubError::RepoId {
                text: text.to_string(),
            }),
        }
    }
}

impl fmt::Display for RepoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

/// The hub's rules for names. Two hyphens would be taken for the border between owner and name in the cache.
fn is_name(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && !text.contains("--")
        && !text.contains("..")
        && !text.starts_with(['-', '.'])
        && !text.ends_with(['-', '.'])
}

/// Refuses revisions that would lead out of their folder in the cache.
pub(crate) fn check_revision(revision: &str) -> Result<(), HubError> {
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.+".contains(c))
    };
    if revision.len() <= MAX_REVISION && revision.split('/').all(plain) {
        Ok(())
    } else {
        Err(HubError::Revision {
            revision: revision.to_string(),
        })
    }
}

/// Whether `text` is the hash of a commit, in full.
pub(crate) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_repositories_are_checked() {
        for good in [
            "a/b",
            "stabilityai/sd-turbo",
            "IDKiro/sdxs-512-0.9",
            "a_b/C.d",
        ] {
            assert_eq!(good.parse::<RepoId>().unwrap().to_string(), good);
        }
        let long = format!("a/{}", "b".repeat(97));
        for bad in [
            "",
            "gpt2",
            "/",
            "a/",
            "/b",
            "a/b/c",
            "../b",
            "a/..",
            "a/.b",
            "a/b.",
            "a--b/c",
            "a/b c",
            "a\\b/c",
            "https://hub/a/b",
            "a/b\n",
            "ä/b",
            &long,
        ] {
            assert!(bad.parse::<RepoId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn revisions_stay_in_their_folder() {
        for good in ["main", "fp16", "v1.0", "refs/pr/12", "feature/a_b-c"] {
            check_revision(good).unwrap();
        }
        for bad in [
            "", "/", "..", "../x", "a/../b", "/etc", "a//b", "a\\b", ".hidden", "a b", "a%2fb",
        ] {
            assert!(check_revision(bad).is_err(), "{bad}");
        }
    }
}
