//! Makes consecutive releases of an archive: the first from files of this machine, each later one
//! from the one before.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{BufWriter, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use super::edit::{rebuild_binary, work_on_text};
use super::gather::{Found, MAX_FILE};
use super::random::Random;
use super::{Failure, at};

/// The fixed seed of the edits.
const SEED: u64 = 0x6465_6c74_6167_6c69;

/// The percentage of the files of the previous release that is removed, moved or added in a
/// release.
const REMOVED: usize = 1;
const MOVED: usize = 3;
const ADDED: usize = 2;
/// The percentage of texts that is edited, and of binaries that is rebuilt.
const EDITED: usize = 10;
const REBUILT: usize = 25;

/// The percentage of the bytes found that is kept for later releases.
const RESERVE_PERCENT: u64 = 18;

/// The time of the first release, in seconds since 1970 (2025-01-15), and the time between two
/// releases (30 days).
const FIRST: u64 = 1_736_899_200;
const CYCLE: u64 = 30 * 86_400;

const CHANGELOG: &str = "CHANGELOG.md";
const VERSION: &str = "VERSION";

/// An archive, and the changes since the one before.
#[derive(Debug, Clone)]
pub(crate) struct Release {
    pub(crate) path: PathBuf,
    pub(crate) changes: Changes,
}

/// The number of files in an archive, and of those changed since the one before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) files: usize,
    pub(crate) edited: usize,
    pub(crate) rebuilt: usize,
    pub(crate) moved: usize,
    pub(crate) added: usize,
    pub(crate) removed: usize,
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { files, edited, rebuilt, moved, added, removed } = self;
        if added == files {
            return write!(f, "{files} files");
        }
        write!(
            f,
            "{edited} texts edited, {rebuilt} binaries rebuilt, {moved} files moved, \
             {added} added, {removed} removed"
        )
    }
}

/// A file in the newest archive.
#[derive(Debug, Clone)]
struct Entry {
    offset: u64,
    len: u64,
    text: bool,
    executable: bool,
}

/// The origin of a file of the next archive.
#[derive(Debug, Clone)]
enum Origin {
    Kept(Entry),
    Changed(Entry),
    New(Found),
    Written(String),
}

/// The state from which the next release is made.
#[derive(Debug)]
pub(crate) struct Releases {
    folder: PathBuf,
    random: Random,
    made: u64,
    /// The newest archive, and its files by their path below its top folder.
    newest: Option<(PathBuf, BTreeMap<String, Entry>)>,
    first: Vec<Found>,
    reserve: Vec<Found>,
    changelog: String,
}

impl Releases {
    /// Prepares releases of the files in `found`. Archives are written to `folder`.
    pub(crate) fn new(folder: &Path, mut found: Vec<Found>) -> Self {
        let mut random = Random::new(SEED);
        random.shuffle(&mut found);
        let mut kept = found.iter().map(|file| file.len).sum::<u64>() * RESERVE_PERCENT / 100;
        let mut reserve = Vec::new();
        while let Some(file) = found.pop_if(|file| file.len <= kept) {
            kept -= file.len;
            reserve.push(file);
        }
        let first = found;
        Self {
            folder: folder.to_owned(),
            random,
            made: 0,
            newest: None,
            first,
            reserve,
            changelog: String::new(),
        }
    }

    /// Makes the next release.
    pub(crate) fn make(&mut self) -> Result<Release, Failure> {
        let version = format!("1.{}.0", self.made);
        let mut changes = Changes::default();
        let mut plan = match self.newest.take() {
            Some((path, files)) => {
                let plan = self.plan(&files, &mut changes, &version);
                self.newest = Some((path, files));
                plan
            }
            None => {
                self.changelog = format!("# {version}\n\nThe first release.\n");
                let first = std::mem::take(&mut self.first).into_iter();
                first.map(|file| (file.name.clone(), Origin::New(file))).collect()
            }
        };
        plan.insert(VERSION.to_owned(), Origin::Written(format!("{version}\n")));
        plan.insert(CHANGELOG.to_owned(), Origin::Written(self.changelog.clone()));
        let path = self.folder.join(format!("toolkit-{version}.tar"));
        let files = self.write(&path, &format!("toolkit-{version}"), plan, &mut changes)?;
        self.newest = Some((path.clone(), files));
        self.made += 1;
        Ok(Release { path, changes })
    }

