//! The guide from the Python SDK: every method is mapped, and the calls without a test elsewhere.

use std::sync::{Arc, Mutex};

use deltaglider::DeltaGlider;
use deltaglider::storage::{BucketAcl, CannedAcl};
use futures::{StreamExt as _, TryStreamExt as _};

use super::stage::{client, content, uri, version};
use crate::support::scripted_http::scripted_by;

/// The methods of the Python client, and the function that creates one.
const METHODS: [&str; 29] = [
    "create_client",
    "put_object",
    "get_object",
    "list_objects",
    "delete_object",
    "delete_objects",
    "delete_objects_recursive",
    "head_object",
    "upload",
    "download",
    "verify",
    "upload_chunked",
    "upload_batch",
    "download_batch",
    "estimate_compression",
    "find_similar_files",
    "get_object_info",
    "get_bucket_stats",
    "generate_presigned_url",
    "generate_presigned_post",
    "generate_presigned_url_with_rehydration",
    "rehydrate_for_download",
    "purge_temp_files",
    "create_bucket",
    "delete_bucket",
    "list_buckets",
    "put_bucket_acl",
    "get_bucket_acl",
    "clear_cache",
];

/// The test of the documents checks that the tests in the last column exist.
#[test]
fn guide_maps_every_method() {
    let guide = include_str!("../../../docs/from-python-sdk.md");
    let table = guide.split("## Methods").nth(1).unwrap().split("\n## ").next().unwrap();
    for method in METHODS {
        let row = table.lines().find(|line| line.starts_with(&format!("| `{method}` |")));
        let row = row.unwrap_or_else(|| panic!("{method} has no row"));
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        assert_eq!(cells.len(), 4, "{row}");
        assert!(cells.iter().all(|cell| !cell.is_empty()) && cells[3].contains("](../tests/it/"));
    }
}

#[tokio::test]
async fn batches_run_at_once() {
    let (client, _) = client().await;
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..5).map(|number| format!("app-{number}.zip")).collect();
    for (number, name) in (0..).zip(&names) {
        std::fs::write(folder.path().join(name), version(number)).unwrap();
    }
    let uploads = futures::stream::iter(&names)
        .map(|name| client.upload(folder.path().join(name), "s3://bucket/").into_future());
    let stored: Vec<_> = uploads.buffer_unordered(3).try_collect().await.unwrap();
    assert_eq!(stored.len(), 5);
    let back = tempfile::tempdir().unwrap();
    let downloads = futures::stream::iter(&names)
        .map(|name| client.download(uri(name), back.path()).into_future());
    downloads.buffer_unordered(3).try_for_each(async |_| Ok(())).await.unwrap();
    for (number, name) in (0..).zip(&names) {
        assert!(content(&client, name).await == version(number));
        assert!(std::fs::read(back.path().join(name)).unwrap() == version(number));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bucket_acl_is_set_and_read() {
    let kept = Arc::new(Mutex::new(String::new()));
    let acl = kept.clone();
    let url = scripted_by(move |request| {
        assert!(request.path.starts_with("/bucket") && request.query.contains("acl"));
        match request.method.as_str() {
            "PUT" => {
                *acl.lock().unwrap() = request.header("x-amz-acl").unwrap().to_owned();
                ("200 OK", String::new(), String::new())
            }
            _ => {
                let grant = acl.lock().unwrap().clone();
                let body = format!(
                    "<AccessControlPolicy><Owner><ID>me</ID></Owner><AccessControlList><Grant>\
                     <Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
                     xsi:type=\"Group\"><URI>{grant}</URI></Grantee><Permission>READ</Permission>\
                     </Grant></AccessControlList></AccessControlPolicy>"
                );
                ("200 OK", String::new(), body)
            }
        }
    });
    let builder = DeltaGlider::builder().endpoint(url).region("us-east-1").credentials("k", "s");
    let client = builder.build().await.unwrap();
    let acl = BucketAcl { canned: Some(CannedAcl::PublicRead), ..BucketAcl::default() };
    client.set_bucket_acl("bucket", &acl).await.unwrap();
    assert_eq!(&*kept.lock().unwrap(), "public-read");
    let read = client.bucket_acl("bucket").await.unwrap();
    assert_eq!(read.owner.unwrap().id.as_deref(), Some("me"));
    assert_eq!(read.grants[0].grantee.uri.as_deref(), Some("public-read"));
}
