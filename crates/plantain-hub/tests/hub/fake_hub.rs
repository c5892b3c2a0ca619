//! A hub with one repository: a server for lists and small files, and another one for the large files, as on the real one.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use plantain_hub::{
    HubError, HubOptions, Patience, PullObserver, Pulled, RepoId, Unobserved, pull,
};
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::model::model;
use crate::server::{End, Reply, Request, Server};

pub const REPO: &str = "someone/tiny-model";
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
/// What faults of the list of files are filed under.
pub const LIST: &str = "the list";

/// Where the hub keeps small files, to which it redirects.
const KEPT: &str = "/api/resolve-cache/";

/// What goes wrong when something is asked for.
#[derive(Debug, Clone)]
pub enum Fault {
    /// This instead of the answer.
    Instead(Reply),
    /// The answer with another end.
    End(End),
    /// The answer with a byte changed.
    Damaged,
    /// The whole file, whatever part was asked for.
    WholeAlways,
    /// A part of the file that was not asked for.
    OtherPart,
    /// A body of so many bytes.
    Sized(usize, End),
}

#[derive(Default)]
pub struct Repository {
    pub files: BTreeMap<String, Vec<u8>>,
    pub card: Value,
    pub commit: String,
    /// Who wants files must send this.
    pub token: Option<String>,
    faults: HashMap<String, VecDeque<Fault>>,
}

/// The hub, and a cache to pull into.
pub struct FakeHub {
    pub hub: Server,
    pub cdn: Server,
    pub repository: Arc<Mutex<Repository>>,
    pub cache: TempDir,
}

/// The file that a request for a signed address asks for.
fn signed_name(request: &Request) -> String {
    let signed = request.target.trim_start_matches("/signed/");
    decode(signed.split('?').next().unwrap())
}

impl FakeHub {
    /// A hub whose repository has `files`.
    pub fn new(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let repository = Arc::new(Mutex::new(Repository {
            files: files.into_iter().collect(),
            card: json!({"license": "creativeml-openrail-m"}),
            commit: COMMIT.to_string(),
            ..Repository::default()
        }));
        let of_cdn = repository.clone();
        let cdn = Server::start(move |request| {
            let name = signed_name(request);
            of_cdn.lock().unwrap().contents(&name, request)
        });
        let (of_hub, cdn_url) = (repository.clone(), cdn.url());
        let hub = Server::start(move |request| of_hub.lock().unwrap().answer(request, &cdn_url));
        Self {
            hub,
            cdn,
            repository,
            cache: tempfile::tempdir().unwrap(),
        }
    }

    /// A hub with a model that is whole and small, and with what surrounds models where they are published.
    pub fn with_model() -> Self {
        Self::new(model())
    }

    /// The next time that `what` (a file, or [`LIST`]) is asked for, this happens.
    pub fn then(&self, what: &str, fault: Fault) -> &Self {
        let mut repository = self.repository.lock().unwrap();
        repository
            .faults
            .entry(what.to_string())
            .or_default()
            .push_back(fault);
        drop(repository);
        self
    }

    pub fn options(&self) -> HubOptions {
        HubOptions {
            endpoint: self.hub.url(),
            patience: Patience {
                attempts: 3,
                first_wait: Duration::from_millis(1),
                ..Patience::default()
            },
            ..HubOptions::new(self.cache.path())
        }
    }

    pub fn pull(&self) -> Result<Pulled, HubError> {
        self.pull_with(&self.options(), &mut Unobserved)
    }

    pub fn pull_with(
        &self,
        options: &HubOptions,
        observer: &mut dyn PullObserver,
    ) -> Result<Pulled, HubError> {
        pull(&repo(), options, observer)
    }

    /// The bytes of a file on the hub.
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        self.repository.lock().unwrap().files[name].clone()
    }

    /// Where the contents of a file are when they are whole.
    pub fn blob(&self, name: &str) -> PathBuf {
        let bytes = self.bytes(name);
        let digits = if is_large(name) {
            sha256(&bytes)
        } else {
            git_blob(&bytes)
        };
        self.cache
            .path()
            .join("models--someone--tiny-model/blobs")
            .join(digits)
    }

    /// Where the contents of a file are until then.
    pub fn partial(&self, name: &str) -> PathBuf {
        self.blob(name).with_extension("part")
    }

    /// Where a file is in the folder of the commit.
    pub fn path(&self, name: &str) -> PathBuf {
        let snapshots = self
            .cache
            .path()
            .join("models--someone--tiny-model/snapshots");
        snapshots.join(COMMIT).join(name)
    }

    /// The files of which contents were asked since this was called last, with the first byte asked for.
    pub fn asked(&self) -> Vec<(String, usize)> {
        let small = self.hub.take_requests().into_iter().filter_map(|request| {
            let name = decode(request.target.strip_prefix(KEPT)?);
            Some((name, request.start().unwrap_or(0)))
        });
        let large = self.cdn.take_requests().into_iter();
        let large = large.map(|request| (signed_name(&request), request.start().unwrap_or(0)));
        small.chain(large).collect()
    }

    /// Fails unless the cache has all of the model, each file as the hub has it.
    #[track_caller]
    pub fn check(&self, pulled: &Pulled) {
        assert!(!pulled.files.is_empty());
        for file in &pulled.files {
            assert_eq!(file.path, self.path(&file.name));
            assert!(
                fs::read(&file.path).unwrap() == self.bytes(&file.name),
                "{}",
                file.name
            );
        }
        assert_eq!(partials(self.cache.path()), Vec::<PathBuf>::new());
    }
}

