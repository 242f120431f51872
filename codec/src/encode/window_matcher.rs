//! The seam between matching and writing: a window of the target in, its instructions out.

use super::error::EncodeError;
use super::section_writer::SectionWriter;

/// Finds out how target windows are made, one after the other.
pub(super) trait WindowMatcher {
    /// Hands over the instructions of the next window in the order of their positions. Together
    /// they make all of `target`.
    fn window(&mut self, target: &[u8], sections: &mut SectionWriter) -> Result<(), EncodeError>;
}
