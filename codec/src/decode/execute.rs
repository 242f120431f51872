//! Executes the instructions of a window.

use super::instructions::Instructions;
use super::source_cache::{SourceCache, append_lent};
use super::target_window::TargetWindow;
use crate::error::{DecodeErrorKind, Fault};
use crate::format::instruction::{Instruction, Operation};
use crate::source::Source;

/// The location of a window's copy window.
pub(crate) enum Earlier<'a> {
    /// A source and the bytes it lends, from this offset on.
    Lent(&'a dyn Source, &'a [u8], u64),
    /// A source that lends none and its cache, from this offset on.
    Source(&'a dyn Source, &'a mut SourceCache, u64),
    /// The target, kept apart from the output, from this offset on.
    Kept(&'a [u8]),
    /// The target, in the output, from this index on.
    Out(usize),
    /// No copy window.
    Nowhere,
}

/// Produces a whole target window.
pub(crate) fn execute(
    instructions: &mut Instructions<'_>,
    mut earlier: Earlier<'_>,
    window: &mut TargetWindow<'_>,
) -> Result<(), Fault> {
    while let Some(step) = instructions.step()? {
        let Instruction { size, operation, .. } = step.instruction;
        // Sizes and positions are within the window, whose length is a usize already.
        let size = size as usize;
        match operation {
            Operation::Add(bytes) => window.extend(bytes),
            Operation::Run(byte) => window.fill(byte, size),
            Operation::CopySource { address } => match &mut earlier {
                Earlier::Lent(source, lent, offset) => {
                    append_lent(*source, lent, offset.saturating_add(address), size, window)
                        .map_err(|fault| fault.at(instructions.at()))?;
                }
                Earlier::Source(source, cache, offset) => cache
                    .append(*source, offset.saturating_add(address), size, window)
                    .map_err(|fault| fault.at(instructions.at()))?,
                // The window header was checked against the bytes kept.
                Earlier::Kept(target) => {
                    let start = address as usize;
                    window
                        .extend(target.get(start..start.saturating_add(size)).unwrap_or_default());
                }
                Earlier::Out(start) => {
                    window.repeat_output(start.saturating_add(address as usize), size);
                }
                Earlier::Nowhere => {
                    return Err(Fault::from(DecodeErrorKind::SourceMissing).at(instructions.at()));
                }
            },
            Operation::CopyTarget { position } => window.repeat(position, size),
        }
    }
    Ok(())
}
