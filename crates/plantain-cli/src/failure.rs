//! Failures as the user sees them: one sentence, and what to do about it.

use std::fmt;
use std::io;
use std::process::ExitCode;

use plantain::weights::{ConvertError, EmbeddingError, LoadError, LoraError, ReadError};
use plantain::{Error, InfoError, OpenError, RequestError};
use plantain_campaign::CampaignError;

use crate::out;

/// Exit code of a run that was interrupted, as shells have it for SIGINT.
const INTERRUPTED: u8 = 130;

/// Exit code of a run whose output nobody reads any more, as shells have it for SIGPIPE.
const UNREAD: u8 = 141;

/// Why the command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    help: Option<String>,
    code: u8,
}

impl Failure {
    /// A failure with nothing to advise.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
            code: 1,
        }
    }

    /// The same failure with advice.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The message and the advice.
    pub(crate) fn into_parts(self) -> (String, Option<String>) {
        (self.message, self.help)
    }

    fn cancelled() -> Self {
        Self {
            code: INTERRUPTED,
            ..Self::new("interrupted; nothing unfinished was written")
        }
    }

    /// A failure to write to standard output.
    pub(crate) fn output(error: &io::Error) -> Self {
        let failure = Self::new(format!("cannot write to standard output: {error}"));
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self {
                code: UNREAD,
                ..failure
            },
            _ => failure,
        }
    }

    /// Prints the failure to standard error.
    pub(crate) fn report(self) -> ExitCode {
        let code = ExitCode::from(self.code);
        // A reader who left, as `head` does, wants to hear no more.
        if self.code != UNREAD {
            out::note(format_args!("{:?}", miette::Report::new(self)));
        }
        code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl miette::Diagnostic for Failure {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as _)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::Cancelled => Self::cancelled(),
            Error::Read(error) => error.into(),
            Error::Load(error) => error.into(),
            Error::NonFinite { .. } => Self::new(message)
                .help("try --device ndarray, the model's own size and sampler, or convert the model again"),
            Error::Request(RequestError::NoTokenizer { .. }) => Self::new(message)
                .help("`plantain trace` can run such a model on given tensors"),
            Error::Write { .. } => {
                Self::new(message).help("choose another place with --output, or free some space")
            }
            _ => Self::new(message),
        }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        Self::new(error.to_string())
            .help("--model takes a file made by `plantain convert`, a checkpoint of Stable Diffusion's kind, or a diffusers folder")
    }
}

impl From<EmbeddingError> for Failure {
    fn from(error: EmbeddingError) -> Self {
        Self::new(error.to_string())
    }
}

#[cfg(feature = "pull")]
impl From<plantain_hub::HubError> for Failure {
    fn from(error: plantain_hub::HubError) -> Self {
        match error {
            plantain_hub::HubError::Cancelled => Self {
                code: INTERRUPTED,
                ..Self::new(error.to_string())
            },
            error => Self::new(error.to_string()),
        }
    }
}

impl From<LoraError> for Failure {
    fn from(error: LoraError) -> Self {
        Self::new(error.to_string())
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        Self::new(error.to_string()).help("`plantain inspect` shows what the model holds")
    }
}

impl From<ConvertError> for Failure {
    fn from(error: ConvertError) -> Self {
        let message = error.to_string();
        match error {
            ConvertError::Cancelled => Self::cancelled(),
            ConvertError::Read(error) => Self::new(error.to_string())
                .help("the source is a checkpoint of Stable Diffusion's kind in one file, a diffusers folder, or a model file"),
            ConvertError::Refused(_) => Self::new(message).help(
                "--allow-partial leaves these tensors out; the parts that lack them will not run",
            ),
            _ => Self::new(message),
        }
    }
}

impl From<CampaignError> for Failure {
    fn from(error: CampaignError) -> Self {
        let message = error.to_string();
        match error {
            CampaignError::Stopped => Self {
                code: INTERRUPTED,
                ..Self::new(message)
            },
            CampaignError::Model(error) => error.into(),
            CampaignError::Write { .. } => Self::new(message).help(
                "choose another folder with --out, or free some space; what is finished is kept",
            ),
            _ => Self::new(message),
        }
    }
}

impl From<InfoError> for Failure {
    fn from(error: InfoError) -> Self {
        Self::new(error.to_string())
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        Self::new(error.to_string())
    }
}
