//! Looking after the caches that settings lead to, and after those that others left: what there is,
//! whether it is sound, its removal.

use std::path::{Path, PathBuf};

use super::folder::{self, Cleared, FolderCache, Holdings, OfProcesses, Verified};
use super::legacy::LegacyCache;
use super::{CacheError, CacheSettings, Limits};

/// Where the Python tool has its caches, whatever `TMPDIR` says.
const TMP: &str = "/tmp";

/// Looks after caches.
#[derive(Debug, Clone)]
pub struct CacheAdmin {
    settings: CacheSettings,
    temporaries: PathBuf,
}

/// What there is.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Survey {
    /// `off`, `memory` or `filesystem`.
    pub backend: &'static str,
    /// Whether other processes with the key use it.
    pub shared: bool,
    /// Where its folders are.
    pub folder: Option<PathBuf>,
    /// What it may take.
    pub limits: Option<Limits>,
    /// What is in the shared cache of this key.
    pub holdings: Holdings,
    /// How many caches of other keys are beside it, and bytes of their entries.
    pub others: (u64, u64),
    /// Caches of single processes.
    pub of_processes: OfProcesses,
    /// What the Python tool left.
    pub legacy: Vec<LegacyCache>,
}

impl CacheAdmin {
    /// Of what `settings` lead to, and of what is left in the folder for temporaries.
    pub fn new(settings: CacheSettings, temporaries: PathBuf) -> Self {
        Self { settings, temporaries }
    }

    /// Looks, and changes nothing.
    pub fn survey(&self) -> Result<Survey, CacheError> {
        let (backend, shared, limits) = match &self.settings {
            CacheSettings::Off => ("off", false, None),
            CacheSettings::Memory(limits) => ("memory", false, Some(*limits)),
            CacheSettings::Ephemeral { limits, .. } => ("filesystem", false, Some(*limits)),
            CacheSettings::Persistent { limits, .. } => ("filesystem", true, Some(*limits)),
        };
        let folder = self.folder().map(Path::to_owned);
        let holdings =
            self.shared()?.map(|cache| cache.holdings()).transpose()?.unwrap_or_default();
        let others =
            folder.as_deref().map(|folder| folder::others(folder, self.key())).unwrap_or_default();
        let of_processes = self.places().into_iter().map(|place| folder::census(&place));
        let of_processes = of_processes.fold(OfProcesses::default(), |all, some| OfProcesses {
            alive: all.alive + some.alive,
            dead: all.dead + some.dead,
            bytes: all.bytes + some.bytes,
        });
        let legacy = self.legacy();
        Ok(Survey { backend, shared, folder, limits, holdings, others, of_processes, legacy })
    }

    /// Authenticates every entry of the shared cache to its last byte, and removes what does not;
    /// nothing where no cache is shared. What single processes keep, only they can open.
    pub fn verify(&self) -> Result<Option<Verified>, CacheError> {
        if !matches!(self.settings, CacheSettings::Persistent { .. }) {
            return Ok(None);
        }
        Ok(Some(self.shared()?.map(|cache| cache.verify()).transpose()?.unwrap_or_default()))
    }

    /// Removes every entry of the shared cache that nobody reads, with `all` those of other keys
    /// too, and the caches of dead processes.
    pub fn clean(&self, all: bool) -> Result<Cleared, CacheError> {
        let mut cleared =
            self.shared()?.map(|cache| cache.clear()).transpose()?.unwrap_or_default();
        if let Some(folder) = self.folder().filter(|_| all) {
            cleared = cleared.and(folder::clear_others(folder, self.key())?);
        }
        Ok(self.places().iter().fold(cleared, |cleared, place| cleared.and(folder::sweep(place))))
    }

    /// What the Python tool left.
    pub fn legacy(&self) -> Vec<LegacyCache> {
        LegacyCache::find(&self.plain_text_folders())
    }

    /// Says in the log where the Python tool left references in plain text.
    pub fn tell_of_legacy(&self) {
        for folder in self.plain_text_folders() {
            // One that is just used may be of a tool that runs, and in an empty one there is
            // nothing to read.
            let told = |cache: &&LegacyCache| cache.files > 0 && cache.is_left();
            let count =
                LegacyCache::find(std::slice::from_ref(&folder)).iter().filter(told).count();
            if count > 0 {
                tracing::warn!(folder = %folder.display(), count, "the Python tool left references in plain text; `deltaglider cache clean --legacy` removes them");
            }
        }
    }

    fn plain_text_folders(&self) -> Vec<PathBuf> {
        let mut folders = vec![self.temporaries.clone(), PathBuf::from(TMP)];
        folders.dedup();
        folders
    }

    fn folder(&self) -> Option<&Path> {
        match &self.settings {
            CacheSettings::Persistent { folder, .. } => Some(folder),
            CacheSettings::Ephemeral { folder, .. } => {
                Some(folder.as_deref().unwrap_or(&self.temporaries))
            }
            CacheSettings::Off | CacheSettings::Memory(_) => None,
        }
    }

    fn key(&self) -> Option<&super::CacheKey> {
        match &self.settings {
            CacheSettings::Persistent { key, .. } => Some(key),
            _ => None,
        }
    }

    /// Where processes make their folders.
    fn places(&self) -> Vec<PathBuf> {
        let mut places = vec![self.temporaries.clone()];
        places
            .extend(self.folder().filter(|folder| *folder != self.temporaries).map(Path::to_owned));
        places
    }

    fn shared(&self) -> Result<Option<FolderCache>, CacheError> {
        match &self.settings {
            CacheSettings::Persistent { folder, key, limits } => {
                FolderCache::existing(folder, key, *limits, &self.temporaries)
            }
            _ => Ok(None),
        }
    }
}
