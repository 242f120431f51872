//! What can be asked of the encoder, and the checks before it is taken seriously.

use super::error::{EncodeError, SizeOption};
use super::{Level, MatcherProfile};
use crate::secondary::Secondary;
use crate::setters::setters;

/// Largest target window xdelta3 3.0.11 writes or reads, in bytes.
const XDELTA_3_0_WINDOW: usize = 1 << 24;
/// xdelta3's allocation unit; no window is shorter in the reckoning of table sizes.
pub(super) const MIN_WINDOW: usize = 1 << 14;
/// Blocks the source window is divided into.
pub(super) const SOURCE_BLOCKS: u64 = 32;
const MIN_SOURCE_WINDOW: u64 = SOURCE_BLOCKS * MIN_WINDOW as u64;
const MAX_SOURCE_WINDOW: u64 = 1 << 31;
const DEFAULT_HISTORY: u32 = 1 << 18;
/// Below this xdelta3 has been seen to crash.
const MIN_INSTRUCTION_BUFFER: u32 = 4;
/// A run or match of the small kind is never shorter.
pub(super) const MIN_LOOK: u32 = 4;

/// Settings of an [`Encoder`](super::Encoder); the default is xdelta3's.
///
/// Equal settings and equal input give the bytes xdelta3 3.0.11 gives.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EncodeOptions {
    /// `-0` to `-9`.
    pub level: Level,
    /// `-C`: the matcher's numbers themselves, in place of the level (and of level 0's refusal to
    /// match in the target).
    pub matcher: Option<MatcherProfile>,
    /// Whether matches inside the target are looked for; `false` is `-N`.
    pub target_matching: bool,
    /// `-S`.
    pub secondary: Secondary,
    /// Whether what no decoder can read is written where xdelta3 writes it. FGK's code learns from
    /// sections that turn out not worth packing and that the decoder never sees in that form; DJW
    /// has codes that outgrow their tables; an instruction buffer of 4 or little more lets matches
    /// overlap what is already written. Otherwise, and by default, these are
    /// [`EncodeError::Undecodable`] and [`EncodeError::InstructionBufferExhausted`].
    pub undecodable: bool,
    /// `-W`: bytes of target per window, 16 KiB to 16 MiB.
    pub window: usize,
    /// `-B`: bytes of source kept at hand, 512 KiB to 2 GiB, rounded up to a power of two.
    pub source_window: u64,
    /// `-P`: how far back in the target, in bytes, older candidates are looked for; a power of two.
    /// 0 is the default.
    pub small_match_history: u32,
    /// `-I`: instructions held back for improvement; 0 is unlimited, 1 to 3 are refused.
    pub instruction_buffer: u32,
    /// Whether every window carries an Adler-32 of its target; `false` is `-n`.
    pub checksum: bool,
    /// `-A`: bytes for the application, in the file header.
    pub application_header: Option<Vec<u8>>,
    /// Length of the target in bytes when it is a regular file, `None` for a pipe. It makes windows
    /// no longer than the target and sizes a table by it, so it shows in the delta; a wrong value
    /// is no error.
    pub target_len: Option<u64>,
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
        }
    }
}

impl EncodeOptions {
    /// The defaults at another level.
    pub fn at_level(level: Level) -> Self {
        Self { level, ..Self::default() }
    }

    /// The settings as the encoder works with them.
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
    }
}

/// Checked settings, with the sizes that follow from them.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) profile: MatcherProfile,
    pub(super) target_matching: bool,
    /// Target bytes per window.
    pub(super) window: usize,
    /// Source bytes at hand, a power of two.
    pub(super) source_window: u64,
    /// Positions remembered for chains, a power of two.
    pub(super) history: usize,
    /// Queue slots, 0 for unlimited.
    pub(super) instruction_buffer: usize,
    /// Whether what cannot be decoded is written.
    pub(super) undecodable: bool,
}
