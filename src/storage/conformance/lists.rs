//! Checks of listings: byte order, prefix, delimiter, start and pages.

use crate::storage::ListRequest;

use super::stage::{Stage, entries};
use super::{Outcome, holds, same};

fn with(prefix: &str, delimiter: Option<&str>, start_after: Option<&str>) -> ListRequest {
    ListRequest {
        prefix: prefix.to_owned(),
        delimiter: delimiter.map(str::to_owned),
        start_after: start_after.map(str::to_owned),
        ..ListRequest::default()
    }
}

pub(super) async fn an_empty_bucket_lists_nothing(stage: &Stage<'_>) -> Outcome {
    stage.lists(&ListRequest::default(), &[], &[]).await?;
    stage.lists(&with("a/", Some("/"), Some("a/b")), &[], &[]).await
}

pub(super) async fn lists_are_in_byte_order(stage: &Stage<'_>) -> Outcome {
    // '.' < '/' < '0' < 'A' < 'a' < 'é' < '日' < '😀': directories are not sorted before or after
    // files.
    let keys =
        ["B", "a", "a-b", "a.b", "a/b", "a0b", "aB", "ab", "ab/c", "é", "日", "\u{ff5e}", "😀"];
    stage.put_all(keys.iter().rev()).await?;
    stage.lists(&ListRequest::default(), &keys, &[]).await
}

pub(super) async fn list_and_head_agree(stage: &Stage<'_>) -> Outcome {
    stage.put_all(["a", "b/c", "b/dd"]).await?;
    let page = stage.store.list(&stage.bucket, &ListRequest::default()).await?;
    same("objects", page.objects.len(), 3)?;
    for listed in page.objects {
        let head = stage.store.head(&stage.object(listed.key.as_str())?).await?;
        same("size", listed.size, listed.key.as_str().len() as u64)?;
        same("size by head", listed.size, head.size)?;
        same("tag", listed.etag, head.etag)?;
        // HEAD reports whole seconds over HTTP, listings report milliseconds.
        let apart = listed
            .last_modified
            .duration_since(head.last_modified)
            .unwrap_or_else(|error| error.duration());
        holds("both report the same time", apart.as_secs() == 0)?;
    }
    Ok(())
}

pub(super) async fn a_prefix_is_a_mere_string(stage: &Stage<'_>) -> Outcome {
    stage.put_all(["v1/a", "v1/b", "v10/a", "v2", "v"]).await?;
    stage.lists(&with("v1", None, None), &["v1/a", "v1/b", "v10/a"], &[]).await?;
    stage.lists(&with("v1/", None, None), &["v1/a", "v1/b"], &[]).await?;
    stage.lists(&with("v2", None, None), &["v2"], &[]).await?;
    stage.lists(&with("v1/a/", None, None), &[], &[]).await?;
    stage.lists(&with("w", None, None), &[], &[]).await
}

pub(super) async fn a_delimiter_rolls_up_folders(stage: &Stage<'_>) -> Outcome {
    stage.put_all(["a", "a.b", "a/", "a/b", "a/c/d", "a/c/e", "a//x", "b/c", "/r", "c"]).await?;
    stage.lists(&with("", Some("/"), None), &["a", "a.b", "c"], &["/", "a/", "b/"]).await?;
    stage.lists(&with("a", Some("/"), None), &["a", "a.b"], &["a/"]).await?;
    stage.lists(&with("a/", Some("/"), None), &["a/", "a/b"], &["a//", "a/c/"]).await?;
    stage.lists(&with("a/c", Some("/"), None), &[], &["a/c/"]).await?;
    stage.lists(&with("a//", Some("/"), None), &["a//x"], &[]).await
}

pub(super) async fn a_delimiter_is_any_text(stage: &Stage<'_>) -> Outcome {
    stage.put_all(["1-2-3", "1-2--4", "1--5", "6"]).await?;
    stage.lists(&with("", Some("-"), None), &["6"], &["1-"]).await?;
    stage.lists(&with("", Some("--"), None), &["1-2-3", "6"], &["1--", "1-2--"]).await?;
    stage.lists(&with("1-", Some("-"), None), &[], &["1--", "1-2-"]).await
}

