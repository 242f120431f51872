//! One encoding, generated from a number: the input, the options, and the same options for xdelta3.

use std::io;

use deltaglider_vcdiff::encode::{DjwLevel, MatcherProfile};
use deltaglider_vcdiff::{EncodeError, EncodeOptions, Encoder, Level, Secondary, Source};

use super::inputs;
use super::random::Random;

/// xdelta3's allocation unit in bytes: windows and blocks of the source are at least this long.
const PAGE: usize = 1 << 14;
/// The smallest source window in bytes; its blocks are one page.
const SMALLEST_SOURCE_WINDOW: usize = 32 * PAGE;

/// The input and the options of one encoding.
#[derive(Debug, Clone)]
pub struct Case {
    pub source: Option<Vec<u8>>,
    pub target: Vec<u8>,
    pub options: EncodeOptions,
    /// `true` if the source is read from a pipe, so its length is unknown.
    pub source_piped: bool,
    pub target_piped: bool,
    /// xdelta3's arguments for the same options, without file names.
    pub arguments: Vec<String>,
}

impl Case {
    /// Returns the case of this number; `large` ones have sources that exceed their source window.
    pub fn new(seed: u64, large: bool) -> Self {
        let random = &mut Random::new(seed);
        let mut options = EncodeOptions::default();
        let mut arguments = Vec::new();
        settings(random, &mut options, &mut arguments);
        if large {
            options.source_window =
                (SMALLEST_SOURCE_WINDOW << random.below(3)) as u64 - random.below(2) as u64;
            options.source_window = options.source_window.max(SMALLEST_SOURCE_WINDOW as u64);
            arguments.push(format!("-B{}", options.source_window));
        }
        let len = source_len(random, large, options.source_window as usize);
        let old = inputs::bytes(random, len);
        let target = target(random, &old);
        let source = (!random.once_in(8)).then_some(old);
        let source_piped = source.is_some() && random.once_in(6);
        let target_piped = random.once_in(6);
        options.target_len = (!target_piped).then_some(target.len() as u64);
        Self { source, target, options, source_piped, target_piped, arguments }
    }

    /// Returns a case for a secondary compressor: a target that is nearly all data, of every
    /// skewness, long and short.
    pub fn of_skewed_bytes(seed: u64) -> Self {
        let random = &mut Random::new(seed);
        let mut options = EncodeOptions::at_level(Level::FASTEST);
        let mut arguments: Vec<String> = ["-0", "-A="].map(str::to_owned).to_vec();
        let (name, secondary) = secondary(random);
        options.secondary = secondary;
        arguments.push(format!("-S{name}"));
        if random.once_in(2) {
            options.window = random.within(PAGE, 200_000);
            arguments.push(format!("-W{}", options.window));
        }
        let longest = *random.pick(&[1000, 8000, 60_000, 300_000]);
        let len = random.below(longest);
        let target = inputs::skewed(random, len);
        options.target_len = Some(target.len() as u64);
        Self { source: None, target, options, source_piped: false, target_piped: false, arguments }
    }

    /// Returns a case whose data is so evenly distributed that Huffman codes hardly pay: at the
    /// point where DJW gives up.
    pub fn of_even_bytes(seed: u64) -> Self {
        let random = &mut Random::new(seed);
        let mut options = EncodeOptions::at_level(Level::FASTEST);
        let level = random.within(1, 9) as u8;
        options.secondary = Secondary::Djw(DjwLevel::new(level).unwrap());
        let arguments = vec!["-0".to_owned(), "-A=".to_owned(), format!("-Sdjw{level}")];
        // The selectors of the longest fill more than a page.
        let longest =
            if random.once_in(60) { 8_000_000 } else { *random.pick(&[2000, 7000, 30_000]) };
        let len = random.within(500, longest);
        let target = inputs::even(random, len);
        options.target_len = Some(target.len() as u64);
        Self { source: None, target, options, source_piped: false, target_piped: false, arguments }
    }

    /// Returns a case with several DJW codes per section, of which some are longer than DJW allows.
    pub fn of_outgrown_codes(seed: u64) -> Self {
        let random = &mut Random::new(seed);
        let mut options = EncodeOptions::at_level(Level::FASTEST);
        options.secondary = Secondary::Djw(DjwLevel::BEST);
        let arguments = ["-0", "-A=", "-Sdjw9"].map(str::to_owned).to_vec();
        let target = inputs::fibonacci(random);
        options.target_len = Some(target.len() as u64);
        Self { source: None, target, options, source_piped: false, target_piped: false, arguments }
    }

    /// Returns our delta; the target is pushed in pieces of at most `piece` bytes.
    pub fn encode(&self, piece: usize) -> Result<Vec<u8>, EncodeError> {
        let source =
            self.source.as_deref().map(|bytes| MaybePiped { bytes, piped: self.source_piped });
        self.encode_from(source, piece)
    }

    /// Returns the delta against a source that lends its bytes.
    pub fn encode_lent(&self, piece: usize) -> Result<Vec<u8>, EncodeError> {
        let source = self
            .source
            .as_deref()
            .map(|bytes| Lent(MaybePiped { bytes, piped: self.source_piped }));
        self.encode_from(source, piece)
    }

    fn encode_from(
        &self,
        source: Option<impl Source>,
        piece: usize,
    ) -> Result<Vec<u8>, EncodeError> {
        let mut encoder = Encoder::new(source, &self.options)?;
        let mut delta = Vec::new();
        for piece in self.target.chunks(piece) {
            let mut rest = piece;
            while !rest.is_empty() {
                let taken = encoder.push(rest, &mut delta)?;
                rest = &rest[taken..];
            }
        }
        encoder.finish(&mut delta)?;
        Ok(delta)
    }
}

