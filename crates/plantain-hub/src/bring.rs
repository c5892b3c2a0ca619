//! Bringing the files of a commit into the cache.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use crate::cache::{RepoCache, create_parent, has_size};
use crate::download::{Wanted, fetch};
use crate::error::HubError;
use crate::folder::{MAX_TEXT, model_index};
use crate::hash::FileHash;
use crate::hub::Hub;
use crate::listing::{Listing, RemoteFile};
use crate::observer::{Plan, PullObserver};
use crate::pull::{Pulled, pulled};
use crate::repo::RepoId;
use crate::retry::stop_if;
use crate::select::{MODEL_INDEX, Selection, select};

/// A pull under way.
pub(crate) struct Download<'a> {
    pub(crate) repo: &'a RepoId,
    pub(crate) hub: &'a Hub,
    pub(crate) cache: &'a RepoCache,
    pub(crate) listing: &'a Listing,
}

impl Download<'_> {
    /// Brings what the model needs, and says where it is.
    pub(crate) fn run(&self, observer: &mut dyn PullObserver) -> Result<Pulled, HubError> {
        let commit = &self.listing.commit;
        let snapshot = self.cache.snapshot(commit);
        let names: BTreeSet<String> = self.listing.files.keys().cloned().collect();
        // What decides comes first: a model of no use is refused before its gigabytes are fetched.
        self.bring_text(MODEL_INDEX, observer)?;
        let index = model_index(self.repo, &names, &snapshot)?;
        let selection = select(&names, index.as_ref()).map_err(|reason| self.unusable(reason))?;
        let license = self.listing.license.clone();
        let plan = Plan {
            revision: commit.clone(),
            license: license.clone(),
            files: self.sizes(&selection)?,
        };
        stop_if(observer.plan(&plan))?;
        for name in &selection.files {
            self.bring(name, observer)?;
        }
        pulled(&selection, &snapshot, license, commit.clone())
    }

    fn unusable(&self, reason: String) -> HubError {
        HubError::Unusable {
            repo: self.repo.to_string(),
            reason,
        }
    }

    fn sizes(&self, selection: &Selection) -> Result<Vec<(String, u64)>, HubError> {
        let with_size = |name: &String| Ok((name.clone(), self.description(name)?.0));
        selection.files.iter().map(with_size).collect()
    }

    /// Size and hash of a file that was listed.
    fn description(&self, name: &str) -> Result<(u64, &FileHash), HubError> {
        let file = self.listing.files.get(name);
        file.and_then(RemoteFile::description)
            .ok_or_else(|| HubError::Listing {
                repo: self.repo.to_string(),
                reason: format!("it has no size or no hash for {name}"),
            })
    }

    /// Brings a small file, if there is one, before the plan is made.
    fn bring_text(&self, name: &str, observer: &mut dyn PullObserver) -> Result<(), HubError> {
        if !self.listing.files.contains_key(name) {
            return Ok(());
        }
        let (size, _) = self.description(name)?;
        if size > MAX_TEXT {
            return Err(self.unusable(format!(
                "its {name} has {size} bytes, which is too much for a text"
            )));
        }
        self.bring(name, &mut BeforePlan(observer))
    }

    /// Brings a file into the commit's folder, unless it is there.
    fn bring(&self, name: &str, observer: &mut dyn PullObserver) -> Result<(), HubError> {
        let commit = &self.listing.commit;
        let (size, hash) = self.description(name)?;
        stop_if(observer.file(name, Some(size)))?;
        if !has_size(&self.cache.snapshot(commit).join(name), size) {
            let blob = self.cache.blob(hash);
            if !has_size(&blob, size) {
                create_parent(&blob)?;
                let url = self.hub.file_url(commit, name);
                let wanted = Wanted {
                    name,
                    url,
                    size,
                    hash,
                };
                fetch(self.hub, &wanted, &blob, observer)?;
            }
            self.cache.link(&blob, commit, name)?;
        }
        stop_if(observer.progress(size))
    }
}

/// Lets an observer stop what comes before the plan, of which it is told nothing else.
struct BeforePlan<'a>(&'a mut dyn PullObserver);

impl PullObserver for BeforePlan<'_> {
    fn file(&mut self, _name: &str, _size: Option<u64>) -> ControlFlow<()> {
        self.0.waiting()
    }

    fn progress(&mut self, _bytes: u64) -> ControlFlow<()> {
        self.0.waiting()
    }

    fn waiting(&mut self) -> ControlFlow<()> {
        self.0.waiting()
    }
}
