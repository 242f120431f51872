//! Instructions of RFC 3284, sections 3 and 5.

/// An instruction, which makes `size` bytes of a target window from `position` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instruction<'a> {
    pub(crate) position: u64,
    pub(crate) size: u64,
    pub(crate) operation: Operation<'a>,
}

/// The operation of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation<'a> {
    /// Appends these bytes.
    Add(&'a [u8]),
    /// Appends this byte, repeated `size` times.
    Run(u8),
    /// Appends bytes of the copy window, from this address in it on.
    CopySource { address: u64 },
    /// Appends bytes of the same target window from this position on, which is before the
    /// instruction's own.
    CopyTarget { position: u64 },
}

/// The kind of an instruction, as a code table names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Kind {
    /// No operation; the second half of a single instruction.
    #[default]
    Noop,
    /// Bytes from the data section.
    Add,
    /// One byte from the data section, repeated.
    Run,
    /// Bytes from the copy window or from the target already produced, in the given address mode.
    Copy(u8),
}
