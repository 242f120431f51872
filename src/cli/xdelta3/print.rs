//! `printhdr`, `printhdrs` and `printdelta`: a delta as text, letter by letter as xdelta3 has it.

use std::io::{self, Write};

use deltaglider_vcdiff::{
    CopyFrom, DecodeLimits, Header, Inspection, Instruction, Operation, Secondary, Window, inspect,
};

use super::external::Program;
use super::failure::Failure;
use super::flags::{Command, Invocation};
use super::input::Input;
use super::names::STANDARD;
use super::output::Output;

const HEADER_BITS: [&str; 3] = ["VCD_SECONDARY", "VCD_CODETABLE", "VCD_APPHEADER"];
const WINDOW_BITS: [&str; 3] = ["VCD_SOURCE", "VCD_TARGET", "VCD_ADLER32"];
const DELTA_BITS: [&str; 3] = ["VCD_DATACOMP", "VCD_INSTCOMP", "VCD_ADDRCOMP"];

/// Prints a delta.
pub(super) fn run(invocation: &Invocation) -> Result<(), Failure> {
    let input = Input::open(invocation.input.as_deref())?;
    let name = input.name().to_owned();
    let mut output = Output::new(invocation, None);
    let delta = input.read_to_end()?;
    if delta.is_empty() {
        return Ok(());
    }
    let failed = |error| Failure::decode(&error, Some(&name));
    let memory = |error| Failure::write(&name, &error);
    let windows = inspect(&delta, &DecodeLimits::default()).map_err(failed)?;
    let mut text = Vec::new();
    file_header(&windows, invocation.encode.secondary, &mut text).map_err(memory)?;
    for window in windows {
        let window = window.map_err(failed)?;
        let with_instructions = invocation.command == Command::PrintDelta;
        window_header(&window, with_instructions, &mut text).map_err(memory)?;
        if with_instructions {
            writeln!(text, "  Offset Code Type1 Size1  @Addr1 + Type2 Size2 @Addr2").map_err(memory)?;
            let mut row_ends = "";
            for instruction in window.instructions() {
                let instruction = instruction.map_err(failed)?;
                if !instruction.second {
                    text.extend_from_slice(row_ends.as_bytes());
                }
                row_ends = "\n";
                write_instruction(&instruction, window.target_offset(), &mut text).map_err(memory)?;
            }
            text.extend_from_slice(row_ends.as_bytes());
        }
        output.write(&text)?;
        text.clear();
        if invocation.command == Command::PrintHeader {
            break;
        }
    }
    output.finish().map(drop)
}

/// A line of the headers: what it tells, and what about it.
fn line(out: &mut impl Write, name: &str, value: impl std::fmt::Display) -> io::Result<()> {
    writeln!(out, "{:<30}{value}", format!("{name}:"))
}

/// The names of the bits that are set, each with a space behind, or `none`.
fn bits(indicator: u8, names: [&str; 3]) -> String {
    let set = names.iter().enumerate().filter(|&(bit, _)| indicator & (1 << bit) != 0);
    let named: String = set.map(|(_, name)| format!("{name} ")).collect();
    if named.is_empty() { "none".to_owned() } else { named }
}

fn file_header(windows: &Inspection<'_>, otherwise: Secondary, out: &mut Vec<u8>) -> io::Result<()> {
    let header = windows.header();
    let indicator = u8::from(header.secondary.is_some())
        | u8::from(header.code_table.is_some()) << 1
        | u8::from(header.application.is_some()) << 2;
    line(out, "VCDIFF version", header.version)?;
    line(out, "VCDIFF header size", windows.header_len())?;
    line(out, "VCDIFF header indicator", bits(indicator, HEADER_BITS))?;
    line(out, "VCDIFF secondary compressor", secondary_name(header, otherwise))?;
    let Some(application) = header.application.as_deref().filter(|bytes| !bytes.is_empty()) else { return Ok(()) };
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

/// The header's, and where it names none the one that would be used.
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

fn window_header(window: &Window, decompressed: bool, out: &mut Vec<u8>) -> io::Result<()> {
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
    let sections = if decompressed { window.decompressed() } else { window.stored() };
    line(out, "VCDIFF data section length", sections.data)?;
    line(out, "VCDIFF inst section length", sections.instructions)?;
    line(out, "VCDIFF addr section length", sections.addresses)
}

/// The first half of a row or the second, without the end of the line.
fn write_instruction(instruction: &Instruction<'_>, window: u64, out: &mut Vec<u8>) -> io::Result<()> {
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
