//! What can be wrong with a file.

/// Why a file is not read.
///
/// Messages carry no file name. Put it and a space before them, and they are a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// Another kind of file.
    #[error("is {found}, not a file of tensors; {advice}")]
    Foreign {
        /// What it looks like.
        found: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// The file contradicts itself or its length.
    #[error("is damaged: {reason}; download or convert it again")]
    Damaged {
        /// What is wrong.
        reason: String,
    },
    /// What the file says about one tensor contradicts itself or the file's length.
    #[error("is damaged at tensor `{tensor}`: {reason}; download or convert it again")]
    DamagedTensor {
        /// Tensor name as in the file.
        tensor: String,
        /// What is wrong.
        reason: String,
    },
    /// A pickle names a function or class that can do harm. It was not run.
    #[error(
        "asks to run `{global}`, which no model needs: the file may be malicious; do not open it with other programs, and get the model as safetensors"
    )]
    Forbidden {
        /// Module and name.
        global: String,
    },
    /// A pickle names a function or class that is not known to be harmless. It was not run.
    #[error(
        "needs `{global}`, which may do anything; get the model as safetensors, or save its `state_dict()` alone if you trust the file"
    )]
    Unfamiliar {
        /// Module and name.
        global: String,
    },
    /// A file of a known format that holds what this crate does not read.
    #[error("{what}; {advice}")]
    Unsupported {
        /// What was found, as the predicate of a sentence.
        what: String,
        /// What to do.
        advice: String,
    },
}

impl FormatError {
    pub(crate) fn damaged(reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self::Damaged { reason }
    }

    pub(crate) fn tensor(tensor: &str, reason: impl Into<String>) -> Self {
        Self::DamagedTensor {
            tensor: tensor.to_string(),
            reason: reason.into(),
        }
    }

    pub(crate) fn unsupported(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::Unsupported {
            what: what.into(),
            advice: advice.into(),
        }
    }
}
