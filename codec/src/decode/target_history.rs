//! The part of the target kept for windows that copy from it (VCD_TARGET).

use super::execute::Earlier;
use crate::error::{Fault, Limit};
use crate::format::window::{VCD_TARGET, WindowHeader};

/// The part of the target that is kept, and its place.
#[derive(Debug)]
pub(super) enum TargetHistory {
    /// The end of the target, kept here.
    Kept {
        bytes: Vec<u8>,
        /// The number of target bytes before `bytes`.
        dropped: u64,
        /// The minimum number of bytes kept, once the target has that many.
        allowed: u64,
    },
    /// The whole target, in the output.
    InOutput,
}

impl TargetHistory {
    /// Creates a history that keeps `allowed` bytes.
    pub(super) fn keeping(allowed: u64) -> Self {
        Self::Kept { bytes: Vec::new(), dropped: 0, allowed }
    }

    /// Rejects a window that copies from target bytes that are not kept. The caller has already
    /// checked that they were produced.
    pub(super) fn check(&self, header: &WindowHeader) -> Result<(), Fault> {
        match (self, header.copy_window) {
            (Self::Kept { bytes, dropped, allowed }, Some(window))
                if header.indicator & VCD_TARGET != 0 && window.len > 0 =>
            {
                let produced = dropped.saturating_add(bytes.len() as u64);
                Limit::TargetHistory.check(produced.saturating_sub(window.offset), *allowed)
            }
            _ => Ok(()),
        }
    }

    /// Returns the target from an offset on that [`check`](Self::check) accepted.
    pub(super) fn from(&self, offset: u64) -> Earlier<'_> {
        match self {
            Self::Kept { bytes, dropped, .. } => {
                let start = usize::try_from(offset.saturating_sub(*dropped)).unwrap_or(usize::MAX);
                Earlier::Kept(bytes.get(start..).unwrap_or_default())
            }
            Self::InOutput => Earlier::Out(usize::try_from(offset).unwrap_or(usize::MAX)),
        }
    }

    /// Appends a window. Bytes no longer needed are discarded once they are as many as the needed
    /// ones.
    pub(super) fn add(&mut self, window: &[u8]) {
        let Self::Kept { bytes, dropped, allowed } = self else { return };
        if *allowed == 0 {
            *dropped = dropped.saturating_add(window.len() as u64);
            return;
        }
        bytes.extend_from_slice(window);
        let excess = (bytes.len() as u64).saturating_sub(*allowed);
        if excess > *allowed {
            bytes.drain(..excess as usize);
            *dropped = dropped.saturating_add(excess);
        }
    }
}
