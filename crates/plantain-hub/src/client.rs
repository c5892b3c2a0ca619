//! Requests. Each runs on a thread of its own, so that a pull can be stopped while nothing arrives.

use std::io::Read;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;

use ureq::http::{HeaderMap, Response, Uri};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};

use crate::error::HubError;
use crate::observer::PullObserver;
use crate::options::Patience;
use crate::redirect::{Origin, follow};
use crate::retry::{Setback, TICK, stop_if};

/// How this program introduces itself.
const USER_AGENT: &str = concat!("plantain/", env!("CARGO_PKG_VERSION"));
const MAX_REDIRECTS: usize = 10;
/// Bytes handed over at a time.
const CHUNK: usize = 256 * 1024;
/// Chunks that may wait to be written.
const QUEUE: usize = 4;

/// Asks one hub.
pub(crate) struct Client {
    agent: Agent,
    origin: Origin,
    token: Option<String>,
}

/// The beginning of an answer; the rest comes chunk by chunk.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// Whether the hub itself answered, not a host that it redirected to.
    pub(crate) from_hub: bool,
    events: Receiver<Event>,
}

enum Event {
    Head {
        status: u16,
        headers: HeaderMap,
        from_hub: bool,
    },
    Chunk(Vec<u8>),
    End,
    Failed(Problem),
}

/// Why a request brought nothing, or not all.
enum Problem {
    Connection(String),
    Redirect(String),
}

impl Client {
    /// A client for the hub at `origin`, which alone gets to see the token.
    pub(crate) fn new(origin: Origin, token: Option<&str>, patience: &Patience) -> Self {
        let silence = Some(patience.silence);
        // Whom the system trusts: companies have authorities of their own, whose proxies stand before the hub.
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            // Redirections are followed here, where it is known what may go where.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(USER_AGENT)
            // Sizes and ranges are those of the file, so it must not be compressed on its way.
            .accept_encoding("identity")
            .timeout_resolve(silence)
            .timeout_connect(silence)
            .timeout_recv_response(silence)
            .timeout_per_read(silence)
            .timeout_per_write(silence)
            .build();
        Self {
            agent: config.into(),
            origin,
            token: token.map(str::to_string),
        }
    }

    /// The hub, as shown in errors.
    pub(crate) fn host(&self) -> String {
        self.origin.host()
    }

    /// Asks for `url`, from the byte `start` on if one is given. `what` it is called in errors.
    pub(crate) fn get(
        &self,
        url: &str,
        start: Option<u64>,
        what: &str,
        observer: &mut dyn PullObserver,
    ) -> Result<Answer, Setback> {
        let request = Request {
            agent: self.agent.clone(),
            origin: self.origin.clone(),
            token: self.token.clone(),
            url: url.to_string(),
            start,
        };
        let (sender, events) = sync_channel(QUEUE);
        let thread = thread::Builder::new().name("plantain-hub".to_string());
        let started = thread.spawn(move || request.run(&sender));
        started.map_err(|e| Setback::passing(e.to_string()))?;
        match next(&events, observer)? {
            Event::Head {
                status,
                headers,
                from_hub,
            } => Ok(Answer {
                status,
                headers,
                from_hub,
                events,
            }),
            Event::Failed(Problem::Redirect(reason)) => Err(Setback::Final(HubError::Redirect {
                host: self.host(),
                what: what.to_string(),
                reason,
            })),
            Event::Failed(Problem::Connection(reason)) => Err(Setback::passing(reason)),
            Event::Chunk(_) | Event::End => Err(Setback::passing("no answer came")),
        }
    }
}

impl Answer {
    /// A header's text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The next bytes; none at the end.
    pub(crate) fn next(
        &mut self,
        observer: &mut dyn PullObserver,
    ) -> Result<Option<Vec<u8>>, Setback> {
        match next(&self.events, observer)? {
            Event::Chunk(bytes) => Ok(Some(bytes)),
            Event::End | Event::Head { .. } => Ok(None),
            Event::Failed(Problem::Connection(reason) | Problem::Redirect(reason)) => {
                Err(Setback::passing(reason))
            }
        }
    }
}