pub(super) async fn start_after_is_exclusive(stage: &Stage<'_>) -> Outcome {
    stage.put_all(["a", "a/b", "b", "c"]).await?;
    stage.lists(&with("", None, Some("a")), &["a/b", "b", "c"], &[]).await?;
    stage.lists(&with("", None, Some("a/a")), &["a/b", "b", "c"], &[]).await?;
    stage.lists(&with("", None, Some("c")), &[], &[]).await?;
    stage.lists(&with("b", None, Some("a")), &["b"], &[]).await?;
    stage.lists(&with("a", None, Some("b")), &[], &[]).await?;
    stage.lists(&with("", Some("/"), Some("a")), &["b", "c"], &["a/"]).await
}

/// Checks the one rule of listings in which stores differ, so it has a check of its own.
pub(super) async fn start_after_skips_its_prefix(stage: &Stage<'_>) -> Outcome {
    stage.put_all(["a/a", "a/b", "a/c", "b/a", "c"]).await?;
    stage.lists(&with("", Some("/"), Some("a/b")), &["c"], &["b/"]).await?;
    stage.lists(&with("", Some("/"), Some("a/")), &["c"], &["b/"]).await?;
    stage.lists(&with("", Some("/"), Some("b/z")), &["c"], &[]).await
}

pub(super) async fn pages_show_every_entry_once(stage: &Stage<'_>) -> Outcome {
    let in_folders =
        (0..4).flat_map(|folder| (0..5).map(move |file| format!("folder{folder}/file{file}")));
    stage.put_all(in_folders).await?;
    stage.put_all(["a", "folder1", "folder1.b", "folder1/", "z"]).await?;
    let (all, none) = stage.list_all(&ListRequest::default()).await?;
    same("keys", all.len(), 25)?;
    same("common prefixes without a delimiter", none, Vec::new())?;
    holds("keys are in order", all.is_sorted())?;
    for max_keys in [1, 2, 3, 7, 24, 25, 26] {
        for delimiter in [None, Some("/")] {
            let whole = with("", delimiter, None);
            let mut request = ListRequest { max_keys: Some(max_keys), ..whole.clone() };
            let paged = stage.list_all(&request).await?;
            same(&format!("pages of {request:?}"), &paged, &stage.list_all(&whole).await?)?;
            let mut seen = Vec::new();
            loop {
                let page = stage.store.list(&stage.bucket, &request).await?;
                let (keys, common_prefixes) = entries(&page);
                let mut entries = [keys, common_prefixes].concat();
                entries.sort();
                holds("a page is no longer than asked", entries.len() <= usize::from(max_keys))?;
                seen.extend(entries);
                let Some(continuation) = page.continuation else { break };
                request.continuation = Some(continuation);
            }
            let mut sorted = seen.clone();
            sorted.sort();
            sorted.dedup();
            same("entries over all pages are in order and without repetition", seen, sorted)?;
        }
    }
    Ok(())
}

pub(super) async fn a_page_has_1000_entries(stage: &Stage<'_>) -> Outcome {
    let keys: Vec<String> = (0..1003).map(|n| format!("k{n:05}")).collect();
    stage.put_all(&keys).await?;
    let request = ListRequest { max_keys: Some(u16::MAX), ..ListRequest::default() };
    for mut request in [ListRequest::default(), request] {
        let page = stage.store.list(&stage.bucket, &request).await?;
        same("entries of the first page", page.objects.len(), 1000)?;
        request.continuation = page.continuation;
        holds("there is a second page", request.continuation.is_some())?;
        let page = stage.store.list(&stage.bucket, &request).await?;
        same("entries of the second page", page.objects.len(), 3)?;
        same("a third page", page.continuation, None)?;
    }
    let (all, _) = stage.list_all(&ListRequest::default()).await?;
    holds("all pages give all keys", all == keys)
}
