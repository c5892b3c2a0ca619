//! What the hub says a repository holds.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::Value;

use crate::hash::{FileHash, is_hash};
use crate::license::stated;
use crate::repo::is_commit;

/// Longest list of files read, in bytes. A file takes some 200.
pub(crate) const MAX_BYTES: usize = 32 << 20;
/// Most files in a repository. Those with models in diffusers' layout have some dozens.
const MAX_FILES: usize = 100_000;

/// One commit of a repository.
#[derive(Debug)]
pub(crate) struct Listing {
    /// Hash of the commit.
    pub(crate) commit: String,
    /// Its files by path.
    pub(crate) files: BTreeMap<String, RemoteFile>,
    /// The licence that the repository's card states.
    pub(crate) license: Option<String>,
}

/// A file as the hub describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RemoteFile {
    size: Option<u64>,
    hash: Option<FileHash>,
}

impl RemoteFile {
    /// Size and hash; without them what arrives cannot be checked.
    pub(crate) fn description(&self) -> Option<(u64, &FileHash)> {
        Some((self.size?, self.hash.as_ref()?))
    }
}

/// Why a list is of no use.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ListingProblem {
    /// A path that leads out of the folder.
    UnsafePath(String),
    /// Anything else, in words.
    Other(String),
}

#[derive(Deserialize)]
struct Answer {
    sha: String,
    #[serde(deserialize_with = "at_most_max_files")]
    siblings: Vec<Sibling>,
    #[serde(rename = "cardData", default)]
    card: Value,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    #[serde(rename = "blobId")]
    blob: Option<String>,
    lfs: Option<LargeFile>,
}

#[derive(Deserialize)]
struct LargeFile {
    sha256: String,
    size: u64,
}

/// Reads the hub's answer.
pub(crate) fn parse(bytes: &[u8]) -> Result<Listing, ListingProblem> {
    let answer: Answer =
        serde_json::from_slice(bytes).map_err(|e| ListingProblem::Other(e.to_string()))?;
    if !is_commit(&answer.sha) {
        let shown: String = answer.sha.chars().take(60).collect();
        let reason = format!("it is of no commit, but of `{shown}`");
        return Err(ListingProblem::Other(reason));
    }
    let mut files = BTreeMap::new();
    for sibling in answer.siblings {
        if leads_outside(&sibling.rfilename) {
            return Err(ListingProblem::UnsafePath(sibling.rfilename));
        }
        let file = sibling.describe();
        files.insert(sibling.rfilename, file);
    }
    Ok(Listing {
        commit: answer.sha.to_ascii_lowercase(),
        files,
        license: license(&answer.card),
    })
}

impl Sibling {
    fn describe(&self) -> RemoteFile {
        match &self.lfs {
            Some(large) => RemoteFile {
                size: Some(large.size),
                hash: is_hash(&large.sha256, 64).then(|| FileHash::Sha256(large.sha256.clone())),
            },
            None => RemoteFile {
                size: self.size,
                hash: self
                    .blob
                    .clone()
                    .filter(|blob| is_hash(blob, 40))
                    .map(FileHash::GitBlob),
            },
        }
    }
}

/// Whether a path is absolute or climbs, on any system.
fn leads_outside(path: &str) -> bool {
    let drive = path.as_bytes().get(1) == Some(&b':');
    path.is_empty()
        || drive
        || path.starts_with(['/', '\\'])
        || path.split(['/', '\\']).any(|part| part == "..")
}

fn license(card: &Value) -> Option<String> {
    let licenses: Vec<String> = match &card["license"] {
        Value::String(one) => vec![one.clone()],
        Value::Array(several) => several
            .iter()
            .filter_map(|v| v.as_str().map(str::to_string))
            .collect(),
        _ => Vec::new(),
    };
    stated(&licenses, card["license_name"].as_str())
}

/// Reads a list and gives up where it is too long, before it fills the memory.
fn at_most_max_files<'de, D: Deserializer<'de>>(list: D) -> Result<Vec<Sibling>, D::Error> {
    struct Files;

    impl<'de> Visitor<'de> for Files {
        type Value = Vec<Sibling>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of files")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut files = Vec::new();
            while let Some(file) = list.next_element()? {
                if files.len() == MAX_FILES {
                    return Err(A::Error::custom(format!(
                        "it has more than {MAX_FILES} files"
                    )));
                }
                files.push(file);
            }
            Ok(files)
        }
    }

    list.deserialize_seq(Files)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn listing(siblings: &str) -> Result<Listing, ListingProblem> {
        parse(format!(r#"{{"sha": "{COMMIT}", "siblings": [{siblings}]}}"#).as_bytes())
    }

    #[test]
    fn sizes_and_hashes_are_read() {
        let (sha256, blob) = ("a".repeat(64), "b".repeat(40));
        let listing = listing(&format!(
            r#"{{"rfilename": "x.json", "size": 5, "blobId": "{blob}"}},
               {{"rfilename": "unet/x.safetensors", "size": 130, "blobId": "{blob}", "lfs": {{"sha256": "{sha256}", "size": 900, "pointerSize": 130}}}},
               {{"rfilename": "bad", "size": 5, "blobId": "../../x"}}"#
        ))
        .unwrap();
        let small = FileHash::GitBlob(blob);
        assert_eq!(listing.files["x.json"].description(), Some((5, &small)));
        let large = FileHash::Sha256(sha256);
        assert_eq!(
            listing.files["unet/x.safetensors"].description(),
            Some((900, &large))
        );
        assert_eq!(listing.files["bad"].description(), None);
    }

    #[test]
    fn paths_that_lead_outside_are_refused() {
        for path in [
            "../x",
            "a/../../x",
            "/etc/passwd",
            "\\\\x",
            "a\\\\..\\\\x",
            "C:x",
            "..",
            "",
        ] {
            let found = listing(&format!(r#"{{"rfilename": "{path}"}}"#)).unwrap_err();
            assert!(matches!(found, ListingProblem::UnsafePath(_)), "{path}");
        }
        for path in ["..x", "a..b/c", "a/b/c", "x/00:01.png"] {
            listing(&format!(r#"{{"rfilename": "{path}"}}"#)).unwrap();
        }
    }

    #[test]
    fn lists_that_are_too_long_are_refused() {
        let file = r#"{"rfilename":"a"}"#;
        let most = vec![file; MAX_FILES].join(",");
        listing(&most).unwrap();
        let error = listing(&format!("{most},{file}")).unwrap_err();
        assert!(
            format!("{error:?}").contains("more than 100000 files"),
            "{error:?}"
        );
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for bad in [
            "",
            "[]",
            "<html>",
            r#"{"sha": "main", "siblings": []}"#,
            r#"{"siblings": []}"#,
        ] {
            let error = parse(bad.as_bytes()).unwrap_err();
            assert!(matches!(error, ListingProblem::Other(_)), "{bad}");
        }
    }

    #[test]
    fn the_card_states_the_licence() {
        let name = |card: &str| {
            let json = format!(r#"{{"sha": "{COMMIT}", "siblings": [], "cardData": {card}}}"#);
            parse(json.as_bytes()).unwrap().license
        };
        assert_eq!(name(r#"{"license": "mit"}"#).as_deref(), Some("mit"));
        assert_eq!(
            name(r#"{"license": ["mit", "x"]}"#).as_deref(),
            Some("mit, x")
        );
        let other = r#"{"license": "other", "license_name": "mine"}"#;
        assert_eq!(name(other).as_deref(), Some("mine"));
        assert_eq!(name("null"), None);
        assert_eq!(name(r#"{"license": 7}"#), None);
    }
}
