//! Where from, where to, as whom.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fmt, fs};

use crate::error::HubError;

/// The public hub.
const ENDPOINT: &str = "https://huggingface.co";

/// Where to pull from, where to, and as whom.
#[derive(Clone, PartialEq, Eq)]
pub struct HubOptions {
    /// Address of the hub: `http` or `https`, a host, and perhaps a path.
    pub endpoint: String,
    /// Access token, for repositories that ask who wants them. It is sent to the endpoint and to no other host.
    pub token: Option<String>,
    /// Folder of the cache, in the layout of Hugging Face's `hub` folder.
    pub cache: PathBuf,
    /// Use what is in the cache and open no connection at all.
    pub offline: bool,
    /// Branch, tag or commit.
    pub revision: String,
    /// When to give up.
    pub patience: Patience,
}

impl HubOptions {
    /// The main branch of repositories on the public hub, without a token, into the folder `cache`.
    ///
    /// ```
    /// use plantain_hub::HubOptions;
    ///
    /// let options = HubOptions {
    ///     revision: "fp16".to_string(),
    ///     ..HubOptions::new("models")
    /// };
    /// assert_eq!(options.endpoint, "https://huggingface.co");
    /// assert!(!options.offline);
    /// ```
    #[must_use]
    pub fn new(cache: impl Into<PathBuf>) -> Self {
        Self {
            endpoint: ENDPOINT.to_string(),
            token: None,
            cache: cache.into(),
            offline: false,
            revision: "main".to_string(),
            patience: Patience::default(),
        }
    }

    /// What the environment says, in the variables of Hugging Face's own programs:
    ///
    /// - `HF_ENDPOINT`, or the public hub
    /// - `HF_TOKEN`, or what is in the file `HF_TOKEN_PATH`, or in the file `token` in `HF_HOME`
    /// - `HF_HUB_CACHE`, or the folder `hub` in `HF_HOME`
    /// - `HF_HOME`, or the folder `huggingface` in `XDG_CACHE_HOME`, or in `.cache` in the home folder; where there is no home
    ///   folder, in the folder for temporary files
    /// - `HF_HUB_OFFLINE`: `1`, `true`, `yes` or `on`
    ///
    /// ```
    /// use plantain_hub::HubOptions;
    ///
    /// let options = HubOptions::from_env();
    /// assert_eq!(options.revision, "main");
    /// ```
    #[must_use]
    pub fn from_env() -> Self {
        Self::from_variables(|name| env::var(name).ok())
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| {
            variable(name)
                .map(|v| v.trim().to_string())
                .filter(|v| !v.is_empty())
        };
        let home = set("HF_HOME").map_or_else(
            || user_cache(set("XDG_CACHE_HOME")).join("huggingface"),
            PathBuf::from,
        );
        let token_file = set("HF_TOKEN_PATH").map_or_else(|| home.join("token"), PathBuf::from);
        let cache = set("HF_HUB_CACHE").map_or_else(|| home.join("hub"), PathBuf::from);
        let defaults = Self::new(cache);
        Self {
            endpoint: set("HF_ENDPOINT").unwrap_or(defaults.endpoint),
            token: set("HF_TOKEN").or_else(|| read_token(&token_file)),
            offline: set("HF_HUB_OFFLINE").is_some_and(|value| is_yes(&value)),
            ..defaults
        }
    }

    /// Refuses tokens that cannot be sent.
    pub(crate) fn checked_token(&self) -> Result<Option<&str>, HubError> {
        match self.token.as_deref() {
            Some(token) if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) => {
                Err(HubError::Token)
            }
            token => Ok(token),
        }
    }
}

/// Tokens are secret: whether there is one is all that is shown.
impl fmt::Debug for HubOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubOptions")
            .field("endpoint", &self.endpoint)
            .field("token", &self.token.as_ref().map(|_| "secret"))
            .field("cache", &self.cache)
            .field("offline", &self.offline)
            .field("revision", &self.revision)
            .field("patience", &self.patience)
            .finish()
    }
}

/// When to try once more, and when to give up.
///
/// ```
/// use plantain_hub::{HubOptions, Patience};
///
/// let options = HubOptions {
///     patience: Patience {
///         attempts: 20,
///         ..Patience::default()
///     },
///     ..HubOptions::new("models")
/// };
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How often in a row a request may fail. One that brought a good part of the file counts as a success.
    pub attempts: u32,
    /// Wait after the first failure; each further one doubles it.
    pub first_wait: Duration,
    /// Longest wait, also where the hub asks for a longer one: then it is an error at once.
    pub longest_wait: Duration,
    /// A connection that brings nothing for so long has failed.
    pub silence: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            attempts: 5,
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(120),
            silence: Duration::from_secs(30),
        }
    }
}

fn user_cache(xdg: Option<String>) -> PathBuf {
    xdg.map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".cache")))
        .unwrap_or_else(env::temp_dir)
}

fn read_token(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let token = text.trim();
    (!token.is_empty()).then(|| token.to_string())
}

fn is_yes(value: &str) -> bool {
    ["1", "true", "yes", "on"].contains(&value.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(variables: &[(&str, &str)]) -> HubOptions {
        HubOptions::from_variables(|name| {
            let found = variables.iter().find(|(n, _)| *n == name);
            found.map(|(_, value)| (*value).to_string())
        })
    }

    #[test]
    fn variables_are_obeyed() {
        let options = options(&[
            ("HF_ENDPOINT", "https://mirror.example"),
            ("HF_TOKEN", " hf_abc\n"),
            ("HF_HOME", "/models"),
            ("HF_HUB_OFFLINE", "1"),
        ]);
        assert_eq!(options.endpoint, "https://mirror.example");
        assert_eq!(options.token.as_deref(), Some("hf_abc"));
        assert_eq!(options.cache, Path::new("/models").join("hub"));
        assert!(options.offline);
        assert_eq!(options.revision, "main");
    }

    #[test]
    fn the_cache_is_found() {
        let cache = |variables: &[(&str, &str)]| options(variables).cache;
        let both = [("HF_HUB_CACHE", "/a"), ("HF_HOME", "/b")];
        assert_eq!(cache(&both), Path::new("/a"));
        let xdg = cache(&[("XDG_CACHE_HOME", "/c"), ("HF_HOME", "")]);
        assert_eq!(xdg, Path::new("/c/huggingface/hub"));
        assert!(cache(&[]).ends_with("huggingface/hub"));
    }

    #[test]
    fn the_token_file_is_read_when_no_variable_is_set() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("token"), "hf_file\n").unwrap();
        let home = home.path().to_str().unwrap();
        assert_eq!(
            options(&[("HF_HOME", home)]).token.as_deref(),
            Some("hf_file")
        );
        let both = options(&[("HF_HOME", home), ("HF_TOKEN", "hf_variable")]);
        assert_eq!(both.token.as_deref(), Some("hf_variable"));
    }

    #[test]
    fn offline_is_what_means_yes() {
        for (value, offline) in [
            ("1", true),
            ("TRUE", true),
            ("On", true),
            ("0", false),
            ("", false),
            ("no", false),
        ] {
            assert_eq!(
                options(&[("HF_HUB_OFFLINE", value)]).offline,
                offline,
                "{value}"
            );
        }
    }

    #[test]
    fn tokens_are_not_shown() {
        let shown = format!("{:?}", options(&[("HF_TOKEN", "hf_abc")]));
        assert!(!shown.contains("hf_abc"), "{shown}");
        assert!(shown.contains("secret"), "{shown}");
    }
}
