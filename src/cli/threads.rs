//! The number of threads that encode.

use std::num::NonZeroUsize;

/// The variable with the number.
const THREADS: &str = "DG_THREADS";

/// Returns the number in `DG_THREADS`; `None` if it is not set or empty.
///
/// # Errors
///
/// Returns a message if it is not a number from 1 on.
pub(super) fn threads() -> Result<Option<NonZeroUsize>, String> {
    let Some(given) = std::env::var_os(THREADS).filter(|given| !given.is_empty()) else {
        return Ok(None);
    };
    match given.to_str().and_then(|text| text.parse().ok()) {
        Some(threads) => Ok(Some(threads)),
        None => Err(format!("{THREADS}: expected a number from 1 on, got {given:?}")),
    }
}