    /// Decides the change of each file; no file is changed in two ways.
    fn plan(
        &mut self,
        files: &BTreeMap<String, Entry>,
        changes: &mut Changes,
        version: &str,
    ) -> BTreeMap<String, Origin> {
        let mut names: Vec<&String> =
            files.keys().filter(|name| !matches!(name.as_str(), VERSION | CHANGELOG)).collect();
        let count = names.len();
        self.random.shuffle(&mut names);
        let mut plan: BTreeMap<String, Origin> =
            files.iter().map(|(name, entry)| (name.clone(), Origin::Kept(entry.clone()))).collect();
        let mut log = format!("# {version}\n\n");
        let share = |percent: usize, of: usize| (of * percent / 100).max(1);

        let removed = names.split_off(count.saturating_sub(share(REMOVED, count)));
        for name in removed {
            plan.remove(name);
            changes.removed += 1;
            log += &format!("- Removed {name}.\n");
        }
        let moved = names.split_off(names.len().saturating_sub(share(MOVED, count)));
        for name in moved {
            let to = self.new_name(name, &names);
            if let Some(to) = to.filter(|to| !files.contains_key(to) && !plan.contains_key(to))
                && let Some(origin) = plan.remove(name)
            {
                changes.moved += 1;
                log += &format!("- Moved {name} to {to}.\n");
                plan.insert(to, origin);
            }
        }
        let (texts, binaries): (Vec<&String>, Vec<&String>) =
            names.into_iter().partition(|name| files[*name].text);
        for (percent, names) in [(EDITED, texts), (REBUILT, binaries)] {
            for name in names.iter().take(share(percent, names.len())) {
                plan.insert((*name).clone(), Origin::Changed(files[*name].clone()));
            }
        }
        for _ in 0..share(ADDED, count) {
            let Some(file) = self.reserve.pop() else { break };
            if !files.contains_key(&file.name) && !plan.contains_key(&file.name) {
                log += &format!("- Added {}.\n", file.name);
                plan.insert(file.name.clone(), Origin::New(file));
            }
        }
        self.changelog = format!("{log}\n{}", self.changelog);
        plan
    }

    /// Returns another name in the same folder, or the same name in the folder of another file.
    fn new_name(&mut self, name: &str, others: &[&String]) -> Option<String> {
        let (folder, base) = name.rsplit_once('/')?;
        if self.random.below(2) == 0 {
            let (other, _) = self.random.choose(others)?.rsplit_once('/')?;
            return Some(format!("{other}/{base}"));
        }
        let suffix = self.random.choose(&["_core", "_base", "_next", "2"])?;
        let (stem, extension) = base.split_at(base.rfind('.').unwrap_or(base.len()));
        Some(format!("{folder}/{stem}{suffix}{extension}"))
    }

    /// Writes the archive in the order of names, one file in memory at a time. All files have the
    /// time of the release, as in archives of `git archive`.
    fn write(
        &mut self,
        path: &Path,
        root: &str,
        plan: BTreeMap<String, Origin>,
        changes: &mut Changes,
    ) -> Result<BTreeMap<String, Entry>, Failure> {
        let mut before = match &self.newest {
            Some((path, _)) => Some(File::open(path).map_err(at(path))?),
            None => None,
        };
        let mut archive = tar::Builder::new(BufWriter::new(File::create(path).map_err(at(path))?));
        let mut files = BTreeMap::new();
        for (name, origin) in plan {
            let Some((content, text, executable)) = self.content(origin, &mut before, changes)?
            else {
                continue;
            };
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(if executable { 0o755 } else { 0o644 });
            header.set_mtime(FIRST + self.made * CYCLE);
            archive
                .append_data(&mut header, format!("{root}/{name}"), content.as_slice())
                .map_err(at(path))?;
            let len = content.len() as u64;
            let end = archive.get_mut().stream_position().map_err(at(path))?;
            files.insert(
                name,
                Entry { offset: end - len.next_multiple_of(512), len, text, executable },
            );
        }
        archive.into_inner().and_then(|file| Ok(file.into_inner()?)).map_err(at(path))?;
        changes.files = files.len();
        if before.is_none() {
            changes.added = files.len();
        }
        Ok(files)
    }

    /// Returns the bytes of a file, whether it is text, and whether it is executable; `None` if it
    /// can no longer be read.
    fn content(
        &mut self,
        origin: Origin,
        before: &mut Option<File>,
        changes: &mut Changes,
    ) -> Result<Option<(Vec<u8>, bool, bool)>, Failure> {
        Ok(match origin {
            Origin::Written(text) => Some((text.into_bytes(), true, false)),
            Origin::Kept(entry) => Some((read(before, &entry)?, entry.text, entry.executable)),
            Origin::Changed(entry) => {
                let content = read(before, &entry)?;
                let (changed, count) = match entry.text {
                    true => (work_on_text(&content, &mut self.random), &mut changes.edited),
                    false => (rebuild_binary(&content, &mut self.random), &mut changes.rebuilt),
                };
                *count += usize::from(changed != content);
                Some((changed, entry.text, entry.executable))
            }
            Origin::New(file) => {
                let mut content = Vec::new();
                let opened = File::open(&file.path);
                let readable = opened
                    .and_then(|opened| opened.take(MAX_FILE).read_to_end(&mut content))
                    .is_ok();
                changes.added += usize::from(readable);
                readable.then_some((content, file.text, file.executable))
            }
        })
    }
}

fn read(archive: &mut Option<File>, entry: &Entry) -> Result<Vec<u8>, Failure> {
    let archive = archive.as_mut().ok_or("no release comes before the first")?;
    let mut content = vec![0; usize::try_from(entry.len)?];
    archive.seek(SeekFrom::Start(entry.offset))?;
    archive.read_exact(&mut content)?;
    Ok(content)
}
