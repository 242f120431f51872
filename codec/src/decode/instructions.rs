//! Parses the instructions of a window one by one and checks each against the window and its
//! sections.

use super::sections::Sections;
use crate::error::{DecodeErrorKind, Fault, Field, Limit, Section};
use crate::format::address::{AddressCache, MODE_HERE, MODE_NEAR, MODE_SELF};
use crate::format::code_table::{CodeTable, Codes, Half};
use crate::format::instruction::{Instruction, Kind, Operation};
use crate::format::varint;
use crate::format::window::ParsedWindow;
use crate::limits::DecodeLimits;

/// One instruction, and the code it was read from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step<'a> {
    pub(crate) code: u8,
    /// `true` for the second instruction of its code.
    pub(crate) second: bool,
    pub(crate) kind: Kind,
    pub(crate) instruction: Instruction<'a>,
}

/// A parser of instructions, which ends when the window is complete.
#[derive(Debug)]
pub(crate) struct Instructions<'a> {
    table: &'a CodeTable,
    len: usize,
    rest: &'a [u8],
    data: &'a [u8],
    addresses: &'a [u8],
    /// `true` if data and addresses are stored among the instructions.
    interleaved: bool,
    /// The first mode of the same cache.
    first_same: u8,
    cache: AddressCache,
    copy_len: u64,
    target_len: u64,
    /// The bits of an address: 32 where no address of the window needs more, as in xdelta3 3.0.11.
    address_bits: u32,
    position: u64,
    code: u8,
    second: Half,
    /// The offset of the current code in the instruction section.
    at: usize,
    left: u64,
    allowed: u64,
}

impl<'a> Instructions<'a> {
    pub(crate) fn new(
        header: &ParsedWindow,
        sections: &Sections<'a>,
        codes: &'a Codes,
        limits: &DecodeLimits,
    ) -> Self {
        let cache = AddressCache::new(codes.near, codes.same);
        let copy_len = header.fields.copy_window.map_or(0, |window| window.len);
        let narrow = copy_len.saturating_add(header.fields.target_len) <= u64::from(u32::MAX);
        Self {
            table: codes.table(),
            interleaved: header.interleaved,
            first_same: cache.first_same_mode(),
            len: sections.instructions.len(),
            rest: sections.instructions,
            data: sections.data,
            addresses: sections.addresses,
            cache,
            copy_len,
            target_len: header.fields.target_len,
            address_bits: if narrow { u32::BITS } else { u64::BITS },
            position: 0,
            code: 0,
            second: Half::default(),
            at: 0,
            left: limits.instructions,
            allowed: limits.instructions,
        }
    }

