//! File names in the application header.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::external::Program;

/// The name of the standard streams.
pub(super) const STANDARD: &[u8] = b"-";

/// Returns the name of a file in the application header: the part after the last `/`, or `-` for
/// the standard streams.
fn name(path: &Path) -> &[u8] {
    match path.as_os_str().as_bytes() {
        b"/dev/stdin" | b"/dev/stdout" | b"/dev/stderr" => STANDARD,
        path => path.rsplit(|&byte| byte == b'/').next().unwrap_or(path),
    }
}

/// Returns the application header that xdelta3 writes by default: both names, each with the letter
/// of the program that unpacked the file.
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
    fn header_has_base_names() {
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
