//! The strategies for matching windows.

use super::identical::Identical;
use super::window_matcher::WindowMatcher;
use super::xdelta3;

/// A strategy. Each has a variant and an arm in [`matcher`](Self::matcher).
#[derive(Debug)]
pub(super) enum Strategy {
    Xdelta3(Box<xdelta3::Matcher>),
    Identical(Identical),
}

impl Strategy {
    pub(super) fn matcher(&mut self) -> &mut dyn WindowMatcher {
        match self {
            Self::Xdelta3(matcher) => matcher.as_mut(),
            Self::Identical(matcher) => matcher,
        }
    }
}
