//! Watching and stopping a pull.

use std::ops::ControlFlow;

/// What is going to be in the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// Hash of the commit.
    pub revision: String,
    /// The licence on the repository's card, if it names one.
    pub license: Option<String>,
    /// Name and size in bytes of every file, those that are in the cache already included.
    pub files: Vec<(String, u64)>,
}

impl Plan {
    /// The sizes of all files together, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let sizes = self.files.iter().map(|(_, size)| *size);
        sizes.fold(0, u64::saturating_add)
    }
}

/// Receives what happens during a pull; `Break` stops it with [`HubError::Cancelled`](crate::HubError::Cancelled). What has
/// arrived by then stays in the cache, and the next pull continues from there.
///
/// ```
/// use std::ops::ControlFlow;
/// use plantain_hub::PullObserver;
///
/// /// Stops once a file is halfway.
/// #[derive(Default)]
/// struct Impatient {
///     size: u64,
/// }
///
/// impl PullObserver for Impatient {
///     fn file(&mut self, _name: &str, size: Option<u64>) -> ControlFlow<()> {
///         self.size = size.unwrap_or(u64::MAX);
///         ControlFlow::Continue(())
///     }
///
///     fn progress(&mut self, bytes: u64) -> ControlFlow<()> {
///         if bytes > self.size / 2 {
///             return ControlFlow::Break(());
///         }
///         ControlFlow::Continue(())
///     }
/// }
/// # let mut observer = Impatient::default();
/// # assert!(observer.file("a", Some(10)).is_continue());
/// # assert!(observer.progress(5).is_continue() && observer.progress(6).is_break());
/// ```
pub trait PullObserver {
    /// What is going to be in the folder is known; nothing else is told before this. Here is the place to show the licence, and
    /// to stop before gigabytes are on their way: so far only `model_index.json` has been fetched.
    fn plan(&mut self, plan: &Plan) -> ControlFlow<()> {
        let _ = plan;
        ControlFlow::Continue(())
    }

    /// The next file of the plan, with its size in bytes if the hub says it; those that are in the cache already, too.
    fn file(&mut self, name: &str, size: Option<u64>) -> ControlFlow<()>;

    /// So many bytes of the file are there, those of an earlier pull included. The number falls if the file has to be begun
    /// anew.
    fn progress(&mut self, bytes: u64) -> ControlFlow<()>;

    /// Nothing arrives at the moment: the hub has not answered yet, or asked to wait. Called about ten times a second, so that
    /// waiting can be stopped as well.
    fn waiting(&mut self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// Watches nothing and stops nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl PullObserver for Unobserved {
    fn file(&mut self, _name: &str, _size: Option<u64>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn progress(&mut self, _bytes: u64) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}
