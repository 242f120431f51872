//! A matcher without any of the shortcuts, one position after the other, as xdelta3 works. The
//! tests compare the real one with it.

use std::io;

use super::Matcher;
use super::checksum::{LargeChecksum, four, hash, slot, table_bits};
use super::found::{Found, FoundKind};
use super::instruction_buffer::InstructionBuffer;
use super::match_len::common_prefix;
use super::profile::MatcherProfile;
use super::source_window::SourceWindow;
use crate::Source;
use crate::encode::error::EncodeError;
use crate::encode::options::Plan;
use crate::encode::window_matcher::{Window, WindowMatcher};
use crate::encode::{EncodeOptions, SectionWriter, WindowWriter};

/// The state of matching, with plain tables.
struct Naive {
    profile: MatcherProfile,
    blocks: Option<SourceWindow>,
    source_window: u64,
    source_bits: u32,
    /// The low 32 bits of the position + 1 by slot.
    source_table: Vec<u32>,
    covered: u64,
    matched: u64,
    tried: u64,
    resume: Option<u64>,
    target_matching: bool,
    target_bits: u32,
    /// The position + 1 by slot, and for each position the one before it.
    target_table: Vec<u32>,
    previous: Vec<u32>,
    buffer: InstructionBuffer,
    passed: u64,
}

impl Naive {
    fn new(plan: &Plan, source: Option<&dyn Source>) -> io::Result<Self> {
        let profile = plan.profile;
        let source_bits = table_bits(plan.source_window / u64::from(profile.large_step));
        let target_bits = table_bits(plan.window as u64);
        Ok(Self {
            profile,
            blocks: source.map(|it| SourceWindow::new(it, plan.source_window)).transpose()?,
            source_window: plan.source_window,
            source_bits,
            source_table: vec![0; 1 << source_bits],
            covered: 0,
            matched: 0,
            tried: 0,
            resume: Some(0),
            target_matching: plan.target_matching,
            target_bits,
            target_table: vec![0; 1 << target_bits],
            previous: vec![0; if profile.chains() { plan.history } else { 0 }],
            buffer: InstructionBuffer::new(plan, source.is_some()),
            passed: 0,
        })
    }

    fn scan(&mut self, window: &mut Window<'_>, mut at: usize) -> Result<(), EncodeError> {
        self.target_table.fill(0);
        while at + self.profile.small_look as usize <= window.target.len() {
            match self.scan_to_match(window, at)? {
                Some(behind) => at = behind,
                None => break,
            }
        }
        Ok(())
    }

    fn scan_to_match(
        &mut self,
        window: &mut Window<'_>,
        start: usize,
    ) -> Result<Option<usize>, EncodeError> {
        let target = window.target;
        let small_look = self.profile.small_look as usize;
        let large_look = self.profile.large_look as usize;
        let mut least = 4.max((1 + self.buffer.end()).saturating_sub(start));
        let mut index_again = 0;
        if self.blocks.is_some() && start + large_look <= target.len() {
            index_again = self.advance(window, start)?;
        }
        for at in start..=target.len() - small_look {
            let mut found = None;
            let run = target[at..].iter().take_while(|&&byte| byte == target[at]).count();
            let begins = at == start || target[at - 1] != target[at];
            if begins && run >= small_look.max(least).max(8) {
                self.push(window, Found::new(at, run, 0, FoundKind::Run(target[at])))?;
                found = Some(run);
            }
            if found.is_none() && self.blocks.is_some() && at + large_look <= target.len() {
                if at as u64 >= index_again {
                    index_again = self.advance(window, at)?;
                }
                let sum = LargeChecksum::of(&target[at..at + large_look]).value();
                let entry = self.source_table[slot(sum, self.source_bits) as usize];
                if entry != 0 {
                    found = self.match_source(window, at, self.position(entry), least)?;
                }
            }
            if found.is_none() && self.target_matching {
                found = self.match_target(window, at, least)?;
            }
            match found {
                Some(len)
                    if len < self.profile.max_lazy as usize && at + len + 2 <= target.len() =>
                {
                    least = len;
                }
                Some(len) => return Ok(Some(at + len)),
                None => least = 4.max(least - 1),
            }
        }
        Ok(None)
    }

