//! Where assets go.

use std::collections::HashMap;

use crate::error::CampaignError;
use crate::file::CampaignFile;
use crate::report::{CONTACT_SHEET, MANIFEST, REPORT};

/// The places that are taken.
#[derive(Debug, Default)]
pub(super) struct Paths {
    /// By their names in small letters, as not every file system tells capitals apart: who goes there, in words.
    taken: HashMap<String, String>,
    /// The folders that are needed for them, likewise.
    folders: HashMap<String, String>,
}

impl Paths {
    /// Takes `path` for an asset of `of` in the format with number `format`.
    pub(super) fn claim(
        &mut self,
        file: &CampaignFile,
        path: &str,
        of: &str,
        format: usize,
    ) -> Result<(), CampaignError> {
        let refuse = |problem: String| Err(file.source.invalid(&["output"], problem));
        if let Some(problem) = problem(path) {
            return refuse(format!("`{path}` of {of} {problem}"));
        }
        let who = format!("{of} in the format {}", file.campaign.format[format].name);
        let lowered = path.to_lowercase();
        let folders = lowered.match_indices('/').map(|(end, _)| &lowered[..end]);
        let file_there = folders.clone().find_map(|folder| self.taken.get(folder));
        if let Some(other) = file_there.or_else(|| self.folders.get(&lowered)) {
            return refuse(format!(
                "`{path}` of {who} and a path of {other} cannot both be: one is a folder of the other"
            ));
        }
        for folder in folders {
            self.folders.insert(folder.into(), who.clone());
        }
        match self.taken.insert(path.to_lowercase(), who.clone()) {
            Some(before) => refuse(format!(
                "{before}, and {who}, would both be written to `{path}`; use more variables, such as `format`, `size` or `variant`"
            )),
            None => Ok(()),
        }
    }
}

/// What is wrong with a path below the output folder.
fn problem(path: &str) -> Option<&'static str> {
    if path.starts_with('/') {
        return Some("is not relative to the output folder");
    }
    let first = path.split('/').next().unwrap_or(path);
    if is_reports(&first.to_lowercase()) {
        return Some("is the name of a file of the report");
    }
    path.split('/').find_map(|part| {
        let forbidden = |c: char| c.is_control() || "\\:*?\"<>|".contains(c);
        match part {
            "" => Some("has a part without a name"),
            "." | ".." => Some("has a part that is `.` or `..`"),
            _ if part.starts_with('.') => Some("has a hidden part, whose name starts with a dot"),
            _ if part.contains(forbidden) => Some(
                "has a character that file systems refuse; the filter `slug` makes names of texts",
            ),
            _ if part.ends_with([' ', '.']) || part.starts_with(' ') => {
                Some("has a part that starts or ends with a space or ends with a dot")
            }
            _ if part.len() > 200 => Some("has a part of more than 200 bytes"),
            _ => None,
        }
    })
}

/// Whether a name in small letters is that of a file that every campaign leaves.
fn is_reports(name: &str) -> bool {
    let sheet = name.strip_prefix(CONTACT_SHEET);
    let number = sheet.and_then(|rest| rest.strip_suffix(".png"));
    [MANIFEST, REPORT].contains(&name)
        || number.is_some_and(|number| number.parse::<usize>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below_the_folder() {
        for good in [
            "a.png",
            "contact-sheet-a.png",
            "contact-sheet-.png",
            "de/report.html",
            "de/größe 1/a-b_c.png",
            "a..b.png",
        ] {
            assert_eq!(problem(good), None, "{good}");
        }
        for bad in [
            "",
            "/a.png",
            "../a.png",
            "a//b.png",
            "a/./b.png",
            "a/.b/c.png",
            "a\\b.png",
            "c:a.png",
            "a\n.png",
            "a /b.png",
            "a./b.png",
            "a/",
            " a.png",
            "Contact-sheet-12.png",
            "report.html",
            "report.html/a.png",
        ] {
            assert!(problem(bad).is_some(), "{bad:?}");
        }
        assert!(problem(&"a".repeat(201)).is_some());
    }
}
