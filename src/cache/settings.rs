//! The cache settings of the environment, read in one place.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

use super::folder::Limits;
use super::key::CacheKey;

const MIB: u64 = 1 << 20;
/// The default limit of a cache in memory, as in the Python tool.
const MEMORY_BYTES: u64 = 100 * MIB;
/// The default limit of a cache in files: a few large references, so that a cache the user did not
/// ask for never fills the disk.
const FOLDER_BYTES: u64 = 4096 * MIB;
/// The default limit in memory without a cache: what an encoder would copy of a reference anyway.
const HELD_BYTES: u64 = 64 * MIB;
/// The default lifetime of an entry.
const TTL: Duration = Duration::from_secs(24 * 3600);

/// The kind of cache and its parameters.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum CacheSettings {
    /// No cache beyond an operation (`DG_NO_CACHE`).
    Off {
        /// The maximum number of bytes that operations hold in memory together; the rest goes to
        /// sealed temporary files.
        memory: u64,
    },
    /// In place of [`Ephemeral`](Self::Ephemeral), for a process with one operation, which would
    /// not read again what it cached.
    OneOperation {
        /// The parent of the directory that a cache would have.
        folder: Option<PathBuf>,
        /// The maximum number of bytes that the operation holds in memory; the rest goes to sealed
        /// temporary files.
        memory: u64,
    },
    /// A cache in memory (`DG_CACHE_BACKEND=memory`).
    Memory(Limits),
    /// A cache in files of this process, under a random key.
    Ephemeral {
        /// The parent of its directory (`DG_CACHE_DIR`); by default the system's directory for
        /// temporary files.
        folder: Option<PathBuf>,
        /// The limits of the cache.
        limits: Limits,
    },
    /// A cache in files that outlive this process (`DG_CACHE_DIR` and `DG_CACHE_ENCRYPTION_KEY`).
    Persistent {
        /// The parent of its directory.
        folder: PathBuf,
        /// The key that names and seals entries.
        key: CacheKey,
        /// The limits of the cache.
        limits: Limits,
    },
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self::Ephemeral { folder: None, limits: Limits { bytes: FOLDER_BYTES, ttl: TTL } }
    }
}

/// An invalid variable. The message never contains the text of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {why}")]
pub struct SettingError {
    name: &'static str,
    why: String,
}

impl CacheSettings {
    /// Reads the settings from environment variables.
    ///
    /// These are `DG_NO_CACHE`, `DG_CACHE_BACKEND`, `DG_CACHE_MEMORY_SIZE_MB` (100),
    /// `DG_CACHE_DIR`, `DG_CACHE_SIZE_MB` (4096), `DG_CACHE_TTL` (24h), `DG_CACHE_ENCRYPTION_KEY`
    /// and `DG_EPHEMERAL_CACHE`.
    ///
    /// # Errors
    ///
    /// Fails on an invalid value, even of a variable that another one makes irrelevant.
    pub fn read(variable: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, SettingError> {
        let variables = Variables(variable);
        let off = variables.switch("DG_NO_CACHE")?;
        let ephemeral = variables.switch("DG_EPHEMERAL_CACHE")?;
        let ttl = variables.ttl("DG_CACHE_TTL")?;
        let in_memory =
            Limits { bytes: variables.size("DG_CACHE_MEMORY_SIZE_MB", MEMORY_BYTES)?, ttl };
        let limits = Limits { bytes: variables.size("DG_CACHE_SIZE_MB", FOLDER_BYTES)?, ttl };
        let key = variables.key("DG_CACHE_ENCRYPTION_KEY")?;
        let folder =
            (variables.0)("DG_CACHE_DIR").filter(|folder| !folder.is_empty()).map(PathBuf::from);
        let memory = variables.backend("DG_CACHE_BACKEND")?;
        Ok(match (folder, key) {
            _ if off => Self::Off { memory: HELD_BYTES },
            _ if memory => Self::Memory(in_memory),
            (Some(folder), Some(key)) if !ephemeral => Self::Persistent { folder, key, limits },
            (folder, _) => Self::Ephemeral { folder, limits },
        })
    }
}

struct Variables<'a>(&'a dyn Fn(&str) -> Option<OsString>);

