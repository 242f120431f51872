//! The source of the matcher, and the extension of matches in it.

use std::io;

use super::MatcherProfile;
use super::match_len::{common_prefix, common_suffix};
use super::source_index::SourceIndex;
use super::source_window::SourceWindow;
use crate::Source;
use crate::encode::options::Plan;
use crate::format::window::CopyWindow;

/// The source and the state of matching it, kept across windows.
#[derive(Debug)]
pub(super) struct SourceSide {
    pub(super) blocks: SourceWindow,
    pub(super) index: SourceIndex,
    /// The distance back from the end of the index that a match may reach, in bytes.
    window: u64,
    /// The end of the match that reached farthest.
    pub(super) matched: u64,
    /// The position tried last; it is not tried twice in a row.
    tried: u64,
    /// The source position that the next window tries first: the end of the match that ended this
    /// window.
    pub(super) resume: Option<u64>,
}

impl SourceSide {
    pub(super) fn new(source: &dyn Source, plan: &Plan) -> io::Result<Self> {
        let blocks = SourceWindow::new(source, plan.source_window)?;
        let MatcherProfile { large_look, large_step, .. } = plan.profile;
        let index = SourceIndex::new(large_look, large_step, plan.source_window, source.len());
        Ok(Self {
            blocks,
            index,
            window: plan.source_window,
            matched: 0,
            tried: 0,
            resume: Some(0),
        })
    }

    /// Counts a candidate as tried that cannot match, in place of [`Self::room`].
    #[inline]
    pub(super) fn reject(&mut self, entry: u32) {
        self.tried = self.index.position(entry).unwrap_or(u64::MAX);
        self.resume = None;
    }

    /// Returns whether the candidate of an entry cannot match a target that begins with these four
    /// bytes, as far as that is known without reading the source.
    #[inline]
    pub(super) fn rejects(&self, source: &dyn Source, entry: u32, four: u32) -> bool {
        let Some(position) = self.index.position(entry) else { return true };
        self.index.covered().saturating_sub(position) > self.window
            || self.blocks.four(source, position).is_some_and(|candidate| candidate != four)
    }

    /// Returns the number of bytes a match at `position` may extend back and ahead; `None` if it
    /// may not be tried.
    #[inline]
    pub(super) fn room(&mut self, position: u64, chosen: Option<CopyWindow>) -> Option<(u64, u64)> {
        let again = position != 0 && position == self.tried;
        self.tried = position;
        self.resume = None;
        if again || self.index.covered().saturating_sub(position) > self.window {
            return None;
        }
        match chosen {
            None => Some((
                position,
                self.blocks.end().map_or(u64::MAX, |end| end.saturating_sub(position)),
            )),
            Some(CopyWindow { offset, len }) => {
                Some((position.checked_sub(offset)?, (offset + len).checked_sub(position)?))
            }
        }
    }

    /// Returns the number of bytes before `position` that equal the end of `target`; `None` if the
    /// source there is no longer available.
    #[inline]
    pub(super) fn extend_back(
        &mut self,
        source: &dyn Source,
        target: &[u8],
        position: u64,
    ) -> io::Result<Option<usize>> {
        let block_len = self.blocks.block_len();
        let mut back = 0;
        while back < target.len() {
            let last = position - back as u64 - 1;
            let within = (last % block_len) as usize + 1;
            let Some(block) = self.blocks.block(source, last / block_len)? else {
                return Ok((back > 0).then_some(back));
            };
            let rest = &target[..target.len() - back];
            let reach = within.min(rest.len());
            let equal = common_suffix(rest, block.get(..within).unwrap_or_default());
            back += equal;
            if equal < reach {
                break;
            }
        }
        Ok(Some(back))
    }

    /// Returns the number of bytes from `position` on that equal the start of `target`.
    #[inline]
    pub(super) fn extend_ahead(
        &mut self,
        source: &dyn Source,
        target: &[u8],
        position: u64,
    ) -> io::Result<usize> {
        let block_len = self.blocks.block_len();
        let mut ahead = 0;
        while ahead < target.len() {
            let next = position + ahead as u64;
            let Some(block) = self.blocks.block(source, next / block_len)? else { break };
            let rest = block.get((next % block_len) as usize..).unwrap_or_default();
            let equal = common_prefix(&target[ahead..], rest);
            ahead += equal;
            if equal < rest.len() || (block.len() as u64) < block_len {
                break;
            }
        }
        Ok(ahead)
    }
}
