//! Modification time and mode of a local file, as stored in the metadata of its object.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::metadata::UserMetadata;

/// The field of the modification time: seconds since 1970, `.`, and nine digits of nanoseconds.
const MTIME: &str = "dg-file-mtime";
/// The field of the permission bits, in four octal digits.
const MODE: &str = "dg-file-mode";
/// The permission bits that are stored, without set-user-ID, set-group-ID and sticky bits.
const PERMISSIONS: u32 = 0o777;

/// Modification time and mode of a file. No other tool reads them.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
///
/// use deltaglider::domain::FileStatus;
///
/// let modified = Some(UNIX_EPOCH + Duration::new(7, 500));
/// let status = FileStatus { modified, mode: Some(0o640) };
/// let metadata = status.write();
/// assert_eq!(metadata["dg-file-mtime"], "7.000000500");
/// assert_eq!(metadata["dg-file-mode"], "0640");
/// assert_eq!(FileStatus::read(&metadata), status);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FileStatus {
    /// The modification time.
    pub modified: Option<SystemTime>,
    /// The permission bits.
    pub mode: Option<u32>,
}

impl FileStatus {
    /// Returns the status of a local file.
    pub fn of(metadata: &std::fs::Metadata) -> Self {
        #[cfg(unix)]
        let mode =
            Some(std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & PERMISSIONS);
        #[cfg(not(unix))]
        let mode = None;
        Self { modified: metadata.modified().ok(), mode }
    }

    /// Reads the status from an object's metadata; a malformed value is `None`.
    pub fn read(metadata: &UserMetadata) -> Self {
        let mode = metadata.get(MODE).and_then(|text| octal(text));
        Self { modified: metadata.get(MTIME).and_then(|text| time(text)), mode }
    }

    /// Returns the metadata fields of this status.
    pub fn write(&self) -> UserMetadata {
        let mut metadata = UserMetadata::new();
        metadata.extend(self.modified.and_then(text_of).map(|text| (MTIME.to_owned(), text)));
        metadata
            .extend(self.mode.map(|mode| (MODE.to_owned(), format!("{:04o}", mode & PERMISSIONS))));
        metadata
    }

    /// Removes the fields of a status from an object's metadata.
    pub fn remove(metadata: &mut UserMetadata) {
        metadata.remove(MTIME);
        metadata.remove(MODE);
    }
}

fn octal(text: &str) -> Option<u32> {
    let digits = text.len() == 4 && text.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
    digits.then(|| u32::from_str_radix(text, 8).ok())?.map(|mode| mode & PERMISSIONS)
}

/// Formats a time. One before 1970 has negative seconds, to which the nanoseconds are added.
fn text_of(at: SystemTime) -> Option<String> {
    let (seconds, nanos) = match at.duration_since(UNIX_EPOCH) {
        Ok(since) => (i64::try_from(since.as_secs()).ok()?, since.subsec_nanos()),
        Err(before) => {
            let before = before.duration();
            let seconds = i64::try_from(before.as_secs()).ok()?.checked_neg()?;
            match before.subsec_nanos() {
                0 => (seconds, 0),
                nanos => (seconds.checked_sub(1)?, 1_000_000_000_u32.checked_sub(nanos)?),
            }
        }
    };
    Some(format!("{seconds}.{nanos:09}"))
}

fn time(text: &str) -> Option<SystemTime> {
    let (seconds, nanos) = text.split_once('.')?;
    if nanos.len() != 9 || !nanos.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let (seconds, nanos) = (seconds.parse::<i64>().ok()?, nanos.parse().ok()?);
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let at =
        if seconds < 0 { UNIX_EPOCH.checked_sub(whole) } else { UNIX_EPOCH.checked_add(whole) };
    at?.checked_add(Duration::from_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_modes_come_back() {
        let before = |seconds, nanos| UNIX_EPOCH - Duration::new(seconds, nanos);
        for at in [
            UNIX_EPOCH,
            UNIX_EPOCH + Duration::new(1 << 35, 1),
            before(0, 1),
            before(5, 0),
            before(1, 999_999_999),
        ] {
            let status = FileStatus { modified: Some(at), mode: Some(0o600) };
            assert_eq!(FileStatus::read(&status.write()), status);
        }
        assert_eq!(
            FileStatus { modified: Some(before(0, 1)), mode: None }.write()["dg-file-mtime"],
            "-1.999999999"
        );
        let set_id = FileStatus { modified: None, mode: Some(0o104_755) };
        assert_eq!(set_id.write()["dg-file-mode"], "0755");
    }

    #[test]
    fn values_without_sense_are_none() {
        for (mtime, mode) in [
            ("", ""),
            ("1", "644"),
            ("1.5", "0888"),
            ("x.000000000", "+644"),
            ("1.-00000001", "06440"),
        ] {
            let metadata = UserMetadata::from([
                (MTIME.to_owned(), mtime.to_owned()),
                (MODE.to_owned(), mode.to_owned()),
            ]);
            assert_eq!(FileStatus::read(&metadata), FileStatus::default(), "{mtime} {mode}");
        }
        for far in [
            "9223372036854775807.999999999",
            "-9223372036854775808.000000000",
            "99999999999999999999.000000000",
        ] {
            // The result depends on the system's clock type; it must not panic.
            let _ = FileStatus::read(&UserMetadata::from([(MTIME.to_owned(), far.to_owned())]));
        }
        let metadata = UserMetadata::from([(MODE.to_owned(), "4755".to_owned())]);
        assert_eq!(FileStatus::read(&metadata).mode, Some(0o755));
    }
}
