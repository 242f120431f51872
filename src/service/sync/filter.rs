//! Selection of the files of a folder.

use std::sync::Arc;

/// Selects files of a folder by their path relative to it, with `/` as the separator.
pub trait Select: Send + Sync {
    /// Returns whether a file of this name is selected.
    fn takes(&self, name: &str) -> bool;

    /// Returns whether any file below this directory may be selected. A directory without one is
    /// not entered.
    fn may_take_below(&self, directory: &str) -> bool;
}

/// A closure selects files and excludes no directory.
impl<F: Fn(&str) -> bool + Send + Sync> Select for F {
    fn takes(&self, name: &str) -> bool {
        self(name)
    }

    fn may_take_below(&self, _: &str) -> bool {
        true
    }
}

/// A selection that applies to both folders.
pub type Filter = Arc<dyn Select>;
