//! The strategies for matching windows.

use super::identical::Identical;
use super::window_matcher::WindowMatcher;
use super::xdelta3;
use crate::Source;

/// A strategy. Each has a variant and an arm in [`matcher`](Self::matcher).
#[derive(Debug)]
pub(super) enum Strategy<S> {
    Xdelta3(Box<xdelta3::Matcher<S>>),
    Identical(Identical),
}

impl<S: Source> Strategy<S> {
    pub(super) fn matcher(&mut self) -> &mut dyn WindowMatcher {
        match self {
            Self::Xdelta3(matcher) => matcher.as_mut(),
            Self::Identical(matcher) => matcher,
        }
    }
}
