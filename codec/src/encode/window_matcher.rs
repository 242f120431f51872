//! The interface between matching and writing: takes a window of the target and returns its
//! instructions.

use super::error::EncodeError;
use super::section_writer::SectionWriter;
use crate::Source;

/// A window to be matched.
pub(super) struct Window<'a> {
    pub(super) target: &'a [u8],
    /// The source, the same one for every window.
    pub(super) source: Option<&'a dyn Source>,
    /// The place for the instructions, in the order of their positions. Together they make all of
    /// `target`.
    pub(super) sections: &'a mut SectionWriter,
}

/// A matcher of target windows, one after the other.
pub(super) trait WindowMatcher {
    /// Writes the instructions of the next window.
    fn window(&mut self, window: Window<'_>) -> Result<(), EncodeError>;
}
