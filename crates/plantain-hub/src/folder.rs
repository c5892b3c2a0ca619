//! What the folder of a commit says about its model.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::error::HubError;
use crate::family::ModelIndex;
use crate::repo::RepoId;
use crate::select::MODEL_INDEX;

/// Longest `model_index.json` read, in bytes.
pub(crate) const MAX_TEXT: u64 = 4 << 20;

/// The pipeline that the folder says it is; models of other families are refused.
pub(crate) fn model_index(
    repo: &RepoId,
    names: &BTreeSet<String>,
    snapshot: &Path,
) -> Result<Option<ModelIndex>, HubError> {
    let Some(text) = text_of(MODEL_INDEX, names, snapshot)? else {
        return Ok(None);
    };
    let repo = repo.to_string();
    match ModelIndex::parse(text.as_bytes()) {
        Err(e) => Err(HubError::Unusable {
            repo,
            reason: format!("its {MODEL_INDEX} is damaged ({e})"),
        }),
        Ok(index) => match index.other_family() {
            Some(what) => Err(HubError::Family { repo, what }),
            None => Ok(Some(index)),
        },
    }
}

/// The text of a file in the folder, if it is there; what is no text in it is replaced.
fn text_of(
    name: &str,
    names: &BTreeSet<String>,
    snapshot: &Path,
) -> Result<Option<String>, HubError> {
    if !names.contains(name) {
        return Ok(None);
    }
    let path = snapshot.join(name);
    let read = || {
        let mut bytes = Vec::new();
        File::open(&path)?.take(MAX_TEXT).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|e| HubError::io(&path, e))?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}
