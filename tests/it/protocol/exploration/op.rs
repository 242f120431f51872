//! Operations on a bucket, carried out by the real service.

use std::sync::Arc;
use std::time::Duration;

use deltaglider::cache::WorkingCopies;
use deltaglider::domain::ObjectName;
use deltaglider::service::{
    DeltaService, GetOptions, Moved, Outcome, Payload, PutOptions, RepairOptions, ServiceError,
    Settings,
};
use deltaglider::storage::{Attributes, PutBody, PutCondition, Store};

use super::{actor, bucket, object};

const DAY: Duration = Duration::from_secs(86_400);

/// An operation on a bucket.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Put(&'static str, Vec<u8>),
    PutDirect(&'static str, Vec<u8>),
    Delete(&'static str),
    Read(&'static str),
    /// `mv` from one name to another.
    Move(&'static str, &'static str),
    /// `migrate --rebase` of a file.
    Rebase(&'static str),
    /// `repair` with changes, so many days after everything else.
    Repair(u32),
    Purge,
    /// `rb`, with `--force` if true.
    RemoveBucket(bool),
    /// Another tool stores an object with this metadata.
    Foreign(&'static str, Vec<u8>, &'static [(&'static str, &'static str)]),
}

/// The result of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Did {
    /// All that was requested.
    All,
    /// Nothing: the name has another file now.
    Nothing,
    Read(Option<Vec<u8>>),
}

impl Op {
    /// Returns the names of the files that it writes, removes or reads.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        match self {
            Self::Put(name, _)
            | Self::PutDirect(name, _)
            | Self::Delete(name)
            | Self::Read(name)
            | Self::Rebase(name) => vec![name],
            Self::Move(from, to) => vec![from, to],
            Self::Foreign(name, ..) if !name.starts_with(".deltaglider/") => vec![name],
            Self::Foreign(..) | Self::Repair(_) | Self::Purge | Self::RemoveBucket(_) => vec![],
        }
    }

    /// Returns the content that it leaves at a name, or `None` if it does not change the name.
    pub(crate) fn leaves(&self, name: &str) -> Option<Option<&Vec<u8>>> {
        match self {
            Self::Put(of, content)
            | Self::PutDirect(of, content)
            | Self::Foreign(of, content, _)
                if *of == name =>
            {
                Some(Some(content))
            }
            Self::Delete(of) if *of == name => Some(None),
            Self::Move(from, _) if *from == name => Some(None),
            Self::RemoveBucket(true) => Some(None),
            _ => None,
        }
    }
}

pub(crate) fn service(store: Arc<dyn Store>) -> DeltaService {
    let spool_dir = std::env::temp_dir();
    let cache = Arc::new(WorkingCopies::new(spool_dir.clone()));
    DeltaService::new(store, cache, Settings { policy: Default::default(), spool_dir })
}

pub(crate) async fn perform(service: &DeltaService, op: &Op) -> Result<Did, ServiceError> {
    match op {
        Op::Put(name, content) | Op::PutDirect(name, content) => {
            let options = PutOptions { delta: matches!(op, Op::Put(..)), ..PutOptions::default() };
            let file = Payload::spool(
                std::io::Cursor::new(content.clone()),
                "file",
                &std::env::temp_dir(),
            )
            .await?;
            service.put(&file, &object(name), &options).await.map(|_| Did::All)
        }
        Op::Delete(name) => match service.delete(&object(name)).await {
            Err(error) if error.is_absent() => Ok(Did::All),
            deleted => deleted.map(|_| Did::All),
        },
        Op::Read(name) => {
            match service.get(&object(name), Vec::new(), &GetOptions::default()).await {
                Err(error) if error.is_absent() => Ok(Did::Read(None)),
                read => read.map(|(content, _)| Did::Read(Some(content))),
            }
        }
        Op::Move(from, to) => move_file(service, &object(from), &object(to)).await,
        Op::Rebase(name) => match service.rebase(&object(name), false).await {
            Err(ServiceError::NeedsConditionalWrites) => Ok(Did::Nothing),
            Err(error) if error.is_absent() => Ok(Did::Nothing),
            rebased => rebased.map(|rebased| rebased.map_or(Did::Nothing, |_| Did::All)),
        },
        Op::Repair(days) => {
            let options = RepairOptions {
                fix: true,
                grace: RepairOptions::GRACE,
                now: actor::after(DAY * *days),
            };
            let report = service.repair(&bucket(), &options).await?;
            let left = report.findings.into_iter().filter_map(|finding| match finding.outcome {
                Outcome::Left(error) => Some(error),
                _ => None,
            });
            left.chain(report.unseen).next().map_or(Ok(Did::All), Err)
        }
        Op::Purge => {
            let purge = service.purge(&bucket(), false).await?;
            purge.failed.into_iter().next().map_or(Ok(Did::All), |(_, error)| Err(error))
        }
        Op::RemoveBucket(force) => {
            if *force {
                service
                    .delete_all::<ServiceError>(&bucket(), "", |_, outcome| outcome.map(drop))
                    .await?;
            }
            service.remove_bucket(&bucket(), *force).await.map(|()| Did::All)
        }
        Op::Foreign(name, content, metadata) => {
            let metadata = metadata
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            let attributes = Attributes { metadata, ..Attributes::default() };
            let body = PutBody::from_bytes(content.clone());
            service
                .store()
                .put(&object(name), body, &attributes, &PutCondition::None.into())
                .await?;
            Ok(Did::All)
        }
    }
}

/// Moves a file inside a store, as the command line does.
async fn move_file(
    service: &DeltaService,
    from: &ObjectName,
    to: &ObjectName,
) -> Result<Did, ServiceError> {
    let seen = match service.head(from).await {
        Err(error) if error.is_absent() => return Ok(Did::Nothing),
        seen => seen?,
    };
    match service.copy(from, to, true).await {
        Err(error) if error.is_absent() => return Ok(Did::Nothing),
        copied => copied?,
    };
    match service.delete_moved(from, &seen).await {
        Ok(Moved::Removed) => Ok(Did::All),
        Ok(Moved::Replaced | Moved::HasOlder) => Ok(Did::Nothing),
        Err(error) if error.is_absent() => Ok(Did::Nothing),
        Err(error) => Err(error),
    }
}
