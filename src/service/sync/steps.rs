//! The stream of the steps of a sync, and the limit of its deletions.

use std::fmt;

use futures::stream::{BoxStream, StreamExt as _};

use super::Step;
use crate::service::error::ServiceError;

/// A stream of the steps, in the order in which they are decided.
pub struct Steps(BoxStream<'static, Result<Step, ServiceError>>);

impl fmt::Debug for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Steps").finish_non_exhaustive()
    }
}

impl Steps {
    pub(super) fn new(steps: BoxStream<'static, Result<Step, ServiceError>>) -> Self {
        Self(steps)
    }

    /// Returns the next step; `None` after the last one.
    ///
    /// # Errors
    ///
    /// Returns an error if a folder cannot be listed completely. No step that deletes follows.
    pub async fn next(&mut self) -> Result<Option<Step>, ServiceError> {
        self.0.next().await.transpose()
    }

    /// Returns the same steps if at most `most` of them delete something. Otherwise those are left
    /// out, and [`ServiceError::TooManyRemovals`] ends the steps after all copies.
    #[must_use]
    pub fn limited(self, most: u64) -> Self {
        let state = Some((self.0, Vec::new()));
        let parts = futures::stream::unfold(state, move |state| async move {
            let (mut steps, mut held) = state?;
            match steps.next().await {
                // Steps after the first deletion stay behind it.
                Some(step) if !held.is_empty() || step.as_ref().is_ok_and(Step::removes) => {
                    held.push(step);
                    Some((Vec::new(), Some((steps, held))))
                }
                Some(step) => Some((vec![step], Some((steps, held)))),
                None => Some((allowed(held, most), None)),
            }
        });
        Self(parts.flat_map(futures::stream::iter).boxed())
    }
}

/// Returns the steps, or an error in their place if more than `most` of them delete something.
fn allowed(steps: Vec<Result<Step, ServiceError>>, most: u64) -> Vec<Result<Step, ServiceError>> {
    let removes = |step: &&Result<Step, _>| step.as_ref().is_ok_and(Step::removes);
    let count = steps.iter().filter(removes).count() as u64;
    if count <= most { steps } else { vec![Err(ServiceError::TooManyRemovals { count, most })] }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn steps(removals: usize) -> Steps {
        let mut steps = vec![Ok(Step::Unchanged)];
        steps.extend((0..removals).map(|n| Ok(Step::RemoveFile(PathBuf::from(n.to_string())))));
        steps.push(Ok(Step::Failed("late".to_owned(), ServiceError::Changed("late".to_owned()))));
        Steps::new(futures::stream::iter(steps).boxed())
    }

    async fn shown(mut steps: Steps) -> Vec<String> {
        let mut shown = Vec::new();
        loop {
            match steps.next().await {
                Ok(Some(Step::RemoveFile(path))) => shown.push(path.display().to_string()),
                Ok(Some(Step::Failed(name, _))) => shown.push(name),
                Ok(Some(_)) => shown.push("copy".to_owned()),
                Ok(None) => return shown,
                Err(error) => shown.push(error.to_string()),
            }
        }
    }

    /// Up to the limit, the order of the steps stays.
    #[tokio::test]
    async fn too_many_removals_are_refused() {
        for most in [2, 9] {
            assert_eq!(shown(steps(2).limited(most)).await, ["copy", "0", "1", "late"]);
        }
        let refused = shown(steps(3).limited(2)).await;
        assert_eq!(refused.len(), 2);
        assert!(refused[1].contains("3 files") && refused[1].contains("at most 2"), "{refused:?}");
        assert_eq!(shown(steps(0).limited(0)).await, ["copy", "late"]);
    }
}