impl Variables<'_> {
    /// Returns the value of a variable without surrounding white space; `None` if it is empty.
    fn text(&self, name: &'static str) -> Result<Option<String>, SettingError> {
        match (self.0)(name).map(OsString::into_string) {
            None => Ok(None),
            Some(Ok(text)) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
            Some(Err(_)) => Err(SettingError { name, why: "it is not UTF-8".to_owned() }),
        }
    }

    fn switch(&self, name: &'static str) -> Result<bool, SettingError> {
        let text = self.text(name)?.unwrap_or_default().to_ascii_lowercase();
        match text.as_str() {
            "1" | "true" | "yes" | "on" => Ok(true),
            "" | "0" | "false" | "no" | "off" => Ok(false),
            other => {
                Err(SettingError { name, why: format!("{other:?} is neither true nor false") })
            }
        }
    }

    fn backend(&self, name: &'static str) -> Result<bool, SettingError> {
        match self.text(name)?.unwrap_or_default().to_ascii_lowercase().as_str() {
            "" | "filesystem" => Ok(false),
            "memory" => Ok(true),
            other => Err(SettingError {
                name,
                why: format!("{other:?} is neither filesystem nor memory"),
            }),
        }
    }

    fn size(&self, name: &'static str, default: u64) -> Result<u64, SettingError> {
        let Some(text) = self.text(name)? else { return Ok(default) };
        let bytes = text.parse::<u64>().ok().and_then(|number| number.checked_mul(MIB));
        bytes.ok_or_else(|| SettingError { name, why: format!("{text:?} is not a number of MiB") })
    }

    fn ttl(&self, name: &'static str) -> Result<Duration, SettingError> {
        let Some(text) = self.text(name)? else { return Ok(TTL) };
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = match text.get(digits.len()..).unwrap_or_default() {
            "" | "s" => Some(1),
            "m" => Some(60),
            "h" => Some(3600),
            "d" => Some(24 * 3600),
            _ => None,
        };
        let seconds = unit.and_then(|unit| digits.parse::<u64>().ok()?.checked_mul(unit));
        let why = || {
            format!(
                "{text:?} is not a duration such as 90s, 30m, 24h or 7d (no unit means seconds)"
            )
        };
        seconds.map(Duration::from_secs).ok_or_else(|| SettingError { name, why: why() })
    }

    fn key(&self, name: &'static str) -> Result<Option<CacheKey>, SettingError> {
        // Wipes the text and its copies before their memory is freed.
        let text = (self.0)(name).map(|text| Zeroizing::new(text.into_encoded_bytes()));
        let Some(text) = text else { return Ok(None) };
        let text = std::str::from_utf8(&text)
            .map_err(|_| SettingError { name, why: "it is not UTF-8".to_owned() })?;
        if text.trim().is_empty() {
            return Ok(None);
        }
        CacheKey::parse(text)
            .map(Some)
            .map_err(|error| SettingError { name, why: error.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U=";

    fn read(set: &[(&str, &str)]) -> Result<CacheSettings, SettingError> {
        CacheSettings::read(&|name| {
            set.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
        })
    }

    fn limits(mib: u64, seconds: u64) -> Limits {
        Limits { bytes: mib << 20, ttl: Duration::from_secs(seconds) }
    }

    /// The cache is ephemeral unless both a key and a directory are set.
    #[test]
    fn persistent_needs_key_and_dir() {
        let all =
            [("DG_CACHE_DIR", "/c"), ("DG_CACHE_ENCRYPTION_KEY", KEY), ("DG_CACHE_SIZE_MB", "7")];
        for (set, expected) in [
            (&[][..], None),
            (&all[..1], Some("/c")),
            (&all[1..2], None),
            (&[all[0], all[1], ("DG_EPHEMERAL_CACHE", "1")], Some("/c")),
        ] {
            match read(set).unwrap() {
                CacheSettings::Ephemeral { folder, limits: taken } => {
                    assert_eq!(
                        (folder, taken),
                        (expected.map(PathBuf::from), limits(4096, 86_400))
                    );
                }
                other => panic!("{other:?}"),
            }
        }
        match read(&[all[0], all[1], all[2], ("DG_CACHE_TTL", "30m")]).unwrap() {
            CacheSettings::Persistent { folder, limits: taken, .. } => {
                assert_eq!((folder, taken), (PathBuf::from("/c"), limits(7, 1800)));
            }
            other => panic!("{other:?}"),
        }
        match read(&[all[0], all[1], ("DG_CACHE_BACKEND", "memory"), ("DG_CACHE_TTL", "7d")])
            .unwrap()
        {
            CacheSettings::Memory(taken) => assert_eq!(taken, limits(100, 604_800)),
            other => panic!("{other:?}"),
        }
        assert!(matches!(
            read(&[all[0], all[1], ("DG_NO_CACHE", "true")]).unwrap(),
            CacheSettings::Off { .. }
        ));
    }

    /// The message names the variable and never contains the text of a key.
    #[test]
    fn invalid_value_names_variable() {
        for (name, value) in [
            ("DG_NO_CACHE", "maybe"),
            ("DG_EPHEMERAL_CACHE", "2"),
            ("DG_CACHE_BACKEND", "redis"),
            ("DG_CACHE_SIZE_MB", "-1"),
            ("DG_CACHE_MEMORY_SIZE_MB", "99999999999999999999"),
            ("DG_CACHE_TTL", "1w"),
            ("DG_CACHE_TTL", "h"),
            ("DG_CACHE_ENCRYPTION_KEY", "hunter2hunter2"),
            ("DG_CACHE_ENCRYPTION_KEY", "hunter2!"),
        ] {
            // Even where another variable makes it irrelevant.
            let error = read(&[
                (name, value),
                ("DG_NO_CACHE", if name == "DG_NO_CACHE" { value } else { "1" }),
            ]);
            let error = error.unwrap_err().to_string();
            assert!(error.starts_with(name) && !error.contains("hunter2"), "{error}");
        }
    }
}
