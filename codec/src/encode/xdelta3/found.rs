//! The matches the matcher finds, before they become instructions. A match may overlap the next
//! one.

/// The kind of a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FoundKind {
    /// One byte, repeated.
    Run(u8),
    /// A piece of the source, addressed from the source's start.
    CopySource,
    /// A piece of the same window.
    CopyTarget,
}

/// A match that makes `size` bytes of target from `position` in the window on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) address: u64,
    pub(super) position: u32,
    pub(super) size: u32,
    pub(super) kind: FoundKind,
}

impl Found {
    pub(super) fn new(position: usize, size: usize, address: u64, kind: FoundKind) -> Self {
        Self { address, position: position as u32, size: size as u32, kind }
    }

    pub(super) fn end(&self) -> u32 {
        self.position + self.size
    }

    pub(super) fn cut_head(&mut self, bytes: u32) {
        self.position += bytes;
        self.size -= bytes;
        self.address += u64::from(bytes);
    }
}