impl Repository {
    fn answer(&mut self, request: &Request, cdn: &str) -> Reply {
        let asked = request.headers.get("authorization");
        let wanted = self.token.as_ref().map(|token| format!("Bearer {token}"));
        let may = wanted.is_none() || asked == wanted.as_ref();
        if request
            .target
            .starts_with(&format!("/api/models/{REPO}/revision/"))
        {
            assert!(
                request.target.ends_with("?blobs=true"),
                "{}",
                request.target
            );
            return match self.faults.get_mut(LIST).and_then(VecDeque::pop_front) {
                Some(fault) => self.faulty(fault, &self.list(), request),
                None => Reply::new(200, self.list()),
            };
        }
        if let Some(name) = request.target.strip_prefix(KEPT) {
            return match may {
                true => self.contents(&decode(name), request),
                false => Reply::new(401, ""),
            };
        }
        let Some(name) = request
            .target
            .strip_prefix(&format!("/{REPO}/resolve/{}/", self.commit))
        else {
            return Reply::new(404, "").header("X-Error-Code", "RepoNotFound");
        };
        if !may {
            return Reply::new(401, "").header("X-Error-Code", "GatedRepo");
        }
        if !is_large(&decode(name)) {
            return Reply::new(307, "").header("Location", &format!("{KEPT}{name}"));
        }
        Reply::new(302, "").header("Location", &format!("{cdn}/signed/{name}?signature=secret"))
    }

    fn list(&self) -> Vec<u8> {
        let siblings: Vec<Value> = self
            .files
            .iter()
            .map(|(name, bytes)| describe(name, bytes))
            .collect();
        let list =
            json!({"id": REPO, "sha": self.commit, "cardData": self.card, "siblings": siblings});
        list.to_string().into_bytes()
    }

    fn contents(&mut self, name: &str, request: &Request) -> Reply {
        let Some(bytes) = self.files.get(name).cloned() else {
            return Reply::new(404, "").header("X-Error-Code", "EntryNotFound");
        };
        match self.faults.get_mut(name).and_then(VecDeque::pop_front) {
            Some(fault) => self.faulty(fault, &bytes, request),
            None => part(&bytes, request.start()),
        }
    }

    fn faulty(&self, fault: Fault, bytes: &[u8], request: &Request) -> Reply {
        match fault {
            Fault::Instead(reply) => reply,
            Fault::End(end) => part(bytes, request.start()).end(end),
            Fault::Damaged => {
                let mut bytes = bytes.to_vec();
                *bytes.last_mut().unwrap() ^= 1;
                part(&bytes, request.start())
            }
            Fault::WholeAlways => Reply::new(200, bytes),
            Fault::OtherPart => part(bytes, Some(7)),
            Fault::Sized(length, end) => Reply::new(200, vec![b'x'; length]).end(end),
        }
    }
}

fn part(bytes: &[u8], start: Option<usize>) -> Reply {
    let Some(start) = start else {
        return Reply::new(200, bytes);
    };
    if start >= bytes.len() {
        return Reply::new(416, "").header("Content-Range", &format!("bytes */{}", bytes.len()));
    }
    let range = format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len());
    Reply::new(206, &bytes[start..]).header("Content-Range", &range)
}

fn describe(name: &str, bytes: &[u8]) -> Value {
    let pointer = git_blob(b"pointer");
    if is_large(name) {
        json!({
            "rfilename": name, "size": bytes.len(), "blobId": pointer,
            "lfs": {"sha256": sha256(bytes), "size": bytes.len(), "pointerSize": 130}
        })
    } else {
        json!({"rfilename": name, "size": bytes.len(), "blobId": git_blob(bytes)})
    }
}

fn is_large(name: &str) -> bool {
    [".safetensors", ".bin", ".ckpt"]
        .iter()
        .any(|extension| name.ends_with(extension))
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

fn git_blob(bytes: &[u8]) -> String {
    let hash = Sha1::new()
        .chain_update(format!("blob {}\0", bytes.len()))
        .chain_update(bytes);
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

fn decode(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8()
        .unwrap()
        .into_owned()
}

pub fn repo() -> RepoId {
    REPO.parse().unwrap()
}

/// What has arrived in part.
pub fn partials(cache: &Path) -> Vec<PathBuf> {
    let blobs = cache.join("models--someone--tiny-model/blobs");
    let paths = fs::read_dir(blobs)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some()).collect()
}
