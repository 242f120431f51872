//! Command-line flags, parsed as xdelta3 does.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use deltaglider_vcdiff::encode::{DjwLevel, MatcherProfile};
use deltaglider_vcdiff::{DecodeLimits, EncodeOptions, Level, Secondary};

use super::failure::Failure;
use super::limits;
use super::verbosity::Verbosity;

/// A command of xdelta3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    Encode,
    Decode,
    Config,
    Version,
    Test,
    PrintHeader,
    PrintHeaders,
    PrintDelta,
    Recode,
    Merge,
}

impl Command {
    fn named(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"encode" => Self::Encode,
            b"decode" => Self::Decode,
            b"config" => Self::Config,
            b"test" => Self::Test,
            b"printhdr" => Self::PrintHeader,
            b"printhdrs" => Self::PrintHeaders,
            b"printdelta" => Self::PrintDelta,
            b"recode" => Self::Recode,
            b"merge" => Self::Merge,
            _ => return None,
        })
    }
}

/// A parsed command line.
#[derive(Debug, Clone)]
pub(super) struct Invocation {
    pub(super) command: Command,
    /// The flags that shape a delta: level, `-C -N -B -W -P -I -S -n`.
    pub(super) encode: EncodeOptions,
    /// `--limit`, `--no-limits`, and `-B` for the source kept in memory.
    pub(super) limits: DecodeLimits,
    /// `-A`: `Some(None)` for no header.
    pub(super) application_header: Option<Option<Vec<u8>>>,
    /// `-s`
    pub(super) source: Option<PathBuf>,
    /// `-m`, in order.
    pub(super) merged: Vec<PathBuf>,
    /// `-c`
    pub(super) to_stdout: bool,
    /// `-f`
    pub(super) overwrite: bool,
    /// `-J`
    pub(super) no_output: bool,
    /// Not `-D`: whether inputs may be decompressed by other programs.
    pub(super) unpack: bool,
    /// Not `-R`: whether outputs may be compressed by other programs.
    pub(super) repack: bool,
    /// `-F`: hands `-f` on to these programs.
    pub(super) force_programs: bool,
    pub(super) voice: Verbosity,
    pub(super) input: Option<PathBuf>,
    pub(super) output: Option<PathBuf>,
}

impl Invocation {
    fn new(command: Command) -> Self {
        Self {
            command,
            encode: EncodeOptions::default(),
            limits: limits::default(),
            application_header: None,
            source: None,
            merged: Vec::new(),
            to_stdout: false,
            overwrite: false,
            no_output: false,
            unpack: true,
            repack: true,
            force_programs: false,
            voice: Verbosity::default(),
            input: None,
            output: None,
        }
    }
}

/// Returns the words of the command line: those of the variable `XDELTA`, split at spaces, and then
/// the arguments.
pub(super) fn words(variable: Option<OsString>, arguments: &[OsString]) -> VecDeque<OsString> {
    let variable = variable.unwrap_or_default();
    let before = variable.as_bytes().split(|&byte| byte == b' ').filter(|word| !word.is_empty());
    before.map(|word| OsStr::from_bytes(word).to_owned()).chain(arguments.iter().cloned()).collect()
}

/// Parses a command line.
pub(super) fn parse(mut words: VecDeque<OsString>) -> Result<Invocation, Failure> {
    let mut invocation = Invocation::new(Command::Encode);
    let mut command = None;
    while let Some(word) = words.pop_front() {
        let Some(cluster) = word.as_bytes().strip_prefix(b"-") else {
            match Command::named(word.as_bytes()) {
                Some(named) if command.is_none() => command = Some(named),
                _ => {
                    // The first file name ends the flags.
                    words.push_front(word);
                    break;
                }
            }
            continue;
        };
        match cluster {
            b"-no-limits" => {
                invocation.limits = limits::none();
                continue;
            }
            b"-limit" => {
                let given = words
                    .pop_front()
                    .ok_or_else(|| Failure::new("--limit: requires an argument"))?;
                limits::set(&mut invocation.limits, &given).map_err(Failure::new)?;
                continue;
            }
            _ => {}
        }
        if let Some(given) = cluster.strip_prefix(b"-limit=") {
            limits::set(&mut invocation.limits, OsStr::from_bytes(given)).map_err(Failure::new)?;
            continue;
        }
        let mut rest = cluster;
        while let Some((&flag, after)) = rest.split_first() {
            rest = Flag { letter: flag, attached: after, words: &mut words }
                .apply(&mut invocation, &mut command)?;
        }
    }
    let mut names = words.into_iter().map(PathBuf::from);
    (invocation.input, invocation.output) = (names.next(), names.next());
    if let Some(extra) = names.next() {
        return Err(Failure::new(format!("too many filenames: {} ...", extra.display())));
    }
    invocation.command = command.unwrap_or(Command::Encode);
    invocation.limits.source_cache = invocation.encode.source_window;
    Ok(invocation)
}

