//! The gzip file format (RFC 1952) around deflate: reads all members of a file, and writes one
//! member.

use std::io::{self, BufRead, BufReader, Read, Write};

use deltaglider_deflate::{GnuDeflater, GnuLevel};
use flate2::Crc;
use flate2::bufread::GzDecoder;

/// A reader of all members and of zeros after the last, as gzip itself reads them. Any other byte
/// after the last member is an error.
pub(super) enum Unpacker<R: Read> {
    Member(Box<GzDecoder<BufReader<R>>>),
    Padding(BufReader<R>),
    Done,
}

impl<R: Read> Unpacker<R> {
    pub(super) fn new(packed: R) -> Self {
        Self::Member(Box::new(GzDecoder::new(BufReader::new(packed))))
    }
}

impl<R: Read> Read for Unpacker<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match self {
                Self::Member(member) => {
                    let count = member.read(buffer)?;
                    if count > 0 {
                        return Ok(count);
                    }
                    let Self::Member(member) = std::mem::replace(self, Self::Done) else {
                        return Ok(0);
                    };
                    let mut packed = member.into_inner();
                    match packed.fill_buf()? {
                        [] => {}
                        [0, ..] => *self = Self::Padding(packed),
                        _ => *self = Self::Member(Box::new(GzDecoder::new(packed))),
                    }
                }
                Self::Padding(packed) => {
                    let bytes = packed.fill_buf()?;
                    if bytes.iter().any(|&byte| byte != 0) {
                        return Err(io::Error::new(
                            io::ErrorKind::InvalidData,
                            "bytes behind the end of the gzip file",
                        ));
                    }
                    match bytes.len() {
                        0 => *self = Self::Done,
                        count => packed.consume(count),
                    }
                }
                Self::Done => return Ok(0),
            }
        }
    }
}

/// A writer of one member as `gzip -cn` writes it: no name, no time, made on Unix.
pub(super) struct Packer<W> {
    deflater: GnuDeflater<W>,
    crc: Crc,
}

impl<W: Write> Packer<W> {
    /// Writes the header.
    pub(super) fn new(mut to: W, level: GnuLevel) -> io::Result<Self> {
        // XFL says that the best level was used.
        let extra_flags = if level == GnuLevel::Best { 2 } else { 0 };
        to.write_all(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, extra_flags, 3])?;
        Ok(Self { deflater: GnuDeflater::new(to, level), crc: Crc::new() })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.crc.update(bytes);
        self.deflater.write(bytes)
    }

    pub(super) fn finish(self) -> io::Result<W> {
        let mut to = self.deflater.finish()?;
        to.write_all(&self.crc.sum().to_le_bytes())?;
        to.write_all(&self.crc.amount().to_le_bytes())?;
        Ok(to)
    }
}
