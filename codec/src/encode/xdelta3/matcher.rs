//! The matcher: matches target windows as xdelta3 does, one after the other.

use std::io;

use super::ahead::Ahead;
use super::instruction_buffer::InstructionBuffer;
use super::profile::MatcherProfile;
use super::scan::{MIN_MATCH, Scan};
use super::source_side::SourceSide;
use super::target_index::TargetIndex;
use crate::Source;
use crate::encode::error::EncodeError;
use crate::encode::options::Plan;
use crate::encode::window_matcher::{Window, WindowMatcher};

/// The state of matching that is kept from window to window.
#[derive(Debug)]
pub(in crate::encode) struct Matcher {
    profile: MatcherProfile,
    source: Option<SourceSide>,
    target_index: Option<TargetIndex>,
    buffer: InstructionBuffer,
    /// The number of target bytes in the previous windows.
    passed: u64,
}

impl Matcher {
    pub(in crate::encode) fn new(plan: &Plan, source: Option<&dyn Source>) -> io::Result<Self> {
        let profile = plan.profile;
        let source = source.map(|source| SourceSide::new(source, plan)).transpose()?;
        let target_index =
            plan.target_matching.then(|| TargetIndex::new(&profile, plan.window, plan.history));
        let buffer = InstructionBuffer::new(plan, source.is_some());
        Ok(Self { profile, source, target_index, buffer, passed: 0 })
    }
}

impl WindowMatcher for Matcher {
    fn window(&mut self, window: Window<'_>) -> Result<(), EncodeError> {
        let Window { target, source, sections } = window;
        let resume = self.source.as_mut().and_then(|source| source.resume.take());
        if !target.is_empty() {
            let mut scan = Scan {
                profile: self.profile,
                target,
                passed: self.passed,
                source: self.source.as_mut().zip(source),
                index: self.target_index.as_mut(),
                buffer: &mut self.buffer,
                sections,
                ahead: Ahead::new(),
            };
            let matched = match resume {
                Some(position) => scan.match_source(0, position, MIN_MATCH)?,
                None => None,
            };
            scan.run(matched.unwrap_or(0))?;
        }
        self.passed += target.len() as u64;
        self.buffer.finish(target, sections)
    }
}
