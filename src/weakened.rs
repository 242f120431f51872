//! Steps that a build with the feature `weakened` can be told to leave out, so that the tests that need them are seen to fail.
//!
//! No release has the feature.

/// Whether this step is to be left out: `DG_WEAKENED` says so (`tags` or `tags,header`), in a weakened build.
pub(crate) fn leaves_out(step: &str) -> bool {
    cfg!(feature = "weakened")
        && std::env::var("DG_WEAKENED").is_ok_and(|told| told.split(',').any(|told| told == step))
}
