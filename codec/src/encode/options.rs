//! The options of the encoder and their validation.

use super::error::{EncodeError, SizeOption};
use super::{Level, MatcherProfile};
use crate::secondary::Secondary;
use crate::setters::setters;

/// The largest target window xdelta3 3.0.11 writes or reads, in bytes.
const XDELTA_3_0_WINDOW: usize = 1 << 24;
/// xdelta3's allocation unit in bytes; for table sizes no window counts as shorter.
pub(super) const MIN_WINDOW: usize = 1 << 14;
/// The number of blocks the source window is divided into.
pub(super) const SOURCE_BLOCKS: u64 = 32;
const MIN_SOURCE_WINDOW: u64 = SOURCE_BLOCKS * MIN_WINDOW as u64;
const MAX_SOURCE_WINDOW: u64 = 1 << 31;
const DEFAULT_HISTORY: u32 = 1 << 18;
/// The minimum of the instruction buffer; xdelta3 is known to crash below it.
const MIN_INSTRUCTION_BUFFER: u32 = 4;
/// The minimum length of a run or a match inside the target, in bytes.
pub(super) const MIN_LOOK: u32 = 4;

/// Settings of an [`Encoder`](super::Encoder); the default is xdelta3's.
///
/// Equal settings and equal input give the bytes xdelta3 3.0.11 gives.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EncodeOptions {
    /// The level, `-0` to `-9`.
    pub level: Level,
    /// `-C`: the matcher's settings, in place of those of the level (also in place of level 0's
    /// choice not to match inside the target).
    pub matcher: Option<MatcherProfile>,
    /// If `true`, the matcher looks for matches inside the target; `false` is `-N`.
    pub target_matching: bool,
    /// `-S`: the secondary compressor.
    pub secondary: Secondary,
    /// If `true`, the encoder writes sections that no decoder can read where xdelta3 writes them.
    /// FGK's code learns from sections that turn out not worth compressing and that the decoder
    /// never sees in that form; DJW has codes that outgrow their tables; an instruction buffer of 4
    /// or slightly more lets matches overlap bytes already written. By default these cases are
    /// [`EncodeError::Undecodable`] and [`EncodeError::InstructionBufferExhausted`].
    pub undecodable: bool,
    /// `-W`: bytes of target per window, 16 KiB to 16 MiB.
    pub window: usize,
    /// `-B`: bytes of source kept available, 512 KiB to 2 GiB, rounded up to a power of two.
    pub source_window: u64,
    /// `-P`: the distance back in the target, in bytes, within which older candidates are tried; a
    /// power of two. 0 is the default.
    pub small_match_history: u32,
    /// `-I`: the number of instructions held back for improvement; 0 is unlimited, 1 to 3 are
    /// rejected.
    pub instruction_buffer: u32,
    /// If `true`, every window carries an Adler-32 of its target; `false` is `-n`.
    pub checksum: bool,
    /// `-A`: the application header, bytes for the application in the file header.
    pub application_header: Option<Vec<u8>>,
    /// The length of the target in bytes if it is a regular file, `None` for a pipe. It limits the
    /// window to the length of the target and determines the size of a table, so the delta depends
    /// on it; a wrong value is no error.
    pub target_len: Option<u64>,
    /// The number of threads. From 2 on, one window is compressed while the next one is matched,
    /// which takes memory for one window more. The delta does not depend on it.
    pub threads: usize,
}

impl Default for EncodeOptions {
    fn default() -> Self {
        Self {
            level: Level::DEFAULT,
            matcher: None,
            target_matching: true,
            secondary: Secondary::default(),
            undecodable: false,
            window: 1 << 23,
            source_window: 1 << 26,
            small_match_history: DEFAULT_HISTORY,
            instruction_buffer: 1 << 15,
            checksum: true,
            application_header: None,
            target_len: None,
            threads: 1,
        }
    }
}

impl EncodeOptions {
    /// Returns the defaults at another level.
    pub fn at_level(level: Level) -> Self {
        Self { level, ..Self::default() }
    }

    /// Checks the settings and returns the sizes that follow from them.
    pub(super) fn plan(&self) -> Result<Plan, EncodeError> {
        let in_range = |option, asked, least, most| {
            if asked < least || asked > most {
                return Err(EncodeError::OutOfRange { option, asked, least, most });
            }
            Ok(())
        };
        in_range(
            SizeOption::Window,
            self.window as u64,
            MIN_WINDOW as u64,
            XDELTA_3_0_WINDOW as u64,
        )?;
        in_range(
            SizeOption::SourceWindow,
            self.source_window,
            MIN_SOURCE_WINDOW,
            MAX_SOURCE_WINDOW,
        )?;
        let history = match self.small_match_history {
            0 => DEFAULT_HISTORY,
            asked if asked.is_power_of_two() => asked,
            asked => return Err(EncodeError::HistoryNotPowerOfTwo { asked }),
        };
        if (1..MIN_INSTRUCTION_BUFFER).contains(&self.instruction_buffer) {
            return Err(EncodeError::InstructionBuffer { asked: self.instruction_buffer });
        }
        let profile = self.matcher.unwrap_or_else(|| self.level.profile());
        let endless = profile.chain == 0 || profile.lazy_chain == 0;
        if profile.large_look < MIN_LOOK
            || profile.large_step < 1
            || profile.small_look < MIN_LOOK
            || (endless && !profile.chains())
        {
            return Err(EncodeError::Matcher(profile));
        }
        let known =
            self.target_len.map_or(usize::MAX, |len| usize::try_from(len).unwrap_or(usize::MAX));
        Ok(Plan {
            profile,
            target_matching: self.target_matching
                && (self.matcher.is_some() || self.level.matches_target()),
            window: self.window.min(known).max(MIN_WINDOW),
            source_window: self.source_window.next_power_of_two(),
            history: history as usize,
            instruction_buffer: self.instruction_buffer as usize,
            undecodable: self.undecodable,
        })
    }
}

setters! {
    EncodeOptions {
        with_level(level: Level),
        with_matcher(matcher: MatcherProfile) => Some,
        with_target_matching(target_matching: bool),
        with_secondary(secondary: Secondary),
        with_undecodable(undecodable: bool),
        with_window(window: usize),
        with_source_window(source_window: u64),
        with_small_match_history(small_match_history: u32),
        with_instruction_buffer(instruction_buffer: u32),
        with_checksum(checksum: bool),
        with_application_header(application_header: Vec<u8>) => Some,
        with_target_len(target_len: u64) => Some,
        with_threads(threads: usize),
    }
}

/// Checked settings, with the sizes that follow from them.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) profile: MatcherProfile,
    pub(super) target_matching: bool,
    /// The number of target bytes per window.
    pub(super) window: usize,
    /// The number of source bytes kept available, a power of two.
    pub(super) source_window: u64,
    /// The number of positions remembered for chains, a power of two.
    pub(super) history: usize,
    /// The number of slots in the instruction buffer, 0 for unlimited.
    pub(super) instruction_buffer: usize,
    /// If `true`, sections that cannot be decoded are written.
    pub(super) undecodable: bool,
}
