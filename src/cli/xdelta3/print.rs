//! `printhdr`, `printhdrs` and `printdelta`: print a delta as text, byte for byte as xdelta3 does.

use std::io::{self, Write};
use std::path::Path;

use deltaglider_vcdiff::inspect::{
    CopyFrom, Header, Inspection, Instruction, Operation, SectionLengths, Window, WindowHeader,
    inspect,
};
use deltaglider_vcdiff::{DecodeError, DecodeErrorKind, Secondary};

use super::app_header::STANDARD;
use super::external::Program;
use super::failure::Failure;
use super::flags::{Command, Invocation};
use super::input::{Input, PIECE};
use super::output::Output;
use super::progress::Progress;

const HEADER_BITS: [&str; 3] = ["VCD_SECONDARY", "VCD_CODETABLE", "VCD_APPHEADER"];
const WINDOW_BITS: [&str; 3] = ["VCD_SOURCE", "VCD_TARGET", "VCD_ADLER32"];
const DELTA_BITS: [&str; 3] = ["VCD_DATACOMP", "VCD_INSTCOMP", "VCD_ADDRCOMP"];

/// Prints a delta. A damaged delta is printed up to the damage, which is then reported.
///
/// xdelta3 detects some damage later than we do, or not at all: it prints instructions that reach
/// beyond their window or its data, and bits that name a compressor that the header lacks. It
/// accepts a "delta" of less than four bytes as empty, which we report as truncated.
pub(super) fn run(invocation: &Invocation) -> Result<(), Failure> {
    let mut input = Input::open(invocation.input.as_deref())?;
    input.tell(invocation);
    let name = input.name().to_owned();
    let mut output = Output::new(invocation, None);
    let progress = Progress::new(invocation.voice);
    let windows = match inspect(&mut input, &invocation.limits) {
        Ok(windows) => windows,
        // To xdelta3, an empty file is not an error.
        Err(error)
            if matches!(error.kind(), DecodeErrorKind::Truncated(_)) && error.offset() == 0 =>
        {
            return Ok(());
        }
        Err(error) => return Err(Failure::delta(&error, &name)),
    };
    let mut printer = Printer { text: Vec::new(), output: &mut output, delta: &name };
    printer.write(|text| file_header(&windows, invocation.encode.secondary, text))?;
    match invocation.command {
        Command::PrintHeader => printer.headers(windows.headers().take(1))?,
        Command::PrintHeaders => printer.headers(windows.headers())?,
        _ => printer.windows(windows)?,
    }
    progress.finished(input.bytes_read(), output.finish()?);
    Ok(())
}

/// Prints the text of a delta piece by piece.
struct Printer<'a> {
    /// Text held back until the next window is read: the file header is not printed without a
    /// window.
    text: Vec<u8>,
    output: &'a mut Output,
    delta: &'a Path,
}

impl Printer<'_> {
    fn write(&mut self, what: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> Result<(), Failure> {
        what(&mut self.text).map_err(|error| Failure::write(self.delta, &error))
    }

    fn print(&mut self) -> Result<(), Failure> {
        self.output.write(&self.text)?;
        self.text.clear();
        Ok(())
    }

    fn headers(
        &mut self,
        headers: impl Iterator<Item = Result<WindowHeader, DecodeError>>,
    ) -> Result<(), Failure> {
        let mut printed = None;
        for header in headers {
            match header {
                Ok(header) => {
                    if printed.is_some() {
                        self.print()?;
                    }
                    self.write(|text| window_header(&header, header.stored(), text))?;
                    printed = Some(header.number());
                }
                Err(error) => {
                    // A window with incomplete sections is not printed.
                    if printed.is_some() && error.window() != printed {
                        self.print()?;
                    }
                    return Err(Failure::delta(&error, self.delta));
                }
            }
        }
        if printed.is_some() { self.print() } else { Ok(()) }
    }

    fn windows(
        &mut self,
        windows: impl Iterator<Item = Result<Window, DecodeError>>,
    ) -> Result<(), Failure> {
        for window in windows {
            let window = window.map_err(|error| Failure::delta(&error, self.delta))?;
            self.write(|text| {
                window_header(&window, window.decompressed(), text)?;
                writeln!(text, "  Offset Code Type1 Size1  @Addr1 + Type2 Size2 @Addr2")
            })?;
            let mut row_ends = "";
            for instruction in window.instructions() {
                let instruction = match instruction {
                    Ok(instruction) => instruction,
                    Err(error) => {
                        self.text.extend_from_slice(row_ends.as_bytes());
                        self.print()?;
                        return Err(Failure::delta(&error, self.delta));
                    }
                };
                if !instruction.second {
                    self.text.extend_from_slice(row_ends.as_bytes());
                }
                row_ends = "\n";
                self.write(|text| write_instruction(&instruction, window.target_offset(), text))?;
                if self.text.len() >= PIECE {
                    self.print()?;
                }
            }
            self.text.extend_from_slice(row_ends.as_bytes());
            self.print()?;
        }
        Ok(())
    }
}

