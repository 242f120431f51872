//! The target so far, as far as it is kept for windows that copy from it (VCD_TARGET).

use super::execute::Earlier;
use crate::error::{Fault, Limit};
use crate::format::window::{VCD_TARGET, WindowHeader};

/// What is kept of the target.
#[derive(Debug)]
pub(super) enum TargetHistory {
    /// Its end, here.
    Kept {
        bytes: Vec<u8>,
        /// Target bytes before `bytes`.
        dropped: u64,
        /// Bytes that are kept at least, once there are so many.
        allowed: u64,
    },
    /// All of it, in the output.
    InOutput,
}

impl TargetHistory {
    /// Keeps that many bytes.
    pub(super) fn keeping(allowed: u64) -> Self {
        Self::Kept { bytes: Vec::new(), dropped: 0, allowed }
    }

    /// Refuses a window that copies from what is not kept. That it was produced at all is known.
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

    /// The target from an offset on that [`check`](Self::check) accepted.
    pub(super) fn from<S>(&self, offset: u64) -> Earlier<'_, S> {
        match self {
            Self::Kept { bytes, dropped, .. } => {
                let start = usize::try_from(offset.saturating_sub(*dropped)).unwrap_or(usize::MAX);
                Earlier::Kept(bytes.get(start..).unwrap_or_default())
            }
            Self::InOutput => Earlier::Out(usize::try_from(offset).unwrap_or(usize::MAX)),
        }
    }

    /// Adds a window. What is no longer needed goes when it is as much as what is.
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
