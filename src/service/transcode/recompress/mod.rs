//! Undoes and redoes the compression that xdelta3 undid and redid for the Python tool.
//!
//! Its xdelta3 ran without `-D`: it unpacked a compressed source or target, made the delta of what
//! was inside, and packs the target again with `gzip -cf`, `bzip2 -cf` or `xz -cf` when decoding.
//! Whether the bytes are those of the file once put is for its SHA-256 to say; what is packed here
//! may be found wanting, never silently wrong.

mod deflate;
mod gzip;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::{self, Read, Write};

use bzip2::read::MultiBzDecoder;
use bzip2::write::BzEncoder;
use lzma_rust2::XzReader;
#[cfg(feature = "xz")]
use xz::stream::{Check, Stream};
#[cfg(feature = "xz")]
use xz::write::XzEncoder;

use self::deflate::Effort;
use crate::domain::policy::Compression;

/// What unpacking xz may take, in KiB: the 64 MiB dictionary of `xz -9` and 1 MiB for the rest. An
/// xz file may ask for up to 4 GiB.
const XZ_MEMORY_KIB: u32 = 65 * 1024;

/// What `packed` holds, read as it comes.
///
/// All members of a gzip file are read, all streams of bzip2 and xz. A file that is cut short or
/// damaged, or has anything but the zeros that gzip and xz allow behind its end, is an error, and
/// so is an xz file whose dictionary is longer than 64 MiB. Memory is bounded, the length of what
/// comes out is not: that is the caller's to limit.
///
/// # Errors
///
/// `Unsupported` for `.Z` of compress(1). What is wrong with the file is told by reading.
pub(crate) fn unpack<R: Read + Send + 'static>(
    compression: Compression,
    packed: R,
) -> io::Result<Box<dyn Read + Send>> {
    let reader: Box<dyn Read + Send> = match compression {
        Compression::Gzip => Box::new(gzip::Unpacker::new(packed)),
        Compression::Bzip2 => Box::new(MultiBzDecoder::new(packed)),
        Compression::Xz => {
            Box::new(XzReader::new_mem_limit(io::BufReader::new(packed), true, XZ_MEMORY_KIB))
        }
        Compression::Compress => {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "compress(1) is not unpacked"));
        }
    };
    Ok(Box::new(Unpacked { compression, reader: Some(reader) }))
}

/// Names the compression in errors, and reads no further after one.
struct Unpacked {
    compression: Compression,
    reader: Option<Box<dyn Read + Send>>,
}

impl Read for Unpacked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(reader) = &mut self.reader else {
            return Err(io::Error::other(format!(
                "unpacking {} has failed before",
                self.compression
            )));
        };
        let error = match reader.read(buffer) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => error,
            read => return read,
        };
        self.reader = None;
        let what = self.compression;
        Err(match (what, error.kind()) {
            (Compression::Xz, io::ErrorKind::OutOfMemory) => io::Error::new(
                io::ErrorKind::OutOfMemory,
                format!(
                    "unpacking xz would take more than the {} MiB allowed",
                    XZ_MEMORY_KIB / 1024
                ),
            ),
            (_, io::ErrorKind::UnexpectedEof) => io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("the {what} data is cut short"),
            ),
            (_, kind) => io::Error::new(kind, format!("unpacking {what}: {error}")),
        })
    }
}

/// A way to pack that gives the bytes of a known program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setting {
    /// GNU gzip at level 6, its default, without name and time.
    Gzip6,
    /// GNU gzip at level 9, without name and time: how archives meant to be reproducible are often
    /// made.
    Gzip9,
    /// bzip2 at level 9, its default.
    Bzip2,
    /// xz at preset 6, its default, as one block with CRC64: what xz before 5.6 writes by itself,
    /// later ones with `-T1`.
    #[cfg(feature = "xz")]
    Xz,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip6 => "gzip -6n",
            Self::Gzip9 => "gzip -9n",
            Self::Bzip2 => "bzip2 -9",
            #[cfg(feature = "xz")]
            Self::Xz => "xz -6 -T1",
        })
    }
}

/// The settings worth trying for a compression, likeliest first; none for compress(1), and none for
/// xz without the feature `xz`.
///
/// Each gave the bytes of the real program (GNU gzip 1.12, bzip2 1.0.8, xz 5.4.1) for all 131 files
/// of the first trial (text, programs, archives, zeros and noise, up to 8 MiB) and gives them in
/// every run of `live_packing`. Out of reach are originals made in other ways: gzip with a name or
/// time in its header or by zlib, other levels, xz in several blocks (`-T0`, the default since
/// 5.6).
pub(crate) fn candidates(compression: Compression) -> &'static [Setting] {
    match compression {
        Compression::Gzip => &[Setting::Gzip6, Setting::Gzip9],
        Compression::Bzip2 => &[Setting::Bzip2],
        #[cfg(feature = "xz")]
        Compression::Xz => &[Setting::Xz],
        #[cfg(not(feature = "xz"))]
        Compression::Xz => &[],
        Compression::Compress => &[],
    }
}

/// Packs what is written to it; the end is written by [`finish`](Self::finish) only.
///
/// Takes 0.5 MB of memory for gzip, 8 MB for bzip2 and 94 MiB for xz.
pub(crate) struct Packer<W: Write>(Format<W>);

enum Format<W: Write> {
    Gzip(Box<gzip::Packer<W>>),
    Bzip2(BzEncoder<W>),
    #[cfg(feature = "xz")]
    Xz(XzEncoder<W>),
}

impl<W: Write> Packer<W> {
    /// Writes the header, for gzip at once.
    ///
    /// # Errors
    ///
    /// Those of `to`, and `OutOfMemory`.
    pub(crate) fn new(setting: Setting, to: W) -> io::Result<Self> {
        Ok(Self(match setting {
            Setting::Gzip6 => Format::Gzip(Box::new(gzip::Packer::new(to, Effort::LEVEL_6, 0)?)),
            Setting::Gzip9 => Format::Gzip(Box::new(gzip::Packer::new(to, Effort::LEVEL_9, 2)?)),
            Setting::Bzip2 => Format::Bzip2(BzEncoder::new(to, bzip2::Compression::best())),
            #[cfg(feature = "xz")]
            Setting::Xz => {
                Format::Xz(XzEncoder::new_stream(to, Stream::new_easy_encoder(6, Check::Crc64)?))
            }
        }))
    }

    /// Writes the rest and returns what was written to.
    ///
    /// # Errors
    ///
    /// Those of `to`.
    pub(crate) fn finish(self) -> io::Result<W> {
        match self.0 {
            Format::Gzip(packer) => packer.finish(),
            Format::Bzip2(encoder) => encoder.finish(),
            #[cfg(feature = "xz")]
            Format::Xz(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Packer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Format::Gzip(packer) => packer.write(bytes).map(|()| bytes.len()),
            Format::Bzip2(encoder) => encoder.write(bytes),
            #[cfg(feature = "xz")]
            Format::Xz(encoder) => encoder.write(bytes),
        }
    }

    /// Does nothing: to flush a compression would change its bytes.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