/// One flag, with its possible values.
struct Flag<'a, 'b> {
    letter: u8,
    /// The rest of its word.
    attached: &'a [u8],
    /// The words after it.
    words: &'b mut VecDeque<OsString>,
}

impl<'a> Flag<'a, '_> {
    /// Applies the flag and returns the rest of its word that holds more flags.
    fn apply(
        self,
        invocation: &mut Invocation,
        command: &mut Option<Command>,
    ) -> Result<&'a [u8], Failure> {
        let rest = self.attached;
        match self.letter {
            b'e' => set_command(command, Command::Encode)?,
            b'd' => set_command(command, Command::Decode)?,
            digit @ b'0'..=b'9' => {
                invocation.encode.level = Level::new(digit - b'0').unwrap_or_default()
            }
            b'c' => invocation.to_stdout = true,
            b'f' => invocation.overwrite = true,
            b'F' => {
                invocation.force_programs = true;
                invocation.voice.louder();
            }
            b'q' => invocation.voice.quiet(),
            b'v' => invocation.voice.louder(),
            b'n' => invocation.encode.checksum = false,
            b'N' => invocation.encode.target_matching = false,
            b'D' => invocation.unpack = false,
            b'R' => invocation.repack = false,
            b'J' => invocation.no_output = true,
            b'V' => *command = Some(Command::Version),
            _ => {
                self.apply_with_value(invocation)?;
                return Ok(&[]);
            }
        }
        Ok(rest)
    }

    fn apply_with_value(self, invocation: &mut Invocation) -> Result<(), Failure> {
        match self.letter {
            b's' => {
                let source = PathBuf::from(self.value()?);
                if invocation.source.replace(source).is_some() {
                    return Err(Failure::new("specify only one source file"));
                }
            }
            b'm' => invocation.merged.push(PathBuf::from(self.value()?)),
            b'A' => {
                invocation.application_header = Some(self.optional_value().map(OsString::into_vec))
            }
            b'S' => invocation.encode.secondary = secondary(self.optional_value().as_deref())?,
            b'B' => invocation.encode.source_window = self.number(1 << 19, 1 << 31)?,
            b'W' => invocation.encode.window = self.number(1 << 14, 1 << 24)? as usize,
            b'P' => invocation.encode.small_match_history = self.number(0, u32::MAX.into())? as u32,
            b'I' => invocation.encode.instruction_buffer = self.number(0, u32::MAX.into())? as u32,
            b'C' => invocation.encode.matcher = Some(matcher(self.value()?.as_bytes())?),
            // -h and unknown flags.
            _ => return Err(Failure::help()),
        }
        Ok(())
    }

    /// Returns the rest of the word, with or without `=`, or else the next word.
    fn optional_value(self) -> Option<OsString> {
        if let Some(attached) = self.attached.strip_prefix(b"=") {
            return (!attached.is_empty()).then(|| OsStr::from_bytes(attached).to_owned());
        }
        if !self.attached.is_empty() {
            return Some(OsStr::from_bytes(self.attached).to_owned());
        }
        let next = self.words.front()?;
        if next.as_bytes().starts_with(b"-") { None } else { self.words.pop_front() }
    }

    fn value(self) -> Result<OsString, Failure> {
        let letter = char::from(self.letter);
        self.optional_value()
            .ok_or_else(|| Failure::new(format!("-{letter}: requires an argument")))
    }

    /// Parses a number as C does: decimal, `0x` for hexadecimal or a leading 0 for octal.
    fn number(self, least: u64, most: u64) -> Result<u64, Failure> {
        let letter = char::from(self.letter);
        let value = self.value()?;
        let text = value.to_string_lossy();
        let digits = text.strip_prefix('-').unwrap_or(&text);
        let (digits, radix) =
            match (digits.strip_prefix("0x").or(digits.strip_prefix("0X")), digits) {
                (Some(hexadecimal), _) => (hexadecimal, 16),
                (None, "0") => ("0", 10),
                (None, digits) => digits.strip_prefix('0').map_or((digits, 10), |octal| (octal, 8)),
            };
        let Ok(number) = u64::from_str_radix(digits, radix) else {
            return Err(Failure::new(format!("-{letter}: invalid integer: {text}")));
        };
        if text.starts_with('-') {
            return Err(Failure::new(format!("-{letter}: negative integer: {text}")));
        }
        if number < least {
            return Err(Failure::new(format!("-{letter}: minimum value: {least}")));
        }
        if number > most {
            return Err(Failure::new(format!("-{letter}: maximum value: {most}")));
        }
        Ok(number)
    }
}

