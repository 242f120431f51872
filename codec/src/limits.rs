//! How much a delta may ask for: caps with defaults and their reasons.

use crate::setters::setters;

/// Largest target window xdelta3 3.2.0 writes or reads, in bytes.
const XDELTA_3_2_WINDOW: u64 = 1 << 26;

/// What a delta may make its reader spend. Everything above is refused before it is spent.
///
/// With the defaults a decoder holds at most about 400 MiB however hostile the delta is: the target
/// window (64 MiB), the sections of one window as stored (96 MiB) and decompressed (96 MiB), pages
/// of the source (64 MiB) and what LZMA sections remember (64 MiB and a few more); and twice
/// [`target_history`](Self::target_history), which is nothing by default. Memory is taken as bytes
/// arrive or are produced, so deltas of default size (8 MiB windows) cost a tenth of that.
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
    /// Bytes of one target window. Default 64 MiB: the most xdelta3 3.2.0 writes (3.0.11 stops at
    /// 16 MiB).
    pub window: u64,
    /// Bytes of all target windows together. Default: no limit, since windows are handed out one by
    /// one.
    pub target: Option<u64>,
    /// Bytes of target for each byte of the delta up to the end of a window, rounded up. Default:
    /// no limit, since a delta between equal files is a few hundred bytes however large they are.
    /// Worth setting where such deltas are not expected.
    pub amplification: Option<u64>,
    /// Bytes of the three sections of one window together, as stored and, separately, decompressed.
    /// Default 96 MiB: the data of the largest window, all of it new, and half as much for
    /// instructions and addresses.
    pub sections: u64,
    /// Length of the copy window in the source. It costs no memory. Default 4 GiB less one byte,
    /// the most that xdelta3 3.0.11 reads; xdelta3 3.2.0 with `-B` and HDiffPatch write longer ones
    /// for larger sources.
    pub source_span: u64,
    /// Instructions in one window, which bound the work a small compressed delta can ask for.
    /// Default 2^25: one for every two bytes of the largest window; xdelta3 needs two for every
    /// five at worst.
    pub instructions: u64,
    /// Bytes of the source that copies of one window may touch, in pages of 4 KiB and counted as if
    /// none was kept, which bound the reading a delta can cause by copying from everywhere. Default
    /// 64 GiB: every four bytes of the largest window from another page. Nothing is read of a
    /// source that [lends its bytes](crate::Source::bytes); there `instructions` and `window` bound
    /// the work.
    pub source_reads: u64,
    /// Bytes of the source kept in memory, at least 128 KiB. The decoder keeps as many as the
    /// longest copy window has, up to this; no delta is refused for it. Default 64 MiB, the source
    /// window of xdelta3. A copy window that is longer is read in pages of 4 KiB where its copies
    /// are short and scattered.
    pub source_cache: u64,
    /// Bytes that the LZMA sections of the three kinds remember together of those before them. A
    /// section may declare a larger dictionary: memory is taken as it fills, and a delta is refused
    /// when it refers to bytes that this limit had the decoder forget. Default 64 MiB, the
    /// dictionary of xz's preset 9; xdelta3 uses 256 KiB for each kind.
    pub dictionary: u64,
    /// Bytes of the application header. Default 1 MiB: more than a command line can hand to xdelta3
    /// on Linux or macOS.
    pub application_header: u64,
    /// Bytes of an application-defined code table as stored, itself a delta. Default 64 KiB: forty
    /// times a whole table.
    pub code_table: u64,
    /// Bytes of target kept for windows that copy from the target (VCD_TARGET), counted back from
    /// the window. xdelta3 neither writes nor reads such windows, and what might be needed has to
    /// be kept from the start, so the default is 0. [`decode`] has the whole target anyway, and
    /// there this limit does not count.
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

/// How to decode.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecodeOptions {
    /// What the delta may ask for.
    pub limits: DecodeLimits,
    /// Whether the Adler-32 of each window is compared, where the window has one. Default: yes.
    pub verify_checksum: bool,
    /// Whether the BLAKE3 digests of source and target are compared, where the application header
    /// has them ("armor" of xdelta3 3.2.0). The source's is compared before the first window, for
    /// which the whole source is read once; the target's in
    /// [`Decoder::finish`](crate::Decoder::finish). Default: yes. A build without the feature
    /// `blake3` compares none.
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
