//! The conditions a store supports. Each is sent until the store shows, for that call, that it does
//! not support it.
//!
//! A store without support answers 501 or 400, or, as radosgw does to every PUT with `If-Match`,
//! 412 although the object still has the tag. Where conditions are not relied on anyway, the call
//! is then made without one.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::ObjectName;
use crate::storage::{ETag, ObjectStore as _, PutCondition, StorageErrorKind};

use super::S3Store;
use super::error::Failed;
use super::put_failed::PutFailed;

/// The number of times an object must have the tag that a 412 denies. A single time could be a
/// concurrent write of the same content.
const CONFIRMATIONS: u32 = 2;

/// A kind of call and its condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Conditional {
    /// `If-None-Match: *` on PutObject.
    PutIfAbsent,
    /// `If-Match` on PutObject.
    PutIfMatch,
    /// `If-None-Match: *` on CompleteMultipartUpload.
    CompleteIfAbsent,
    /// `If-Match` on CompleteMultipartUpload.
    CompleteIfMatch,
    /// `If-Match` on DeleteObject.
    DeleteIfMatch,
    /// `x-amz-copy-source-if-match` on CopyObject.
    CopyIfMatch,
}

impl Conditional {
    /// Returns the kind of PutObject under `condition`; `None` without a condition.
    pub(super) fn put(condition: &PutCondition) -> Option<Self> {
        match condition {
            PutCondition::None => None,
            PutCondition::IfAbsent => Some(Self::PutIfAbsent),
            PutCondition::IfMatch(_) => Some(Self::PutIfMatch),
        }
    }

    /// Returns the kind of CompleteMultipartUpload under `condition`; `None` without a condition.
    pub(super) fn complete(condition: &PutCondition) -> Option<Self> {
        match condition {
            PutCondition::None => None,
            PutCondition::IfAbsent => Some(Self::CompleteIfAbsent),
            PutCondition::IfMatch(_) => Some(Self::CompleteIfMatch),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::PutIfAbsent => "If-None-Match on PutObject",
            Self::PutIfMatch => "If-Match on PutObject",
            Self::CompleteIfAbsent => "If-None-Match on CompleteMultipartUpload",
            Self::CompleteIfMatch => "If-Match on CompleteMultipartUpload",
            Self::DeleteIfMatch => "If-Match on DeleteObject",
            Self::CopyIfMatch => "x-amz-copy-source-if-match on CopyObject",
        }
    }
}

/// The observed support for a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Support {
    /// The store accepted a call under this condition.
    Accepted,
    /// The store does not support this condition.
    Lacking,
}

/// The observed support for all conditions, for the lifetime of the process.
#[derive(Debug, Clone, Default)]
pub(super) struct Known(Arc<Mutex<BTreeMap<Conditional, Support>>>);

impl Known {
    fn all(&self) -> MutexGuard<'_, BTreeMap<Conditional, Support>> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn support(&self, conditional: Conditional) -> Option<Support> {
        self.all().get(&conditional).copied()
    }

    /// Records the first observation: a store that accepted a condition once supports it.
    fn remember(&self, conditional: Conditional, support: Support) {
        self.all().entry(conditional).or_insert(support);
    }
}

impl S3Store {
    /// Makes a call by `send(true)` under its condition; by `send(false)` without it where the
    /// store does not support the condition and conditions are not relied on. `matched` is the
    /// object and the tag that it must have.
    ///
    /// # Errors
    ///
    /// [`StorageErrorKind::ConditionUnsupported`] where the store does not support the condition
    /// and conditions are relied on.
    pub(super) async fn under_condition<T, F>(
        &self,
        conditional: Option<Conditional>,
        matched: Option<(&ObjectName, &ETag)>,
        send: impl Fn(bool) -> F,
    ) -> Result<T, PutFailed>
    where
        F: Future<Output = Result<T, PutFailed>>,
    {
        let Some(conditional) = conditional else { return send(false).await };
        match self.known.support(conditional) {
            Some(Support::Accepted) => return send(true).await,
            Some(Support::Lacking) => return self.without_condition(conditional, None, send).await,
            None => {}
        }
        let mut last_modified = None;
        let mut confirmed = 0;
        loop {
            let failed = match send(true).await {
                Ok(done) => {
                    self.known.remember(conditional, Support::Accepted);
                    return Ok(done);
                }
                Err(PutFailed::Store(failed)) => failed,
                Err(failed) => return Err(failed),
            };
            if failed.is_refused_condition() {
                return self.without_condition(conditional, Some(failed), send).await;
            }
            if failed.kind() != StorageErrorKind::Precondition {
                return Err(PutFailed::Store(failed));
            }
            // Without permission to look, the 412 is taken as true.
            let Some((object, tag)) = matched else { return Err(PutFailed::Store(failed)) };
            let Ok(head) = self.head(object).await else { return Err(PutFailed::Store(failed)) };
            if head.etag != *tag || last_modified.is_some_and(|before| before != head.last_modified)
            {
                return Err(PutFailed::Store(failed));
            }
            last_modified = Some(head.last_modified);
            confirmed += 1;
            if confirmed == CONFIRMATIONS {
                return self.without_condition(conditional, Some(failed), send).await;
            }
        }
    }

    /// Makes the call without its condition, and records that the store does not support it if that
    /// succeeds.
    async fn without_condition<T, F>(
        &self,
        conditional: Conditional,
        refused: Option<Failed>,
        send: impl Fn(bool) -> F,
    ) -> Result<T, PutFailed>
    where
        F: Future<Output = Result<T, PutFailed>>,
    {
        if self.conditions_are_atomic {
            // A 400 can have another reason, which the call without a condition shows.
            if refused.as_ref().is_some_and(|failed| failed.status() != Some(400)) {
                self.known.remember(conditional, Support::Lacking);
            }
            let text = format!(
                "{} is not supported by this store; set DG_CONDITIONAL_WRITES=no",
                conditional.name()
            );
            return Err(PutFailed::Store(Failed::lacks_condition(text, refused)));
        }
        let done = send(false).await?;
        if refused.is_some() {
            tracing::debug!(
                condition = conditional.name(),
                "the store does not support this condition; it is not sent again"
            );
        }
        self.known.remember(conditional, Support::Lacking);
        Ok(done)
    }
}
