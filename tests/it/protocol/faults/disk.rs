//! A local folder that a folder of the bucket is copied to.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use super::scenario::{DAY, Files};

/// A file on a disk: its name, its content, and the day of the store's clock on which it was
/// written.
pub(crate) type OnDisk = (&'static str, Vec<u8>, u64);

#[derive(Debug)]
pub(crate) struct Disk {
    folder: tempfile::TempDir,
    before: Vec<OnDisk>,
}

impl Disk {
    pub(crate) fn with(before: Vec<OnDisk>) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), before }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Restores the initial files.
    pub(crate) fn lay(&self) {
        let begun = Instant::now();
        while let Err(error) = self.empty() {
            // A thread that a dropped operation left may still write here.
            assert!(begun.elapsed() < Duration::from_secs(10), "{error}");
            std::thread::sleep(Duration::from_millis(2));
        }
        self.before.iter().for_each(|file| write(self.path(), file));
    }

    fn empty(&self) -> std::io::Result<()> {
        for entry in std::fs::read_dir(self.path())? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                std::fs::remove_dir_all(entry.path())?;
            } else {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Returns the files once they stop changing: a dropped operation may leave a thread that
    /// deletes its temporary files.
    pub(crate) fn state(&self) -> Files {
        let (mut last, begun) = (self.now(), Instant::now());
        loop {
            std::thread::sleep(Duration::from_millis(2));
            let now = self.now();
            if now == last && !now.contains_key("") || begun.elapsed() > Duration::from_secs(10) {
                return now;
            }
            last = now;
        }
    }

    /// Returns the files now; a partial file has the name "".
    fn now(&self) -> Files {
        let mut files = BTreeMap::new();
        for entry in walkdir::WalkDir::new(self.path()).into_iter().filter_map(Result::ok) {
            let name = entry.path().strip_prefix(self.path()).unwrap().to_str().unwrap().to_owned();
            if entry.file_type().is_file() {
                let hidden = entry.file_name().to_str().unwrap().starts_with('.');
                let content = std::fs::read(entry.path()).unwrap_or_default();
                files.insert(if hidden { String::new() } else { name }, content);
            }
        }
        files
    }

    /// Checks that each file has its old or its new content, that nothing else exists, and that
    /// deletions come last.
    pub(crate) fn check(&self, source: &Files, remove: bool, done: bool) -> Result<(), String> {
        let state = self.state();
        let before = |name: &str| {
            self.before.iter().find(|(of, ..)| *of == name).map(|(_, content, _)| content)
        };
        for (name, content) in &state {
            let is_new = source.get(name) == Some(content);
            let stays = !(source.contains_key(name) || done && remove);
            if !is_new && !(before(name) == Some(content) && (!done || stays)) {
                return Err(format!("{name:?} on the disk has {} other bytes", content.len()));
            }
        }
        let all_copied = source.iter().all(|(name, content)| state.get(name) == Some(content));
        if done && !all_copied {
            return Err(format!("not all is on the disk: {:?}", state.keys()));
        }
        let missing = self.before.iter().find(|(name, ..)| !state.contains_key(*name));
        match missing {
            Some((name, ..)) if !remove || source.contains_key(*name) || !all_copied => {
                Err(format!("{name} was deleted from the disk"))
            }
            _ => Ok(()),
        }
    }
}

/// Writes a file with its modification time.
pub(crate) fn write(folder: &Path, (name, content, days): &OnDisk) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, content).unwrap();
    let written = SystemTime::UNIX_EPOCH + Duration::from_secs(days * DAY);
    std::fs::File::options().write(true).open(path).unwrap().set_modified(written).unwrap();
}
