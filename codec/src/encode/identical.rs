//! The delta of a file against itself: one COPY a window, without a matcher and without a look at
//! the source.

use super::error::EncodeError;
use super::section_writer::SectionWriter;
use super::window_matcher::WindowMatcher;
use crate::format::instruction::{Instruction, Operation};
use crate::format::window::CopyWindow;

/// A shorter COPY costs more than an ADD of its bytes.
const LEAST_COPY: usize = 4;

/// Copies every window from the same place of the source.
#[derive(Debug, Default)]
pub(super) struct Identical {
    /// Target bytes in the previous windows.
    passed: u64,
}

impl WindowMatcher for Identical {
    fn window(&mut self, target: &[u8], sections: &mut SectionWriter) -> Result<(), EncodeError> {
        let size = target.len() as u64;
        let operation = if target.len() < LEAST_COPY {
            Operation::Add(target)
        } else {
            sections.copy_from(CopyWindow { offset: self.passed, len: size });
            Operation::CopySource { address: 0 }
        };
        if size > 0 {
            sections.write(Instruction { position: 0, size, operation });
        }
        self.passed += size;
        Ok(())
    }
}
