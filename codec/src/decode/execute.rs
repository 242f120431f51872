//! Executes the instructions of a window and appends its bytes to the output.

use super::instructions::Instructions;
use super::source_cache::{SourceCache, append_lent};
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

/// Appends the target window.
pub(crate) fn execute(
    instructions: &mut Instructions<'_>,
    mut earlier: Earlier<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    let window = out.len();
    while let Some(step) = instructions.step()? {
        let Instruction { size, operation, .. } = step.instruction;
        // Sizes and positions are within the window, whose length is a usize already.
        let size = size as usize;
        match operation {
            Operation::Add(bytes) => out.extend_from_slice(bytes),
            Operation::Run(byte) => out.resize(out.len().saturating_add(size), byte),
            Operation::CopySource { address } => match &mut earlier {
                Earlier::Lent(source, lent, offset) => {
                    append_lent(*source, lent, offset.saturating_add(address), size, out)
                        .map_err(|fault| fault.at(instructions.at()))?;
                }
                Earlier::Source(source, cache, offset) => cache
                    .append(*source, offset.saturating_add(address), size, out)
                    .map_err(|fault| fault.at(instructions.at()))?,
                // The window header was checked against the bytes kept.
                Earlier::Kept(target) => {
                    let start = address as usize;
                    out.extend_from_slice(
                        target.get(start..start.saturating_add(size)).unwrap_or_default(),
                    );
                }
                Earlier::Out(start) => repeat(out, start.saturating_add(address as usize), size),
                Earlier::Nowhere => {
                    return Err(Fault::from(DecodeErrorKind::SourceMissing).at(instructions.at()));
                }
            },
            Operation::CopyTarget { position } => {
                repeat(out, window.saturating_add(position as usize), size)
            }
        }
    }
    Ok(())
}

/// Appends `size` bytes from `from` on. These may be bytes it appends itself: then the pattern
/// between `from` and the end repeats.
fn repeat(out: &mut Vec<u8>, from: usize, size: usize) {
    let mut left = size;
    while left > 0 {
        // Each round doubles the bytes that can be copied at once, since the pattern continues
        // where it was appended.
        let round = left.min(out.len().saturating_sub(from));
        if round == 0 {
            break;
        }
        out.extend_from_within(from..from.saturating_add(round));
        left = left.saturating_sub(round);
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    #[test]
    fn repeat_equals_bytewise_copy() {
        for pattern in 1..20usize {
            for size in 0..100 {
                let start: Vec<u8> = (0..30).collect();
                let mut fast = start.clone();
                repeat(&mut fast, 30 - pattern, size);
                let mut slow = start;
                for from in 30 - pattern..30 - pattern + size {
                    slow.push(slow[from]);
                }
                assert_eq!(fast, slow, "pattern {pattern}, size {size}");
            }
        }
    }
}