fn set_command(command: &mut Option<Command>, to: Command) -> Result<(), Failure> {
    match command.replace(to) {
        Some(_) => Err(Failure::help()),
        None => Ok(()),
    }
}

fn secondary(name: Option<&OsStr>) -> Result<Secondary, Failure> {
    let Some(name) = name else { return Ok(Secondary::None) };
    let unknown = |line: String| Failure::new(line).line(": XD3_INVALID");
    Ok(match name.as_bytes() {
        b"none" => Secondary::None,
        b"lzma" => Secondary::Lzma,
        b"fgk" => Secondary::Fgk,
        b"djw" => Secondary::Djw(DjwLevel::DEFAULT),
        other => {
            let digits =
                other.strip_prefix(b"djw").and_then(|digits| std::str::from_utf8(digits).ok());
            let Some(level) = digits.and_then(|digits| digits.parse::<u8>().ok()) else {
                let name = name.display();
                return Err(unknown(format!(
                    "unrecognized or not compiled secondary compressor: {name}"
                )));
            };
            Secondary::Djw(
                DjwLevel::new(level).ok_or_else(|| unknown("-S: maximum value: 9".to_owned()))?,
            )
        }
    })
}

/// Parses seven numbers with any one character between two of them.
fn matcher(text: &[u8]) -> Result<MatcherProfile, Failure> {
    let mut numbers = [0; 7];
    let mut rest = text;
    let last = numbers.len() - 1;
    for (index, number) in numbers.iter_mut().enumerate() {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, after) = rest.split_at(digits);
        let read = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
        match (read, after.split_first()) {
            (Some(read), None) if index == last => *number = read,
            (Some(read), Some((_, after))) if index < last => {
                *number = read;
                rest = after;
            }
            _ => {
                let rest = String::from_utf8_lossy(rest);
                return Err(Failure::new(format!(
                    "invalid string match specifier (-C) {index}: {rest}"
                )));
            }
        }
    }
    let [large_look, large_step, small_look, chain, lazy_chain, max_lazy, long_enough] = numbers;
    Ok(MatcherProfile {
        large_look,
        large_step,
        small_look,
        chain,
        lazy_chain,
        max_lazy,
        long_enough,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Invocation {
        let arguments: Vec<OsString> = line.split_terminator(' ').map(OsString::from).collect();
        parse(words(None, &arguments)).unwrap()
    }

    #[test]
    fn flags_may_be_clustered() {
        let joined = parsed("-ef9Snone -W20000 -B=0x100000 -s old new delta");
        assert_eq!(joined.encode.level, Level::BEST);
        assert_eq!(joined.encode.secondary, Secondary::None);
        assert_eq!((joined.encode.window, joined.encode.source_window), (20_000, 1 << 20));
        assert!(joined.overwrite);
        assert_eq!(
            [joined.source, joined.input, joined.output].map(Option::unwrap),
            ["old", "new", "delta"].map(PathBuf::from)
        );
    }

    #[test]
    fn optional_value_is_never_a_flag() {
        assert_eq!(parsed("-e -S -f a").encode.secondary, Secondary::None);
        assert_eq!(parsed("-e -A -f a").application_header, Some(None));
        assert_eq!(parsed("-e -A= a").application_header, Some(None));
        assert_eq!(parsed("-e -A  a").application_header, Some(Some(Vec::new())));
        assert_eq!(parsed("-e -A=x a").application_header, Some(Some(b"x".to_vec())));
        assert_eq!(parsed("-e a").application_header, None);
    }

    /// A lone dash before the first name is ignored.
    #[test]
    fn first_name_ends_the_flags() {
        let after = parsed("printhdr - a -f");
        assert_eq!(after.command, Command::PrintHeader);
        assert_eq!(after.output, Some("-f".into()));
        assert_eq!(parsed("a -").output, Some("-".into()));
        assert_eq!(parsed("-e encode").input, Some("encode".into()));
    }

    #[test]
    fn limits_are_set_by_name() {
        let limits = parsed("-d --limit window=5 -B 1048576 --limit=dictionary=6 delta").limits;
        assert_eq!((limits.window, limits.dictionary, limits.source_cache), (5, 6, 1 << 20));
        assert_eq!(parsed("--no-limits -d delta").limits.source_span, u64::MAX);
        assert_eq!(parsed("-d delta").limits.source_cache, 64 << 20);
    }

    #[test]
    fn variable_precedes_arguments() {
        let words = words(Some("-f  -9".into()), &["-e".into()]);
        assert_eq!(words, ["-f", "-9", "-e"].map(OsString::from));
    }
}