    /// Returns the offset of the last instruction in the instruction section.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Returns the next instruction; `None` after the last, once all sections are used up and the
    /// window is complete.
    #[inline]
    pub(crate) fn step(&mut self) -> Result<Option<Step<'a>>, Fault> {
        self.read().map_err(|kind| Fault::from(kind).at(self.at))
    }

    #[inline]
    fn read(&mut self) -> Result<Option<Step<'a>>, DecodeErrorKind> {
        let second = self.second.kind != Kind::Noop;
        let half = if second {
            std::mem::take(&mut self.second)
        } else {
            let Some((&code, rest)) = self.rest.split_first() else {
                return self.finished().map(|()| None);
            };
            self.at = self.len.saturating_sub(self.rest.len());
            self.code = code;
            self.rest = rest;
            let entry = self.table.get(usize::from(code)).copied().unwrap_or_default();
            if entry.first.kind == Kind::Noop {
                entry.second
            } else {
                self.second = entry.second;
                entry.first
            }
        };
        self.left = self.left.checked_sub(1).ok_or(DecodeErrorKind::Limit {
            limit: Limit::Instructions,
            asked: self.allowed.saturating_add(1),
            allowed: self.allowed,
        })?;
        let size = match half.size {
            _ if half.kind == Kind::Noop => 0,
            0 => integer(&mut self.rest, u32::BITS, Section::Instructions, Field::Size)?,
            size => u64::from(size),
        };
        let left = self.target_len.saturating_sub(self.position);
        if size > left {
            return Err(DecodeErrorKind::WindowExceeded { asked: size, left });
        }
        let operation = match half.kind {
            Kind::Add => Operation::Add(take(self.data(), size, Section::Data)?),
            Kind::Run => Operation::Run(byte(self.data(), Section::Data)?),
            Kind::Copy(mode) => self.copy(mode, size)?,
            // Both halves of an application-defined code are NOOPs.
            Kind::Noop => Operation::Add(&[]),
        };
        let position = self.position;
        self.position = position.saturating_add(size);
        let instruction = Instruction { position, size, operation };
        Ok(Some(Step { code: self.code, second, kind: half.kind, instruction }))
    }

    fn finished(&self) -> Result<(), DecodeErrorKind> {
        if self.position != self.target_len {
            return Err(DecodeErrorKind::WindowShort {
                produced: self.position,
                expected: self.target_len,
            });
        }
        for (section, rest) in [(Section::Data, self.data), (Section::Addresses, self.addresses)] {
            if !rest.is_empty() {
                return Err(DecodeErrorKind::SectionLeft { section, left: rest.len() as u64 });
            }
        }
        Ok(())
    }

    /// Returns the section that holds the bytes of ADD and RUN.
    #[inline]
    fn data(&mut self) -> &mut &'a [u8] {
        if self.interleaved { &mut self.rest } else { &mut self.data }
    }

    /// Returns the section that holds the addresses of COPY.
    #[inline]
    fn addresses(&mut self) -> &mut &'a [u8] {
        if self.interleaved { &mut self.rest } else { &mut self.addresses }
    }

    #[inline]
    fn address(&mut self) -> Result<u64, DecodeErrorKind> {
        let bits = self.address_bits;
        integer(self.addresses(), bits, Section::Addresses, Field::Address)
    }

    #[inline]
    fn copy(&mut self, mode: u8, size: u64) -> Result<Operation<'a>, DecodeErrorKind> {
        let here = self.copy_len.saturating_add(self.position);
        let address = match mode {
            MODE_SELF => Some(self.address()?),
            MODE_HERE => here.checked_sub(self.address()?),
            mode if mode < self.first_same => {
                let near = self.cache.near_at(mode.saturating_sub(MODE_NEAR));
                let distance = self.address()?;
                near.map(|near| near.saturating_add(distance))
            }
            _ => {
                let byte = byte(self.addresses(), Section::Addresses)?;
                self.cache.same_at(mode.saturating_sub(self.first_same), byte)
            }
        };
        let Some(address) = address.filter(|&address| address < here) else {
            return Err(DecodeErrorKind::Address { address, here });
        };
        self.cache.update(address);
        match address.checked_sub(self.copy_len) {
            Some(position) => Ok(Operation::CopyTarget { position }),
            None if address.saturating_add(size) > self.copy_len => {
                Err(DecodeErrorKind::CopyBeyondSource { address, size, len: self.copy_len })
            }
            None => Ok(Operation::CopySource { address }),
        }
    }
}

#[inline]
fn integer(
    rest: &mut &[u8],
    bits: u32,
    section: Section,
    field: Field,
) -> Result<u64, DecodeErrorKind> {
    if let Some((&byte, after)) = rest.split_first()
        && byte < 0x80
    {
        *rest = after;
        return Ok(u64::from(byte));
    }
    let (value, len) = varint::read_bounded(rest, bits)
        .map_err(|_| DecodeErrorKind::IntegerOverflow(field))?
        .ok_or(DecodeErrorKind::SectionEnds(section))?;
    *rest = rest.get(len..).unwrap_or_default();
    Ok(value)
}

#[inline]
fn take<'a>(rest: &mut &'a [u8], size: u64, section: Section) -> Result<&'a [u8], DecodeErrorKind> {
    let (taken, after) = usize::try_from(size)
        .ok()
        .and_then(|size| rest.split_at_checked(size))
        .ok_or(DecodeErrorKind::SectionEnds(section))?;
    *rest = after;
    Ok(taken)
}

#[inline]
fn byte(rest: &mut &[u8], section: Section) -> Result<u8, DecodeErrorKind> {
    let (&byte, after) = rest.split_first().ok_or(DecodeErrorKind::SectionEnds(section))?;
    *rest = after;
    Ok(byte)
}
