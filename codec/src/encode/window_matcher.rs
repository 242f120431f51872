//! The interface between matching and writing: takes a window of the target and returns its
//! instructions.

use super::error::EncodeError;
use super::section_writer::SectionWriter;

/// A matcher of target windows, one after the other.
pub(super) trait WindowMatcher {
    /// Writes the instructions of the next window to `sections`, in the order of their positions.
    /// Together they make all of `target`.
    fn window(&mut self, target: &[u8], sections: &mut SectionWriter) -> Result<(), EncodeError>;
}
