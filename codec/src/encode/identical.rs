//! The delta of a file against itself: one COPY per window, without a matcher and without reading
//! the source.

use super::error::EncodeError;
use super::window_matcher::{Window, WindowMatcher};
use crate::format::instruction::{Instruction, Operation};
use crate::format::window::CopyWindow;

/// The minimum length of a COPY in bytes: a shorter one costs more than an ADD of its bytes.
const MIN_COPY: usize = 4;

/// A matcher that copies every window from the same place of the source.
#[derive(Debug, Default)]
pub(super) struct Identical {
    /// The number of target bytes in the previous windows.
    passed: u64,
}

impl WindowMatcher for Identical {
    fn window(&mut self, window: Window<'_>) -> Result<(), EncodeError> {
        let Window { target, sections, .. } = window;
        let size = target.len() as u64;
        let operation = if target.len() < MIN_COPY {
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
