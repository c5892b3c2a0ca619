//! One file: fetched, continued, checked.

use std::path::Path;

use crate::client::Answer;
use crate::error::HubError;
use crate::hash::FileHash;
use crate::hub::Hub;
use crate::observer::PullObserver;
use crate::partial::Partial;
use crate::retry::{Retries, Setback, stop_if};

/// An attempt that brought so many bytes counts as a success, whatever ended it.
const GOOD_PART: u64 = 1 << 20;

/// What to fetch.
pub(crate) struct Wanted<'a> {
    /// Its path in the repository.
    pub(crate) name: &'a str,
    /// Where it is.
    pub(crate) url: String,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// Its hash.
    pub(crate) hash: &'a FileHash,
}

/// Fetches a file to `path`, where it appears only when it is whole and its hash is right. What has arrived of it before that
/// lies beside it.
pub(crate) fn fetch(
    hub: &Hub,
    wanted: &Wanted<'_>,
    path: &Path,
    observer: &mut dyn PullObserver,
) -> Result<(), HubError> {
    let beside = path.with_extension("part");
    let mut partial = Partial::open(beside, wanted.hash, wanted.size, observer)?;
    let mut retries = Retries::new(&hub.patience, &hub.host, wanted.name);
    while partial.length() < wanted.size {
        let before = partial.length();
        let Err(setback) = attempt(hub, wanted, &mut partial, observer) else {
            break;
        };
        if partial.length() >= before.saturating_add(GOOD_PART) {
            retries.forget();
        }
        retries.wait(setback, observer)?;
    }
    partial.finish(path)?.map_err(|found| HubError::WrongHash {
        repo: hub.repo().to_string(),
        file: wanted.name.to_string(),
        expected: wanted.hash.digits().to_string(),
        found,
    })
}

/// Asks once for what is still missing.
fn attempt(
    hub: &Hub,
    wanted: &Wanted<'_>,
    partial: &mut Partial<'_>,
    observer: &mut dyn PullObserver,
) -> Result<(), Setback> {
    let start = (partial.length() > 0).then_some(partial.length());
    let mut answer = hub.client.get(&wanted.url, start, wanted.name, observer)?;
    match answer.status {
        // Not every host continues; this one begins anew.
        200 => {
            partial.restart()?;
            let length = answer
                .header("content-length")
                .and_then(|text| text.parse().ok());
            check_size(hub, wanted, length)?;
        }
        206 => check_range(hub, wanted, partial.length(), &answer)?,
        416 => {
            partial.restart()?;
            return Err(Setback::passing("it could not be continued"));
        }
        _ => return Err(hub.refusal(&answer, Some(wanted.name))),
    }
    while let Some(chunk) = answer.next(observer)? {
        let length = partial.length().saturating_add(chunk.len() as u64);
        if length > wanted.size {
            partial.restart()?;
            check_size(hub, wanted, Some(length))?;
        }
        partial.write(&chunk)?;
        stop_if(observer.progress(partial.length()))?;
    }
    if partial.length() < wanted.size {
        let reason = format!(
            "it ended after {} of {} bytes",
            partial.length(),
            wanted.size
        );
        return Err(Setback::passing(reason));
    }
    Ok(())
}

/// Refuses a file of another size than was listed.
fn check_size(hub: &Hub, wanted: &Wanted<'_>, found: Option<u64>) -> Result<(), HubError> {
    match found {
        Some(found) if found != wanted.size => Err(HubError::Size {
            repo: hub.repo().to_string(),
            file: wanted.name.to_string(),
            expected: wanted.size,
            found,
        }),
        _ => Ok(()),
    }
}

/// Refuses a part that does not begin at `start`, or is part of a file of another size.
fn check_range(hub: &Hub, wanted: &Wanted<'_>, start: u64, answer: &Answer) -> Result<(), Setback> {
    let range = answer.header("content-range").unwrap_or("");
    let (first, total) = parse_range(range)
        .ok_or_else(|| Setback::passing("it was answered with an unknown part"))?;
    if first != start {
        return Err(Setback::passing("it was answered with another part"));
    }
    Ok(check_size(hub, wanted, total)?)
}

/// The first byte and, unless it is unknown, the size of the whole, in a header such as `bytes 100-199/500`.
fn parse_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, _) = range.split_once('-')?;
    let total = match total {
        "*" => None,
        total => Some(total.parse().ok()?),
    };
    Some((first.parse().ok()?, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        assert_eq!(parse_range("bytes 100-199/500"), Some((100, Some(500))));
        assert_eq!(parse_range("bytes 0-9/*"), Some((0, None)));
        for bad in [
            "",
            "bytes */500",
            "bytes=1-2/3",
            "bytes x-9/10",
            "bytes 1-2",
            "bytes 1-2/x",
        ] {
            assert_eq!(parse_range(bad), None, "{bad}");
        }
    }
}