/// Writes a line of the headers: a name and its value.
fn line(out: &mut impl Write, name: &str, value: impl std::fmt::Display) -> io::Result<()> {
    writeln!(out, "{:<30}{value}", format!("{name}:"))
}

/// Returns the names of the set bits, each followed by a space, or `none`.
fn bits(indicator: u8, names: [&str; 3]) -> String {
    let set = names.iter().enumerate().filter(|&(bit, _)| indicator & (1 << bit) != 0);
    let named: String = set.map(|(_, name)| format!("{name} ")).collect();
    if named.is_empty() { "none".to_owned() } else { named }
}

fn file_header<R>(
    windows: &Inspection<R>,
    otherwise: Secondary,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let header = windows.header();
    let indicator = u8::from(header.secondary.is_some())
        | u8::from(header.code_table.is_some()) << 1
        | u8::from(header.application.is_some()) << 2;
    line(out, "VCDIFF version", header.version)?;
    line(out, "VCDIFF header size", windows.header_len())?;
    line(out, "VCDIFF header indicator", bits(indicator, HEADER_BITS))?;
    line(out, "VCDIFF secondary compressor", secondary_name(header, otherwise))?;
    let Some(application) = header.application.as_deref().filter(|bytes| !bytes.is_empty()) else {
        return Ok(());
    };
    let mut raw = |name: &str, value: &[u8]| {
        write!(out, "{:<30}", format!("{name}:"))?;
        out.extend_from_slice(value);
        writeln!(out)
    };
    raw("VCDIFF application header", application)?;
    let parts: Vec<&[u8]> = application.splitn(4, |&byte| byte == b'/').collect();
    if !matches!(parts.len(), 2 | 4) {
        return Ok(());
    }
    for (part, which) in parts.chunks(2).zip(["output", "source"]) {
        let [name, letters] = part else { continue };
        if *name != STANDARD {
            raw(&format!("XDELTA filename ({which})"), name)?;
        }
        if let Some(program) = Program::lettered(letters) {
            raw(&format!("XDELTA ext comp ({which})"), program.name.as_bytes())?;
        }
    }
    Ok(())
}

/// Returns the name of the compressor in the header, else of the one that would be used.
fn secondary_name(header: &Header, otherwise: Secondary) -> &'static str {
    const LZMA: &str = "lzma";
    const DJW: &str = "Static Huffman";
    const FGK: &str = "FGK Adaptive Huffman";
    match (header.secondary, otherwise) {
        (Some(1), _) => DJW,
        (Some(2), _) => LZMA,
        (Some(_), _) => FGK,
        (None, Secondary::Djw(_)) => DJW,
        (None, Secondary::Lzma) => LZMA,
        (None, Secondary::Fgk) => FGK,
        (None, _) => "none",
    }
}

fn window_header(
    window: &WindowHeader,
    sections: SectionLengths,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    if window.number() > 0 {
        writeln!(out)?;
    }
    line(out, "VCDIFF window number", window.number())?;
    line(out, "VCDIFF window indicator", bits(window.indicator(), WINDOW_BITS))?;
    if let Some(checksum) = window.checksum() {
        line(out, "VCDIFF adler32 checksum", format!("{checksum:08X}"))?;
    }
    if window.delta_indicator() != 0 {
        line(out, "VCDIFF delta indicator", bits(window.delta_indicator(), DELTA_BITS))?;
    }
    if window.target_offset() > 0 {
        line(out, "VCDIFF window at offset", window.target_offset())?;
    }
    if let Some(copy) = window.copy_window() {
        line(out, "VCDIFF copy window length", copy.len)?;
        line(out, "VCDIFF copy window offset", copy.offset)?;
    }
    line(out, "VCDIFF delta encoding length", window.encoding_len())?;
    line(out, "VCDIFF target window length", window.target_len())?;
    line(out, "VCDIFF data section length", sections.data)?;
    line(out, "VCDIFF inst section length", sections.instructions)?;
    line(out, "VCDIFF addr section length", sections.addresses)
}

/// Writes the first or the second half of a row, without the line end.
fn write_instruction(
    instruction: &Instruction<'_>,
    window: u64,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let Instruction { offset, code, second, size, operation } = *instruction;
    if !second {
        write!(out, "  {offset:06} {code:03}")?;
    }
    let name = match operation {
        Operation::Add { .. } => "ADD".to_owned(),
        Operation::Run { .. } => "RUN".to_owned(),
        Operation::Copy { mode, .. } => format!("CPY_{mode}"),
    };
    write!(out, "  {name:<5} {size:>6}")?;
    match operation {
        Operation::Copy { from, .. } => {
            let (letter, at) = match from {
                CopyFrom::Source(at) => ('S', at),
                CopyFrom::Window(at) => ('T', at),
                CopyFrom::Target(at) => ('T', at.saturating_sub(window)),
            };
            write!(out, " {letter}@{at:<6}")
        }
        _ if second => Ok(()),
        _ => write!(out, "{:8}", ""),
    }
}
