//! Which files of a folder take part.

use std::sync::Arc;

/// Chooses among the files of a folder by their names, from the folder on, with `/` between the
/// parts.
pub trait Select: Send + Sync {
    /// Whether a file of this name takes part.
    fn takes(&self, name: &str) -> bool;

    /// Whether any file below this directory may take part. A directory without such a file is not
    /// entered.
    fn may_take_below(&self, directory: &str) -> bool;
}

/// A closure chooses files; it says nothing of directories.
impl<F: Fn(&str) -> bool + Send + Sync> Select for F {
    fn takes(&self, name: &str) -> bool {
        self(name)
    }

    fn may_take_below(&self, _: &str) -> bool {
        true
    }
}

/// A choice among the files of both folders.
pub type Filter = Arc<dyn Select>;
