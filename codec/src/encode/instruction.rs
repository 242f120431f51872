//! What a matcher finds: how bytes of a window are made from others.

/// What makes the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// One byte, repeated.
    Run(u8),
    /// A piece of the source, addressed from its start.
    CopySource,
    /// A piece of the same window.
    CopyTarget,
}

/// How to make `size` bytes of target from `position` in the window on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Instruction {
    pub(crate) address: u64,
    pub(crate) position: u32,
    pub(crate) size: u32,
    pub(crate) operation: Operation,
}

impl Instruction {
    pub(super) fn end(&self) -> u32 {
        self.position + self.size
    }

    pub(super) fn cut_head(&mut self, bytes: u32) {
        self.position += bytes;
        self.size -= bytes;
        self.address += u64::from(bytes);
    }
}
