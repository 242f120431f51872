//! Limits on the resources of the decoder, with defaults and the reasons for them.

use crate::setters::setters;

/// The largest target window xdelta3 3.2.0 writes or reads, in bytes.
const XDELTA_3_2_WINDOW: u64 = 1 << 26;

/// Limits on the memory and work a delta may cost. The decoder rejects what exceeds them before it
/// spends anything on it.
///
/// With the defaults a decoder holds at most about 400 MiB, however hostile the delta is: the
/// target window (64 MiB), the sections of one window as stored (96 MiB) and decompressed (96 MiB),
/// pages of the source (64 MiB), the dictionaries of LZMA sections (64 MiB and a few more), and
/// twice [`target_history`](Self::target_history), which is 0 by default. Memory is allocated as
/// bytes arrive or are produced, so deltas of the default size (8 MiB windows) cost a quarter of
/// that at most.
///
/// ```
/// use deltaglider_vcdiff::DecodeLimits;
///
/// let limits = DecodeLimits::default().with_target(1 << 30).with_window(1 << 23);
/// assert_eq!(limits.target, Some(1 << 30));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecodeLimits {
    /// The maximum length of a target window in bytes. Default 64 MiB: the most xdelta3 3.2.0
    /// writes (3.0.11 stops at 16 MiB).
    pub window: u64,
    /// The maximum length of the target in bytes. Default: no limit, since the decoder returns one
    /// window at a time.
    pub target: Option<u64>,
    /// The maximum number of target bytes per byte of the delta up to the end of a window, rounded
    /// up. Default: no limit, since a delta between equal files is a few hundred bytes however
    /// large they are. Set it where such deltas are not expected.
    pub amplification: Option<u64>,
    /// The maximum length of the three sections of one window together, in bytes, as stored and,
    /// separately, decompressed. Default 96 MiB: the data of the largest window, all of it new, and
    /// half as much for instructions and addresses.
    pub sections: u64,
    /// The maximum length of the copy window in the source, in bytes. It costs no memory. Default 4
    /// GiB less one byte, the most that xdelta3 3.0.11 reads; xdelta3 3.2.0 with `-B` and
    /// HDiffPatch write longer ones for larger sources.
    pub source_span: u64,
    /// The maximum number of instructions in one window, which bounds the work a small compressed
    /// delta can ask for. Default 2^25: one for every two bytes of the largest window; xdelta3
    /// needs two for every five at worst.
    pub instructions: u64,
    /// The maximum number of source bytes that the copies of one window may touch, in pages of 4
    /// KiB and counted as if no page were cached. It bounds the reads a delta can cause by copying
    /// from everywhere. Default 64 GiB: every four bytes of the largest window from another page. A
    /// source that [lends its bytes](crate::Source::bytes) is not read at all; there `instructions`
    /// and `window` bound the work.
    pub source_reads: u64,
    /// The maximum number of source bytes cached in memory, at least 128 KiB. The decoder caches as
    /// many as the longest copy window has, up to this limit; it rejects no delta because of it.
    /// Default 64 MiB, the source window of xdelta3. A longer copy window is read in pages of 4 KiB
    /// where its copies are short and scattered.
    pub source_cache: u64,
    /// The maximum number of bytes that the LZMA sections of the three kinds keep together of
    /// earlier sections. A section may declare a larger dictionary: memory is allocated as it
    /// fills, and the decoder rejects a delta that refers to bytes discarded because of this limit.
    /// Default 64 MiB, the dictionary of xz's preset 9; xdelta3 uses 256 KiB for each kind.
    pub dictionary: u64,
    /// The maximum length of the application header in bytes. Default 1 MiB: more than a command
    /// line can pass to xdelta3 on Linux or macOS.
    pub application_header: u64,
    /// The maximum length of an application-defined code table as stored, itself a delta, in bytes.
    /// Default 64 KiB: forty times a whole table.
    pub code_table: u64,
    /// The maximum number of target bytes kept for windows that copy from the target (VCD_TARGET),
    /// counted back from the window. xdelta3 neither writes nor reads such windows, and the decoder
    /// has to keep the bytes from the start in case they are needed, so the default is 0.
    /// [`decode`] has the whole target anyway and ignores this limit.
    ///
    /// [`decode`]: crate::decode()
    pub target_history: u64,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self {
            window: XDELTA_3_2_WINDOW,
            target: None,
            amplification: None,
            sections: 96 << 20,
            source_span: u64::from(u32::MAX),
            instructions: 1 << 25,
            source_reads: 1 << 36,
            source_cache: 64 << 20,
            dictionary: 64 << 20,
            application_header: 1 << 20,
            code_table: 1 << 16,
            target_history: 0,
        }
    }
}

setters! {
    DecodeLimits {
        with_window(window: u64),
        with_target(target: u64) => Some,
        with_amplification(amplification: u64) => Some,
        with_sections(sections: u64),
        with_source_span(source_span: u64),
        with_instructions(instructions: u64),
        with_source_reads(source_reads: u64),
        with_source_cache(source_cache: u64),
        with_dictionary(dictionary: u64),
        with_application_header(application_header: u64),
        with_code_table(code_table: u64),
        with_target_history(target_history: u64),
    }
}

/// Options of decoding.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecodeOptions {
    /// The limits on what the delta may ask for.
    pub limits: DecodeLimits,
    /// If `true`, the decoder verifies the Adler-32 of each window that has one. Default: yes.
    pub verify_checksum: bool,
    /// If `true`, the decoder verifies the BLAKE3 digests of source and target if the application
    /// header has them ("armor" of xdelta3 3.2.0). The source's is verified before the first
    /// window, for which the whole source is read once; the target's in
    /// [`Decoder::finish`](crate::Decoder::finish). Default: yes. A build without the feature
    /// `blake3` verifies none.
    pub verify_digests: bool,
}

impl Default for DecodeOptions {
    fn default() -> Self {
        Self { limits: DecodeLimits::default(), verify_checksum: true, verify_digests: true }
    }
}

impl From<DecodeLimits> for DecodeOptions {
    fn from(limits: DecodeLimits) -> Self {
        Self { limits, ..Self::default() }
    }
}

setters! {
    DecodeOptions {
        with_limits(limits: DecodeLimits),
        with_verify_checksum(verify_checksum: bool),
        with_verify_digests(verify_digests: bool),
    }
}
