//! The hub's interface: which address has what, and what its answers mean.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ureq::http::Uri;

use crate::client::{Answer, Client};
use crate::error::HubError;
use crate::listing::{self, Listing, ListingProblem};
use crate::observer::PullObserver;
use crate::options::{HubOptions, Patience};
use crate::redirect::Origin;
use crate::repo::RepoId;
use crate::retry::{Retries, Setback};

/// What stays as it is in a part of an address.
const PART: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');
/// What the list of files is called in errors.
const LIST: &str = "the list of files";

/// One revision of a repository on a hub.
pub(crate) struct Hub {
    pub(crate) client: Client,
    pub(crate) host: String,
    pub(crate) patience: Patience,
    endpoint: String,
    repo: String,
    revision: String,
}

impl Hub {
    /// Opens no connection yet.
    pub(crate) fn new(repo: &RepoId, options: &HubOptions) -> Result<Self, HubError> {
        let endpoint = options.endpoint.trim_end_matches('/').to_string();
        let address: Option<Uri> = endpoint.parse().ok();
        let origin = address
            .filter(|a| a.query().is_none())
            .as_ref()
            .and_then(Origin::of);
        let origin = origin.ok_or_else(|| HubError::Endpoint {
            endpoint: options.endpoint.clone(),
        })?;
        let client = Client::new(origin, options.checked_token()?, &options.patience);
        Ok(Self {
            host: client.host(),
            client,
            patience: options.patience,
            endpoint,
            repo: repo.to_string(),
            revision: options.revision.clone(),
        })
    }

    /// The repository's name.
    pub(crate) fn repo(&self) -> &str {
        &self.repo
    }

    /// Address of a file of a commit.
    pub(crate) fn file_url(&self, commit: &str, name: &str) -> String {
        let parts: Vec<String> = name.split('/').map(encode).collect();
        format!(
            "{}/{}/resolve/{commit}/{}",
            self.endpoint,
            self.repo,
            parts.join("/")
        )
    }

    /// What the revision holds.
    pub(crate) fn list(&self, observer: &mut dyn PullObserver) -> Result<Listing, HubError> {
        let mut retries = Retries::new(&self.patience, &self.host, LIST);
        loop {
            match self.try_list(observer) {
                Ok(listing) => return Ok(listing),
                Err(setback) => retries.wait(setback, observer)?,
            }
        }
    }

    fn try_list(&self, observer: &mut dyn PullObserver) -> Result<Listing, Setback> {
        let revision = encode(&self.revision);
        let url = format!(
            "{}/api/models/{}/revision/{revision}?blobs=true",
            self.endpoint, self.repo
        );
        let mut answer = self.client.get(&url, None, LIST, observer)?;
        if answer.status != 200 {
            return Err(self.refusal(&answer, None));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.next(observer)? {
            if bytes.len() + chunk.len() > listing::MAX_BYTES {
                return Err(self
                    .bad_list(format!("it has more than {} MB", listing::MAX_BYTES >> 20))
                    .into());
            }
            bytes.extend_from_slice(&chunk);
        }
        listing::parse(&bytes).map_err(|problem| match problem {
            ListingProblem::Other(reason) => self.bad_list(reason).into(),
            ListingProblem::UnsafePath(path) => Setback::Final(HubError::UnsafePath {
                repo: self.repo.clone(),
                path,
            }),
        })
    }

    fn bad_list(&self, reason: String) -> HubError {
        HubError::Listing {
            repo: self.repo.clone(),
            reason,
        }
    }

    /// What an answer without contents means, for the file `file` or for the list of files.
    pub(crate) fn refusal(&self, answer: &Answer, file: Option<&str>) -> Setback {
        let status = answer.status;
        if matches!(status, 408 | 429 | 500..=599) || (file.is_some() && !answer.from_hub) {
            return Setback::Passing {
                reason: format!("it was answered with status {status}"),
                wait: retry_after(answer),
            };
        }
        let repo = self.repo.clone();
        let code = answer.header("x-error-code").unwrap_or("");
        Setback::Final(match (status, code, file) {
            (401 | 403, "GatedRepo", _) | (403, _, _) | (401, _, Some(_)) => HubError::Gated {
                page: format!("{}/{repo}", self.endpoint),
                repo,
            },
            (404, "RevisionNotFound", _) => HubError::NoRevision {
                repo,
                revision: self.revision.clone(),
            },
            (404, _, Some(file)) => HubError::NoFile {
                repo,
                file: file.to_string(),
            },
            // The hub does not tell strangers whether a repository is private or does not exist.
            (401 | 404, _, _) => HubError::NoRepository {
                host: self.host.clone(),
                repo,
            },
            _ => HubError::Status {
                host: self.host.clone(),
                what: file.unwrap_or(LIST).to_string(),
                status,
            },
        })
    }
}

fn encode(part: &str) -> String {
    utf8_percent_encode(part, PART).to_string()
}

/// How long the hub asks to wait, where it says so in seconds.
fn retry_after(answer: &Answer) -> Option<Duration> {
    answer
        .header("retry-after")?
        .trim()
        .parse()
        .ok()
        .map(Duration::from_secs)
}
