//! Collects the files of this machine that an archive is made of: public ones, found in well-known
//! places, in a fixed order.

use std::collections::HashSet;
use std::fs::{File, Metadata};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

/// The maximum size of a file, in bytes: one file at a time is held in memory, and an archive of a
/// few huge files shows little.
pub(crate) const MAX_FILE: u64 = 8 << 20;

/// The maximum number of files examined in one place: some places have hundreds of thousands.
const LOOKED_AT: usize = 6_000;

/// The number of bytes read to tell text from binary.
const BEGINNING: usize = 4096;

/// Extensions of compressed files, which are excluded: a small change in one changes all its bytes.
const PACKED: &[&str] = &["gz", "tgz", "bz2", "xz", "zst", "zip", "crate", "png", "jpg", "woff2"];

/// A folder to search, and its name in the archive.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) label: &'static str,
    pub(crate) path: PathBuf,
}

/// A file of this machine.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// Its path in the archive, below the archive's top folder.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) len: u64,
    pub(crate) text: bool,
    pub(crate) executable: bool,
}

/// Returns folders with world-readable files on a machine that builds Rust. In the home directory,
/// only downloads of Cargo and rustup are included.
pub(crate) fn well_known_places() -> Vec<Place> {
    let home = |variable: &str, folder: &str| {
        let set = std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from);
        set.or_else(|| Some(std::env::home_dir()?.join(folder)))
    };
    let cargo =
        home("CARGO_HOME", ".cargo").map(|home| ("vendor", home.join("registry").join("src")));
    let rustup = home("RUSTUP_HOME", ".rustup").map(|home| ("toolchain", home.join("toolchains")));
    let system = [
        ("include", "/usr/include"),
        ("lib/gcc", "/usr/lib/gcc"),
        ("lib", "/usr/lib"),
        ("share", "/usr/share"),
    ];
    let system = system.map(|(label, path)| (label, PathBuf::from(path)));
    let all = cargo.into_iter().chain(rustup).chain(system);
    all.map(|(label, path)| Place { label, path }).collect()
}

/// Returns files of about `wanted` bytes in total, or as many as there are: half text and half
/// binary, and some from every place, as far as possible.
pub(crate) fn gather(places: &[Place], wanted: u64) -> Vec<Found> {
    let found: Vec<Vec<Found>> = places.iter().map(look).collect();
    let mut chosen = Vec::new();
    let mut names = HashSet::new();
    let (mut total, mut of_class) = (0, [0; 2]);
    // First a share of each place, then the rest of each class, then the rest of the total.
    for (per_place, per_class) in [(wanted / 8, wanted / 2), (wanted, wanted / 2), (wanted, wanted)]
    {
        for files in &found {
            let mut of_place = [0; 2];
            for file in files {
                let class = usize::from(file.text);
                let fits = of_place[class] + file.len <= per_place
                    && of_class[class] + file.len <= per_class
                    && total + file.len <= wanted;
                if fits && names.insert(file.name.clone()) {
                    of_place[class] += file.len;
                    of_class[class] += file.len;
                    total += file.len;
                    chosen.push(file.clone());
                }
            }
        }
    }
    chosen
}

/// Returns the usable files of a place.
fn look(place: &Place) -> Vec<Found> {
    let walk = WalkDir::new(&place.path).follow_links(false).sort_by_file_name().into_iter();
    // Unreadable folders are skipped, as unreadable files are.
    let files = walk.filter_map(Result::ok).filter(|entry| entry.file_type().is_file());
    files.take(LOOKED_AT).filter_map(|entry| look_at(place, entry.path())).collect()
}

/// Returns the file if it can be part of an archive.
fn look_at(place: &Place, path: &Path) -> Option<Found> {
    if path
        .extension()
        .is_some_and(|extension| PACKED.iter().any(|packed| extension.eq_ignore_ascii_case(packed)))
    {
        return None;
    }
    let inner =
        path.strip_prefix(&place.path).ok()?.components().map(|part| part.as_os_str().to_str());
    let inner = inner.collect::<Option<Vec<_>>>()?.join("/");
    let metadata = path.symlink_metadata().ok()?;
    if !metadata.is_file() || !is_public(&metadata) || !(1..=MAX_FILE).contains(&metadata.len()) {
        return None;
    }
    let mut beginning = Vec::new();
    File::open(path).ok()?.take(BEGINNING as u64).read_to_end(&mut beginning).ok()?;
    Some(Found {
        name: format!("{}/{inner}", place.label),
        len: metadata.len(),
        text: is_text(&beginning),
        executable: is_executable(&metadata),
        path: path.to_owned(),
    })
}

/// Returns whether the bytes are UTF-8 without NUL; a character may be cut at the end.
fn is_text(beginning: &[u8]) -> bool {
    let utf8 = match std::str::from_utf8(beginning) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    };
    utf8 && !beginning.contains(&0)
}

/// Returns whether a file is world-readable: a run as root must not use files kept from other
/// users.
#[cfg(unix)]
fn is_public(metadata: &Metadata) -> bool {
    std::os::unix::fs::MetadataExt::mode(metadata) & 0o004 != 0
}

#[cfg(not(unix))]
fn is_public(_: &Metadata) -> bool {
    true
}

#[cfg(unix)]
fn is_executable(metadata: &Metadata) -> bool {
    std::os::unix::fs::MetadataExt::mode(metadata) & 0o001 != 0
}

#[cfg(not(unix))]
fn is_executable(_: &Metadata) -> bool {
    false
}
