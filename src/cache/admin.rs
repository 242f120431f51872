//! Administration of the configured cache and of abandoned caches: survey, verification, deletion.

use std::path::{Path, PathBuf};

use super::folder::{self, Cleared, FolderCache, Holdings, ProcessCaches, Verified};
use super::legacy::LegacyCache;
use super::{CacheError, CacheSettings, Limits};

/// The directory of the Python tool's caches, whatever the value of `TMPDIR`.
const TMP: &str = "/tmp";

/// Surveys, verifies and cleans caches.
#[derive(Debug, Clone)]
pub struct CacheAdmin {
    settings: CacheSettings,
    temporaries: PathBuf,
}

/// A survey of the configured cache and of abandoned caches.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Survey {
    /// `off`, `memory` or `filesystem`.
    pub backend: &'static str,
    /// `true` if the cache is shared by all processes that have the key.
    pub shared: bool,
    /// The parent of the cache directories; `None` for a cache in memory or none.
    pub folder: Option<PathBuf>,
    /// The limits of the cache; `None` if it is off.
    pub limits: Option<Limits>,
    /// The contents of the shared cache of this key.
    pub holdings: Holdings,
    /// The number of caches under other keys in the same directory, and the bytes of their entries.
    pub others: (u64, u64),
    /// The caches of single processes.
    pub of_processes: ProcessCaches,
    /// The caches that the Python tool left.
    pub legacy: Vec<LegacyCache>,
}

impl CacheAdmin {
    /// Administers the cache of `settings`, and abandoned caches in the directory `temporaries`.
    pub fn new(settings: CacheSettings, temporaries: PathBuf) -> Self {
        Self { settings, temporaries }
    }

    /// Returns a survey; changes nothing.
    pub fn survey(&self) -> Result<Survey, CacheError> {
        let (backend, shared, limits) = match &self.settings {
            CacheSettings::Off { .. } | CacheSettings::OneOperation { .. } => ("off", false, None),
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
        let of_processes = of_processes.fold(ProcessCaches::default(), |all, some| ProcessCaches {
            alive: all.alive + some.alive,
            dead: all.dead + some.dead,
            bytes: all.bytes + some.bytes,
        });
        let legacy = self.legacy();
        Ok(Survey { backend, shared, folder, limits, holdings, others, of_processes, legacy })
    }

    /// Authenticates every entry of the shared cache to its last byte and deletes each invalid or
    /// expired one; returns `None` if the cache is not shared. Only the process itself can open
    /// the cache of a single process.
    pub fn verify(&self) -> Result<Option<Verified>, CacheError> {
        if !matches!(self.settings, CacheSettings::Persistent { .. }) {
            return Ok(None);
        }
        Ok(Some(self.shared()?.map(|cache| cache.verify()).transpose()?.unwrap_or_default()))
    }

    /// Deletes the caches of dead processes and every entry of the shared cache that is not being
    /// read; with `all`, also the entries of other keys.
    pub fn clean(&self, all: bool) -> Result<Cleared, CacheError> {
        let mut cleared =
            self.shared()?.map(|cache| cache.clear()).transpose()?.unwrap_or_default();
        if let Some(folder) = self.folder().filter(|_| all) {
            cleared = cleared.and(folder::clear_other_keys(folder, self.key())?);
        }
        Ok(self.places().iter().fold(cleared, |cleared, place| cleared.and(folder::sweep(place))))
    }

    /// Returns the caches that the Python tool left.
    pub fn legacy(&self) -> Vec<LegacyCache> {
        LegacyCache::find(&self.plain_text_folders())
    }

    /// Logs a warning for each directory in which the Python tool left unencrypted references.
    pub fn warn_about_legacy(&self) {
        for folder in self.plain_text_folders() {
            // A recently used cache may belong to a running tool; an empty one exposes nothing.
            let is_exposed = |cache: &&LegacyCache| cache.files > 0 && cache.is_left();
            let count =
                LegacyCache::find(std::slice::from_ref(&folder)).iter().filter(is_exposed).count();
            if count > 0 {
                tracing::warn!(
                    folder = %folder.display(), count,
                    "the Python tool left references in plain text; \
                     `deltaglider cache clean --legacy` removes them"
                );
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
            CacheSettings::Ephemeral { folder, .. }
            | CacheSettings::OneOperation { folder, .. } => {
                Some(folder.as_deref().unwrap_or(&self.temporaries))
            }
            CacheSettings::Off { .. } | CacheSettings::Memory(_) => None,
        }
    }

    fn key(&self) -> Option<&super::CacheKey> {
        match &self.settings {
            CacheSettings::Persistent { key, .. } => Some(key),
            _ => None,
        }
    }

    /// Returns the directories in which processes create their cache directories.
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