/// Waits for what the thread sends, asking the observer all the while.
fn next(events: &Receiver<Event>, observer: &mut dyn PullObserver) -> Result<Event, Setback> {
    loop {
        match events.recv_timeout(TICK) {
            Ok(event) => return Ok(event),
            Err(RecvTimeoutError::Timeout) => stop_if(observer.waiting())?,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Setback::passing("the request broke off"));
            }
        }
    }
}

/// A request under way.
struct Request {
    agent: Agent,
    origin: Origin,
    token: Option<String>,
    url: String,
    start: Option<u64>,
}

impl Request {
    /// Sends all that happens. Sending fails when nobody waits for it any more, and then this ends.
    fn run(&self, sender: &SyncSender<Event>) {
        let sent = match self.open() {
            Err(problem) => sender.send(Event::Failed(problem)),
            Ok((response, from_hub)) => {
                let (head, body) = response.into_parts();
                let begun = sender.send(Event::Head {
                    status: head.status.as_u16(),
                    headers: head.headers,
                    from_hub,
                });
                begun.and_then(|()| hand_over(body, sender))
            }
        };
        // An error here means that the pull was stopped.
        drop(sent);
    }

    /// Follows redirections until something else is answered; says as well whether it is the hub that answered.
    fn open(&self) -> Result<(Response<Body>, bool), Problem> {
        let mut address: Uri = self
            .url
            .parse()
            .map_err(|_| Problem::Redirect("it has no valid address".to_string()))?;
        for _ in 0..=MAX_REDIRECTS {
            let origin = Origin::of(&address)
                .ok_or_else(|| Problem::Redirect("only http and https are followed".to_string()))?;
            let from_hub = origin == self.origin;
            let response = self
                .ask(&address, &origin)
                .map_err(|e| Problem::Connection(reason(&e, &origin)))?;
            let location = match response.status().as_u16() {
                301 | 302 | 303 | 307 | 308 => response.headers().get("location"),
                _ => return Ok((response, from_hub)),
            };
            let location = location.and_then(|l| l.to_str().ok());
            let location =
                location.ok_or_else(|| Problem::Redirect("it has no address".to_string()))?;
            address = follow(&address, location).map_err(Problem::Redirect)?;
        }
        Err(Problem::Redirect(format!(
            "more than {MAX_REDIRECTS} times"
        )))
    }

    fn ask(&self, address: &Uri, origin: &Origin) -> Result<Response<Body>, ureq::Error> {
        let mut request = self.agent.get(address);
        if let Some(token) = self.token.as_ref().filter(|_| *origin == self.origin) {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if let Some(start) = self.start {
            request = request.header("range", format!("bytes={start}-"));
        }
        if origin.is_this_machine() {
            request = request.config().proxy(None).build();
        }
        request.call()
    }
}

fn hand_over(
    body: Body,
    sender: &SyncSender<Event>,
) -> Result<(), std::sync::mpsc::SendError<Event>> {
    let mut reader = body.into_reader();
    loop {
        let mut chunk = vec![0; CHUNK];
        match reader.read(&mut chunk) {
            Ok(0) => return sender.send(Event::End),
            Ok(length) => {
                chunk.truncate(length);
                sender.send(Event::Chunk(chunk))?;
            }
            Err(e) => {
                let reason = format!("the connection broke ({e})");
                return sender.send(Event::Failed(Problem::Connection(reason)));
            }
        }
    }
}

/// What happened, without the address: those of files are signed and long.
fn reason(error: &ureq::Error, origin: &Origin) -> String {
    let host = origin.host();
    match error {
        ureq::Error::HostNotFound => format!("there is no host {host}, or no network"),
        ureq::Error::Timeout(_) => format!("{host} does not answer"),
        error => format!("{host}: {error}"),
    }
}
