//! Writes a file to a path, where it appears complete and verified or not at all.

use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::draft_mode::Modes;
use super::drafts::Drafts;
use super::options::{GetOptions, GetReport};
use crate::domain::ObjectName;
use crate::service::error::ServiceError;
use crate::service::set_aside::{self, MayReplace, Obstacle, Removed};
use crate::service::{DeltaService, blocking};

impl DeltaService {
    /// Writes a file to `path` and creates the directories above it. Fails before the download if
    /// something is in the way.
    ///
    /// Content that could not be compressed again (see [`GetOptions::allow_recompressed`]) is
    /// written to `path` with `.unpacked` appended. Returns the path of the file.
    pub async fn get_to_file(
        &self,
        object: &ObjectName,
        path: &Path,
        options: &GetOptions,
    ) -> Result<(PathBuf, GetReport), ServiceError> {
        let (path, report, _) = self.get_to(object, path, options, None).await?;
        Ok((path, report))
    }

    /// Writes a file to `path`, and then deletes what was in the way.
    pub async fn get_to_file_replacing(
        &self,
        object: &ObjectName,
        path: &Path,
        options: &GetOptions,
        way: &Obstacle,
    ) -> Result<(PathBuf, GetReport, Removed), ServiceError> {
        self.get_to(object, path, options, Some(way.clone())).await
    }

    /// Creates a directory, and then deletes what was in the way.
    pub async fn make_folder_replacing(
        &self,
        path: &Path,
        way: &Obstacle,
    ) -> Result<Removed, ServiceError> {
        let (path, way) = (path.to_owned(), way.clone());
        let replaced = blocking::run(move |_| {
            way.replace(|_| {
                std::fs::create_dir_all(&path).map_err(ServiceError::local(path.display()))?;
                Ok(path)
            })
        });
        Ok(replaced.await?.1)
    }

    async fn get_to(
        &self,
        object: &ObjectName,
        path: &Path,
        options: &GetOptions,
        way: Option<Obstacle>,
    ) -> Result<(PathBuf, GetReport, Removed), ServiceError> {
        let (wanted, drafts, beside) = (path.to_owned(), self.drafts.clone(), way.clone());
        let draft = blocking::run(move |_| {
            let draft = match beside {
                Some(way) => drafts
                    .create(way.parent(), 0o666)
                    .map_err(ServiceError::local(wanted.display())),
                None => draft_of(&drafts, &wanted),
            }?;
            let modes =
                Modes::hide(draft.as_file()).map_err(ServiceError::local(wanted.display()))?;
            Ok::<_, ServiceError>((draft, modes))
        });
        let (draft, modes) = draft.await?;
        let (draft, report) =
            self.get(object, draft, options).await.map_err(|error| match error {
                ServiceError::Output(cause) => ServiceError::local(path.display())(cause),
                error => error,
            })?;
        let mut path = path.to_owned();
        if report.unpacked.is_some() {
            path.as_mut_os_string().push(".unpacked");
        }
        let (status, last_modified) = (report.status, report.last_modified);
        let published = blocking::run(move |_| {
            let publish = |MayReplace(may_replace)| {
                modes
                    .give(draft.as_file(), &path, status.mode)
                    .map_err(ServiceError::local(path.display()))?;
                // A time that the file system cannot store is no reason to fail.
                let given = status
                    .modified
                    .is_some_and(|modified| draft.as_file().set_modified(modified).is_ok());
                if !given {
                    draft
                        .as_file()
                        .set_modified(last_modified)
                        .map_err(ServiceError::local(path.display()))?;
                }
                publish(draft, path, may_replace)
            };
            match way {
                Some(way) => way.replace(publish),
                None => Ok((publish(MayReplace(true))?, Removed::default())),
            }
        });
        let (path, removed) = published.await?;
        Ok((path, report, removed))
    }
}

/// Creates a file beside `path` to write to; it is removed unless it is published.
fn draft_of(drafts: &Drafts, path: &Path) -> Result<NamedTempFile, ServiceError> {
    let failed = || ServiceError::local(path.display());
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if let Some(nearest) = folder.ancestors().find(|nearest| nearest.is_dir()) {
        drafts.tidy(nearest);
    }
    let root = path.ancestors().last().unwrap_or(path);
    if let Some(obstacle) = set_aside::obstacle(root, path).map_err(failed())? {
        return Err(set_aside::refuse(path, &obstacle));
    }
    std::fs::create_dir_all(folder).map_err(ServiceError::local(folder.display()))?;
    drafts.create(folder, 0o666).map_err(failed())
}

/// Renames the draft to its path and syncs it to disk.
fn publish(
    draft: NamedTempFile,
    path: PathBuf,
    may_replace: bool,
) -> Result<PathBuf, ServiceError> {
    let failed = || ServiceError::local(path.display());
    match std::fs::metadata(&path) {
        Ok(there) if !there.is_file() => return Err(set_aside::refuse(&path, &path)),
        _ => {}
    }
    draft.as_file().sync_all().map_err(failed())?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder {
        // After an obstacle was renamed aside, the directory does not exist yet.
        std::fs::create_dir_all(folder).map_err(ServiceError::local(folder.display()))?;
    }
    let persisted = if may_replace { draft.persist(&path) } else { draft.persist_noclobber(&path) };
    persisted.map_err(|error| failed()(error.error))?;
    if let Some(folder) = folder {
        std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed())?;
    }
    Ok(path)
}
