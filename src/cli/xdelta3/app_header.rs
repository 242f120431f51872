//! The names of files in the application header.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::external::Program;

/// What stands for standard input and the like.
pub(super) const STANDARD: &[u8] = b"-";

/// A file as the application header names it: the part behind the last `/`, or `-` for the standard
/// streams.
fn name(path: &Path) -> &[u8] {
    match path.as_os_str().as_bytes() {
        b"/dev/stdin" | b"/dev/stdout" | b"/dev/stderr" => STANDARD,
        path => path.rsplit(|&byte| byte == b'/').next().unwrap_or(path),
    }
}

/// The application header xdelta3 writes on its own: both names, each with the letter of the
/// program it was unpacked with.
pub(super) fn application_header(
    target: (&Path, Option<&Program>),
    source: Option<(&Path, Option<&Program>)>,
) -> Vec<u8> {
    let part = |(path, program): (&Path, Option<&Program>)| {
        let letter = program.map(|program| program.letter);
        [name(path), b"/", letter.as_slice()].concat()
    };
    let mut header = part(target);
    if let Some(source) = source {
        header.push(b'/');
        header.extend(part(source));
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_has_the_names_without_their_folders() {
        let header = |target: &str, source: Option<&str>| {
            application_header(
                (Path::new(target), None),
                source.map(|source| (Path::new(source), None)),
            )
        };
        assert_eq!(header("a/new", Some("../old")), b"new//old/");
        assert_eq!(header("new", None), b"new/");
        assert_eq!(header("/dev/stdin", Some("/dev/fd/63")), b"-//63/");
    }
}