    fn position(&self, entry: u32) -> u64 {
        let low = u64::from(entry.wrapping_sub(1));
        let high = self.covered >> 32 << 32;
        if high > 0 && low > self.covered - high { high - (1 << 32) + low } else { high + low }
    }

    fn advance(&mut self, window: &Window<'_>, at: usize) -> Result<u64, EncodeError> {
        let (Some(blocks), Some(source)) = (&mut self.blocks, window.source) else {
            return Ok(u64::MAX);
        };
        if blocks.end() == Some(self.covered) {
            return Ok(u64::MAX);
        }
        let target = self.passed + at as u64;
        let (block_len, ahead) = (blocks.block_len(), self.source_window / 2);
        let rounded = (target + ahead + 2 * block_len) / block_len * block_len;
        let goal = if target < ahead { self.source_window } else { rounded };
        self.covered = self.covered.max(self.matched);
        let goal = goal.max(self.covered);
        let look = self.profile.large_look as usize;
        while self.covered < goal && blocks.end().is_none_or(|end| self.covered < end) {
            let base = self.covered / block_len * block_len;
            let from = (self.covered % block_len) as usize;
            if let Some(block) = blocks.block(source, base / block_len)?
                && let Some(mut at) = block.len().checked_sub(look)
            {
                loop {
                    let sum = LargeChecksum::of(&block[at..at + look]).value();
                    self.source_table[slot(sum, self.source_bits) as usize] =
                        (base + at as u64 + 1) as u32;
                    match at.checked_sub(self.profile.large_step as usize) {
                        Some(next) if next >= from => at = next,
                        _ => break,
                    }
                }
            }
            self.covered = base + block_len;
        }
        if let Some(end) = blocks.end().filter(|&end| self.covered >= end) {
            self.covered = end;
            return Ok(u64::MAX);
        }
        Ok((block_len - (self.covered - goal) % block_len).saturating_add(at as u64))
    }

    fn match_source(
        &mut self,
        window: &mut Window<'_>,
        at: usize,
        position: u64,
        least: usize,
    ) -> Result<Option<usize>, EncodeError> {
        let (Some(blocks), Some(source)) = (&mut self.blocks, window.source) else {
            return Ok(None);
        };
        let again = position != 0 && position == self.tried;
        (self.tried, self.resume) = (position, None);
        if again || self.covered.saturating_sub(position) > self.source_window {
            return Ok(None);
        }
        let target = window.target;
        let (start, end) = match self.buffer.copy_window() {
            None => (0, blocks.end().unwrap_or(u64::MAX)),
            Some(chosen) => (chosen.offset, chosen.offset + chosen.len),
        };
        // A copy window that was chosen before may begin after the candidate, or end before it.
        let chosen = self.buffer.copy_window().is_some();
        if chosen && (position < start || position > end) {
            return Ok(None);
        }
        let written = self.buffer.written();
        let room_behind = at.checked_sub(written).unwrap_or(at) as u64;
        let room_behind = room_behind.min(position - start);
        let room_ahead = ((target.len() - at) as u64).min(end.saturating_sub(position));
        let mut behind = 0;
        while (behind as u64) < room_behind {
            match byte_at(blocks, source, position - behind as u64 - 1)? {
                Byte::Gone if behind == 0 => return Ok(None),
                Byte::Known(byte) if byte == target[at - behind - 1] => behind += 1,
                _ => break,
            }
        }
        let mut ahead = 0;
        while (ahead as u64) < room_ahead {
            match byte_at(blocks, source, position + ahead as u64)? {
                Byte::Known(byte) if byte == target[at + ahead] => ahead += 1,
                _ => break,
            }
        }
        if ahead < least {
            return Ok(None);
        }
        if behind > 0 {
            self.buffer.drop_from(at - behind);
        }
        let (start, end) = (position - behind as u64, position + ahead as u64);
        self.matched = self.matched.max(end);
        self.resume = (at + ahead == target.len()).then_some(end);
        self.buffer.include(start, end);
        let found = Found::new(at - behind, behind + ahead, start, FoundKind::CopySource);
        self.push(window, found)?;
        Ok(Some(ahead))
    }

