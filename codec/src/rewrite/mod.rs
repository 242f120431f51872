//! Rewrites deltas without the files: recodes one, or merges several into one.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod error;
mod merge;
mod options;
mod recode;
mod rewriter;

pub use error::RecodeError;
pub use merge::{Merger, merge};
pub use options::RecodeOptions;
pub use recode::{Recoder, recode};
