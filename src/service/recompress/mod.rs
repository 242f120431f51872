//! Undoes and redoes the compression that xdelta3 undid and redid for the Python tool, and packs
//! references.
//!
//! The Python tool ran xdelta3 without `-D`: it decompressed a compressed source or target, made
//! the delta of the content, and compresses the target again with `gzip -cf`, `bzip2 -cf` or `xz
//! -cf` when decoding. The file's SHA-256 decides whether the bytes are those of the original file,
//! so a result may be rejected but is never silently wrong.

mod gzip;
mod pack;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::{self, Read, Write};

use bzip2::read::MultiBzDecoder;
use bzip2::write::BzEncoder;
use deltaglider_deflate::GnuLevel;
use lzma_rust2::XzReader;
#[cfg(feature = "xz")]
use xz::stream::{Check, Stream};
#[cfg(feature = "xz")]
use xz::write::XzEncoder;

pub(crate) use self::pack::{Packed, Rule, is_incompressible, worth_packing};
use crate::domain::Compression;

/// The memory limit for decompressing xz, in KiB: the 64 MiB dictionary of `xz -9` and 1 MiB for
/// the rest. An xz file may ask for up to 4 GiB.
const XZ_MEMORY_KIB: u32 = 65 * 1024;

/// Returns a reader of the decompressed content of `packed`.
///
/// Reads all members of a gzip file and all streams of bzip2 and xz. Fails if the data is cut short
/// or damaged, if it is followed by anything but the zeros that gzip and xz allow, or if an xz
/// dictionary is longer than 64 MiB. The memory is bounded; the length of the content is not, so
/// the caller must limit it.
///
/// # Errors
///
/// `Unsupported` for `.Z` of compress(1). Errors in the data are returned by the reader.
pub(crate) fn unpack<'a, R: Read + Send + 'a>(
    compression: Compression,
    packed: R,
) -> io::Result<Box<dyn Read + Send + 'a>> {
    let reader: Box<dyn Read + Send + 'a> = match compression {
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

/// A reader that names the compression in errors, and fails on every read after one.
struct Unpacked<'a> {
    compression: Compression,
    reader: Option<Box<dyn Read + Send + 'a>>,
}

impl Read for Unpacked<'_> {
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

/// A compression setting that reproduces the bytes of a known program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setting {
    /// GNU gzip at level 6, its default, without name and time.
    Gzip6,
    /// GNU gzip at level 9, without name and time, as many reproducible archives are made.
    Gzip9,
    /// bzip2 at level 9, its default.
    Bzip2,
    /// xz at preset 6, its default, as one block with CRC64: the default output of xz before 5.6,
    /// and that of later versions with `-T1`.
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

/// Returns the settings to try for a compression, likeliest first; none for compress(1), and none
/// for xz without the feature `xz`.
///
/// Each setting reproduced the bytes of the real program (GNU gzip 1.12, bzip2 1.0.8, xz 5.4.1) for
/// all 131 files of the first trial (text, programs, archives, zeros and noise, up to 8 MiB), and
/// does so in every run of `live_packing`. Originals made in other ways cannot be reproduced: gzip
/// with a name or time in its header or by zlib, other levels, xz in several blocks (`-T0`, the
/// default since 5.6).
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

/// A writer that compresses; [`finish`](Self::finish) alone writes the end of the data.
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
    /// Creates a writer to `to`; for gzip, writes the header at once.
    ///
    /// # Errors
    ///
    /// Those of `to`, and `OutOfMemory`.
    pub(crate) fn new(setting: Setting, to: W) -> io::Result<Self> {
        Ok(Self(match setting {
            Setting::Gzip6 => Format::Gzip(Box::new(gzip::Packer::new(to, GnuLevel::Default)?)),
            Setting::Gzip9 => Format::Gzip(Box::new(gzip::Packer::new(to, GnuLevel::Best)?)),
            Setting::Bzip2 => Format::Bzip2(BzEncoder::new(to, bzip2::Compression::best())),
            #[cfg(feature = "xz")]
            Setting::Xz => {
                Format::Xz(XzEncoder::new_stream(to, Stream::new_easy_encoder(6, Check::Crc64)?))
            }
        }))
    }

    /// Writes the end of the data and returns the inner writer.
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

    /// Does nothing, since flushing a compression would change its bytes.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
