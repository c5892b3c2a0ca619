//! Gets models from a model hub into a folder of the cache.
//!
//! [`pull`] asks the hub what a repository holds, chooses what a model of the Stable Diffusion kind needs, and fetches that:
//! configurations, tokenizer, and one set of weights for each network. What was begun is continued, every file is checked
//! against the hash that the hub has for it, and a file has its name only when it is whole.
//!
//! The cache has the layout that Hugging Face's own programs use, so models that are in it already are not fetched again.
//! With [`HubOptions::offline`] no connection is opened, not even to look up a name.
//!
//! ```no_run
//! use plantain_hub::{HubOptions, RepoId, Unobserved, pull};
//!
//! let repo: RepoId = "segmind/tiny-sd".parse()?;
//! let pulled = pull(&repo, &HubOptions::from_env(), &mut Unobserved)?;
//! println!("{}", pulled.folder.display());
//! println!("licence: {}", pulled.license.as_deref().unwrap_or("none stated"));
//! # Ok::<(), plantain_hub::HubError>(())
//! ```

mod bring;
mod cache;
mod client;
mod download;
mod error;
mod family;
mod folder;
mod hash;
mod hub;
mod license;
mod listing;
mod observer;
mod options;
mod partial;
mod pull;
mod redirect;
mod repo;
mod retry;
mod select;
mod weights;

pub use error::HubError;
pub use observer::{Plan, PullObserver, Unobserved};
pub use options::{HubOptions, Patience};
pub use pull::{Pulled, PulledFile, pull};
pub use repo::RepoId;