/// A slice that can hide its length.
pub struct MaybePiped<'a> {
    pub bytes: &'a [u8],
    pub piped: bool,
}

impl Source for MaybePiped<'_> {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.bytes.read_at(offset, buf)
    }

    fn len(&self) -> Option<u64> {
        (!self.piped).then_some(self.bytes.len() as u64)
    }
}

/// A source that lends its bytes and panics when it is read.
pub struct Lent<'a>(pub MaybePiped<'a>);

impl Source for Lent<'_> {
    fn read_at(&self, _: u64, _: &mut [u8]) -> io::Result<usize> {
        panic!("read although it lends its bytes")
    }

    fn len(&self) -> Option<u64> {
        self.0.len()
    }

    fn bytes(&self) -> Option<&[u8]> {
        Some(self.0.bytes)
    }
}

fn source_len(random: &mut Random, large: bool, source_window: usize) -> usize {
    if large {
        let window = source_window.next_power_of_two();
        return match random.below(4) {
            // Near the size of the source window, or of one of the blocks after it.
            0 => window - 1 + random.below(3),
            1 => window + window / 32 * random.below(20) - 1 + random.below(3),
            _ => window + random.length(3 * window),
        };
    }
    match random.below(10) {
        0 => 0,
        1 => random.below(40),
        2 => PAGE * random.within(1, 3) - 1 + random.below(3),
        _ => random.length(60_000),
    }
}

fn target(random: &mut Random, old: &[u8]) -> Vec<u8> {
    match random.below(12) {
        0 => Vec::new(),
        1 => old.to_vec(),
        2 => {
            let len = random.length(40_000);
            inputs::bytes(random, len)
        }
        3 => {
            // Up to the edge of a window.
            let mut new = inputs::edited(random, old);
            let len = PAGE * random.within(1, 4) - 1 + random.below(3);
            let rest = len.saturating_sub(new.len());
            let rest = inputs::bytes(random, rest);
            new.extend_from_slice(&rest);
            new.truncate(len);
            new
        }
        _ => inputs::edited(random, old),
    }
}

fn settings(random: &mut Random, options: &mut EncodeOptions, arguments: &mut Vec<String>) {
    let mut say = |argument: String| arguments.push(argument);
    let level = random.below(10) as u8;
    options.level = Level::new(level).unwrap();
    say(format!("-{level}"));
    let (name, secondary) = secondary(random);
    options.secondary = secondary;
    say(format!("-S{name}"));
    match random.below(6) {
        0 => {
            options.application_header = Some(Vec::new());
            say("-A".to_owned());
            say(String::new());
        }
        1 => {
            options.application_header = Some(b"new//old/".to_vec());
            say("-A=new//old/".to_owned());
        }
        _ => {
            options.application_header = None;
            say("-A=".to_owned());
        }
    }
    if random.once_in(8) {
        options.target_matching = false;
        say("-N".to_owned());
    }
    if random.once_in(8) {
        options.checksum = false;
        say("-n".to_owned());
    }
    if random.once_in(2) {
        options.window = match random.below(4) {
            0 => PAGE,
            1 => PAGE + 1,
            2 => random.within(PAGE, 100_000),
            _ => random.within(PAGE, 1 << 20),
        };
        say(format!("-W{}", options.window));
    }
    if random.once_in(4) {
        options.instruction_buffer = *random.pick(&[0, 4, 4, 5, 6, 7, 8, 20, 100, 1000]);
        say(format!("-I{}", options.instruction_buffer));
    }
    if random.once_in(5) {
        options.small_match_history = *random.pick(&[0, 1, 2, 16, 256, 4096, 1 << 16, 1 << 20]);
        say(format!("-P{}", options.small_match_history));
    }
    if random.once_in(5) {
        let profile = profile(random);
        options.matcher = Some(profile);
        let MatcherProfile {
            large_look,
            large_step,
            small_look,
            chain,
            lazy_chain,
            max_lazy,
            long_enough,
        } = profile;
        say(format!(
            "-C{large_look},{large_step},{small_look},{chain},{lazy_chain},{max_lazy},{long_enough}"
        ));
    }
}

fn secondary(random: &mut Random) -> (String, Secondary) {
    match random.below(8) {
        0 | 1 => ("none".to_owned(), Secondary::None),
        2 | 3 => ("lzma".to_owned(), Secondary::Lzma),
        4 => ("djw".to_owned(), Secondary::Djw(DjwLevel::DEFAULT)),
        5 | 6 => {
            let level = random.below(10) as u8;
            (format!("djw{level}"), Secondary::Djw(DjwLevel::new(level).unwrap()))
        }
        _ => ("fgk".to_owned(), Secondary::Fgk),
    }
}

fn profile(random: &mut Random) -> MatcherProfile {
    let mut number = |least: usize, bits: usize| (least + random.length(1 << bits)) as u32;
    let mut profile = MatcherProfile {
        large_look: number(4, 6),
        large_step: number(1, 7),
        small_look: number(4, 4),
        chain: number(0, 6),
        lazy_chain: number(0, 4),
        max_lazy: number(0, 8),
        long_enough: number(0, 8),
    };
    if profile.chain <= 1 && profile.lazy_chain <= 1 {
        (profile.chain, profile.lazy_chain) = (1, 1);
    }
    profile
}
