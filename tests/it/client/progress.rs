//! The events of a call add up to its result.

use std::sync::{Arc, Mutex};

use deltaglider::{Phase, Progress};

use super::stage::{client, uri, version};

/// A listener, and the events that it has heard.
fn listener() -> (impl Fn(&Progress) + Send + Sync + 'static, Arc<Mutex<Vec<Progress>>>) {
    let heard = Arc::new(Mutex::new(Vec::<Progress>::new()));
    let events = heard.clone();
    (move |progress: &Progress| events.lock().unwrap().push(progress.clone()), heard)
}

/// Returns the last event, after a check of the order and the bounds of all.
fn checked(heard: &Mutex<Vec<Progress>>) -> Progress {
    let heard = heard.lock().unwrap();
    for pair in heard.windows(2) {
        assert!(pair[0].stored <= pair[1].stored && pair[0].received <= pair[1].received);
        assert!(pair[0].files <= pair[1].files);
    }
    for event in &*heard {
        assert!(event.total.is_none_or(|total| event.done <= total), "{event:?}");
    }
    heard.last().unwrap().clone()
}

#[tokio::test]
async fn put_reports_read_and_sent() {
    let (client, _) = client().await;
    for (name, number) in [("a-1.zip", 0), ("a-2.zip", 1), ("a.bin", 2)] {
        let (listener, heard) = listener();
        let stored = client.put(uri(name), version(number)).progress(listener).await.unwrap();
        let last = checked(&heard);
        // A reference has a sketch beside it.
        assert!(last.stored >= stored.stored && last.stored < stored.stored + 10_000, "{name}");
        let read = heard.lock().unwrap().iter().any(|event| {
            event.phase == Phase::Reading && Some(event.done) == event.total && event.done > 600_000
        });
        assert!(read, "{name}");
    }
}

#[tokio::test]
async fn get_reports_what_is_written() {
    let (client, _) = client().await;
    client.put(uri("a-1.zip"), version(0)).await.unwrap();
    let stored = client.put(uri("a-2.zip"), version(1)).await.unwrap();
    let (listener, heard) = listener();
    let file = client.get(uri("a-2.zip")).progress(listener).await.unwrap();
    file.bytes().await.unwrap();
    let last = checked(&heard);
    let len = version(1).len() as u64;
    assert_eq!((last.phase, last.done, last.total), (Phase::Writing, len, Some(len)));
    assert_eq!(last.received, stored.stored + version(0).len() as u64);
}

#[tokio::test]
async fn sync_reports_files_and_bytes() {
    let (client, _) = client().await;
    let folder = tempfile::tempdir().unwrap();
    for number in 0..3 {
        std::fs::write(folder.path().join(format!("{number}.bin")), version(number)).unwrap();
    }
    let (listener, heard) = listener();
    let summary = client.sync(folder.path(), "s3://bucket").progress(listener).await.unwrap();
    let last = checked(&heard);
    assert_eq!((last.files, last.stored), (3, summary.bytes));
}

/// A body that is read again, for its checksums or another attempt, is counted once.
#[tokio::test]
async fn repeated_body_is_counted_once() {
    use deltaglider::storage::PutBody;
    use futures::TryStreamExt as _;
    let count = Arc::new(Mutex::new(0));
    let counted = count.clone();
    let body = PutBody::from_bytes("0123456789").inspected(move |n| *counted.lock().unwrap() += n);
    for _ in 0..2 {
        body.open().try_for_each(async |_| Ok(())).await.unwrap();
    }
    assert_eq!(*count.lock().unwrap(), 10);
}
