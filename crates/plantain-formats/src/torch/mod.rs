//! Files of `torch.save`.

pub(crate) mod archive;
pub(crate) mod legacy;
mod state_dict;
mod view;

use crate::FormatError;

/// Why the numbers of a storage cannot be had.
enum Lost {
    /// What the file says about them is wrong.
    Damaged(String),
    /// They are stored in a way that is not read.
    Refused(FormatError),
}
