//! Checks of bodies that fail, have a wrong length or are dropped, and of reads during a write.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};

use crate::storage::{
    Attributes, ListRequest, PutBody, PutCondition, PutOptions, StorageErrorKind,
};

use super::objects::content;
use super::stage::{Stage, refused};
use super::{Failure, Outcome, holds, same};

/// The size of a body in bytes: more than the pieces of a transfer, and small enough for a test.
const LARGE: usize = 5 << 20;

/// Requires that a put of this body fails, over nothing and over an object, and changes neither.
async fn stores_nothing(stage: &Stage<'_>, body: PutBody) -> Outcome {
    stage.put("old", "intact").await?;
    for (key, condition) in
        [("old", PutCondition::None), ("new", PutCondition::None), ("new", PutCondition::IfAbsent)]
    {
        let object = stage.object(key)?;
        let put = stage
            .store
            .put(&object, body.clone(), &Attributes::default(), &condition.clone().into())
            .await;
        holds(&format!("the put to {key:?} with {condition:?} fails"), put.is_err())?;
    }
    same("the object before", stage.read("old").await?, b"intact".to_vec())?;
    let head = stage.store.head(&stage.object("new")?).await;
    refused("the object that never was", head, StorageErrorKind::NotFound)?;
    stage.lists(&ListRequest::default(), &["old"], &[]).await
}

fn pieces(bytes: Vec<u8>) -> impl Iterator<Item = io::Result<Bytes>> {
    let pieces: Vec<_> = bytes.chunks(64 << 10).map(Bytes::copy_from_slice).map(Ok).collect();
    pieces.into_iter()
}

pub(super) async fn failed_body_stores_nothing(stage: &Stage<'_>) -> Outcome {
    let body = PutBody::new(LARGE as u64, || {
        let failure = std::iter::once(Err(io::Error::other("the source broke")));
        futures::stream::iter(pieces(content(LARGE / 2, 1)).chain(failure)).boxed()
    });
    stores_nothing(stage, body).await
}

pub(super) async fn a_short_body_stores_nothing(stage: &Stage<'_>) -> Outcome {
    let short = |len: u64, read: usize| {
        PutBody::new(len, move || futures::stream::iter(pieces(content(read, 1))).boxed())
    };
    stores_nothing(stage, short(LARGE as u64, LARGE - 1)).await?;
    stores_nothing(stage, short(1, 0)).await
}

pub(super) async fn a_long_body_stores_nothing(stage: &Stage<'_>) -> Outcome {
    let long = |len: u64, read: usize| {
        PutBody::new(len, move || futures::stream::iter(pieces(content(read, 1))).boxed())
    };
    stores_nothing(stage, long(LARGE as u64, LARGE + 1)).await?;
    stores_nothing(stage, long(0, 1)).await
}

pub(super) async fn dropped_put_stores_nothing(stage: &Stage<'_>) -> Outcome {
    stage.put("old", "intact").await?;
    let body = PutBody::new(LARGE as u64, || {
        let sent = futures::stream::iter(pieces(content(LARGE / 2, 1)));
        sent.chain(futures::stream::pending()).boxed()
    });
    for key in ["old", "new"] {
        let object = stage.object(key)?;
        let (attributes, options) = (Attributes::default(), PutOptions::default());
        let put = stage.store.put(&object, body.clone(), &attributes, &options);
        let given_up = tokio::time::timeout(Duration::from_millis(200), put).await;
        holds("a put whose body never ends does not end", given_up.is_err())?;
    }
    same("the object before", stage.read("old").await?, b"intact".to_vec())?;
    stage.lists(&ListRequest::default(), &["old"], &[]).await
}

pub(super) async fn reading_gives_one_version(stage: &Stage<'_>) -> Outcome {
    let (first, second) = (content(LARGE, 1), content(LARGE + 1, 2));
    stage.put("k", first.clone()).await?;
    for (expected, overtake) in [(&first, true), (&second, false)] {
        let body = stage.store.get(&stage.object("k")?, None).await?;
        let mut stream = body.stream;
        let mut read =
            stream.try_next().await?.ok_or_else(|| Failure("no bytes".to_owned()))?.to_vec();
        if overtake {
            stage.put("k", second.clone()).await?;
        } else {
            stage.store.delete(&stage.object("k")?, None).await?;
        }
        while let Some(piece) = stream.try_next().await? {
            read.extend_from_slice(&piece);
        }
        holds("the bytes read are those of the version that was opened", read == *expected)?;
    }
    Ok(())
}
