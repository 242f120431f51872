//! Steps that a build with the feature `weakened` can be told to leave out, so that the tests that need them are seen to fail.
//!
//! No release has the feature.

/// Whether this step is to be left out: it is what `DG_WEAKENED` says, in a weakened build.
pub(crate) fn leaves_out(step: &str) -> bool {
    cfg!(feature = "weakened") && std::env::var_os("DG_WEAKENED").is_some_and(|told| told == step)
}
