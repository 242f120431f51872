//! The texts of `-h`, `-V` and `config`.

use std::io::{self, Write as _};

use super::external;

/// Returns the line with the emulated version; scripts look for the first three words.
fn banner() -> String {
    format!("Xdelta version 3.0.11 as implemented by DeltaGlider {}\n", env!("CARGO_PKG_VERSION"))
}

const HELP: &str = "\
usage: xdelta3 [command] [flags] [input [output]]

  xdelta3 -e -s OLD NEW DELTA              make a delta
  xdelta3 -d -s OLD DELTA NEW              apply a delta
  xdelta3 merge -m D1 -m D2 D3 MERGED      merge several deltas into one

commands: encode (the default), decode, recode, merge, printhdr, printhdrs, printdelta, config

  -e, -d       encode, decode
  -s FILE      the source: the file the delta is made against
  -0 ... -9    level (3)
  -S [NAME]    secondary compressor: lzma (without -S), djw, djw0 ... djw9, fgk; none with -S alone
  -A [TEXT]    application header in place of the file names; -A alone writes none and ignores the
               one of a delta
  -B BYTES     source window (67108864)        -W BYTES     target window (8388608)
  -P SIZE      small-match history (262144)    -I SIZE      instruction buffer (32768), 0: unlimited
  -C a,...,g   the seven numbers of the matcher
  -N           no matches within the target    -n           no checksums
  -c           write to standard output        -f           overwrite the output
  -J           write no output                 -m FILE      a delta to merge
  -q, -v       print less, print more          -h, -V       help, version
  -D, -R, -F   no decompression of inputs, no compression of outputs, -f for the programs that do
               it; both happen only with DG_XDELTA3_EXTERNAL=1 in the environment
  --limit NAME=BYTES, --no-limits
               raise the limits for a delta that you trust: window (67108864), sections,
               source-span (4294967295), instructions, source-reads, dictionary (268435456),
               application-header, code-table, target-history (0)

The variable XDELTA may hold more flags. DG_THREADS is the number of threads for
encoding (by default 2, on one core 1); the delta does not depend on it.
";

/// Prints the help.
pub(super) fn help() {
    print(&(banner() + HELP));
}

/// Prints the version.
pub(super) fn version() {
    print(&banner());
}

/// Prints those constants of xdelta3 that have a meaning here.
pub(super) fn config() {
    let external = u8::from(external::allowed());
    print(&format!(
        "{}EXTERNAL_COMPRESSION={external}\nSECONDARY_DJW=1\nSECONDARY_FGK=1\n\
         SECONDARY_LZMA=1\nVCDIFF_TOOLS=1\nXD3_ALLOCSIZE=16384\nXD3_ENCODER=1\n\
         XD3_USE_LARGEFILE64=1\nXD3_DEFAULT_LEVEL=3\nXD3_DEFAULT_IOPT_SIZE=32768\n\
         XD3_DEFAULT_SPREVSZ=262144\nXD3_DEFAULT_SRCWINSZ=67108864\nXD3_DEFAULT_WINSIZE=8388608\n\
         XD3_HARDMAXWINSIZE=16777216\nsizeof(usize_t)=4\nsizeof(xoff_t)=8\n",
        banner()
    ));
}

/// Prints on standard error, as xdelta3 does.
fn print(text: &str) {
    // A failure to print cannot be reported.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