    fn match_target(
        &mut self,
        window: &mut Window<'_>,
        at: usize,
        least: usize,
    ) -> Result<Option<usize>, EncodeError> {
        let target = window.target;
        let slot = slot(hash(four(target, at)), self.target_bits) as usize;
        let head = std::mem::replace(&mut self.target_table[slot], at as u32 + 1);
        let mut left = if least > 4 { self.profile.lazy_chain } else { self.profile.chain };
        let (mut best, mut earlier) = (0, at);
        let mut entry = head;
        while entry != 0 {
            let candidate = entry as usize - 1;
            let len = common_prefix(&target[candidate..], &target[at..]);
            if len > best {
                (best, earlier) = (len, candidate);
                if len == target.len() - at || len >= self.profile.long_enough as usize {
                    break;
                }
            }
            left = left.wrapping_sub(1);
            if left == 0 {
                break;
            }
            entry = self.previous[candidate % self.previous.len()];
            let next = entry.wrapping_sub(1) as usize;
            if entry == 0 || next > candidate || at - next >= self.previous.len() {
                break;
            }
        }
        if let Some(mask) = self.previous.len().checked_sub(1) {
            self.previous[at & mask] = head;
        }
        let far = (best == 4 && at - earlier >= 1 << 14) || (best == 5 && at - earlier >= 1 << 21);
        if best < least || far {
            return Ok(None);
        }
        self.push(window, Found::new(at, best, earlier as u64, FoundKind::CopyTarget))?;
        Ok(Some(best))
    }

    fn push(&mut self, window: &mut Window<'_>, found: Found) -> Result<(), EncodeError> {
        let end = self.blocks.as_ref().and_then(SourceWindow::end);
        self.buffer.push(found, window.target, end, window.sections)
    }
}

/// A byte of the source.
enum Byte {
    Known(u8),
    /// Evicted for a later block.
    Gone,
    BeyondEnd,
}

fn byte_at(blocks: &mut SourceWindow, source: &dyn Source, position: u64) -> io::Result<Byte> {
    let block_len = blocks.block_len();
    let Some(block) = blocks.block(source, position / block_len)? else { return Ok(Byte::Gone) };
    let byte = block.get((position % block_len) as usize);
    Ok(byte.map_or(Byte::BeyondEnd, |&byte| Byte::Known(byte)))
}

impl WindowMatcher for Naive {
    fn window(&mut self, mut window: Window<'_>) -> Result<(), EncodeError> {
        let resume = self.resume.take();
        if !window.target.is_empty() {
            let matched = match resume {
                Some(position) => self.match_source(&mut window, 0, position, 4)?,
                None => None,
            };
            self.scan(&mut window, matched.unwrap_or(0))?;
        }
        self.passed += window.target.len() as u64;
        self.buffer.finish(window.target, window.sections)
    }
}

/// Returns the windows of a delta without compression, or the error that ends it.
fn windows(
    mut matcher: impl WindowMatcher,
    window_len: usize,
    source: Option<&dyn Source>,
    target: &[u8],
) -> Result<Vec<u8>, EncodeError> {
    let mut writer = SectionWriter::new();
    let mut windows = WindowWriter::new(crate::Secondary::None, true);
    let mut out = Vec::new();
    for target in target.chunks(window_len) {
        matcher.window(Window { target, source, sections: &mut writer })?;
        windows.window(writer.finish().parts(target.len() as u64, None), &mut out)?;
    }
    Ok(out)
}

/// Compares both matchers on one input.
pub(super) fn compare(
    options: &EncodeOptions,
    source: Option<&dyn Source>,
    target: &[u8],
) -> Result<usize, String> {
    let plan = options.plan().map_err(|error| error.to_string())?;
    let naive = Naive::new(&plan, source).map_err(|error| error.to_string())?;
    let real = Matcher::new(&plan, source).map_err(|error| error.to_string())?;
    let of = |delta: Result<Vec<u8>, EncodeError>| delta.map_err(|error| error.to_string());
    let naive = of(windows(naive, plan.window, source, target));
    let real = of(windows(real, plan.window, source, target));
    if naive != real {
        let at = match (&naive, &real) {
            (Ok(naive), Ok(real)) => common_prefix(naive, real),
            _ => 0,
        };
        return Err(format!("the deltas differ at byte {at}: {:?}", options));
    }
    Ok(real.map_or(0, |delta| delta.len()))
}
