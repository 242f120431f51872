//! Files and folders that come in place of something else in a local folder.

use super::failure::{Exit, Failure, complain};
use super::transfer::Transfer;
use crate::domain::ObjectName;
use crate::service::{InTheWay, Removed, Step};

impl Transfer {
    /// Carries out a step and deletes what is in its way; with what to say if it fails.
    pub(super) async fn replace(&self, step: Step, way: &InTheWay) -> (String, Result<Exit, Failure>) {
        match step {
            Step::Download(object, path) => {
                let done = self.download_replacing(&object, &path, way).await;
                (format!("download failed: {object}"), done)
            }
            Step::MakeFolder(path) => {
                let made = match self.dryrun {
                    true => self.would_make_way(way),
                    false => match self.service.make_folder_replacing(&path, way).await {
                        Ok(removed) => self.tell_made_way(removed),
                        Err(error) => Err(error.into()),
                    },
                };
                (format!("no folder: {}", path.display()), made)
            }
            _ => (String::new(), Ok(Exit::Done)),
        }
    }

    async fn download_replacing(
        &self,
        object: &ObjectName,
        path: &std::path::Path,
        way: &InTheWay,
    ) -> Result<Exit, Failure> {
        let (name, verb) = (object.to_string(), self.verb("download"));
        if self.dryrun {
            self.would(verb, &name, &path.display().to_string())?;
            return self.would_make_way(way);
        }
        let (path, report, removed) = self.service.get_to_file_replacing(object, path, &self.get, way).await?;
        let written = self.tell_written(verb, &name, &path, &report)?;
        let made_way = self.tell_made_way(removed)?;
        Ok(if written == Exit::Done { made_way } else { written })
    }

    fn would_make_way(&self, way: &InTheWay) -> Result<Exit, Failure> {
        self.tell_made_way(Removed { files: way.take_files(), left: None })
    }

    fn tell_made_way(&self, removed: Removed) -> Result<Exit, Failure> {
        for file in &removed.files {
            self.tell_removed(&file.display().to_string())?;
            self.made_way.set(self.made_way.get().saturating_add(1));
        }
        Ok(match removed.left {
            None => Exit::Done,
            Some(error) => {
                complain("warning: not deleted", &error);
                Exit::Warned
            }
        })
    }
}
