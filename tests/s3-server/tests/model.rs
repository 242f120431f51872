//! Tests of the model store's strictness where our own client does not go, by a plain client; and
//! of the binary.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, also in the functions it is made of"
)]

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, EncodingType};
use s3_server::{ACCESS_KEY, MIN_PART_SIZE, SECRET_KEY, Server};

async fn client(url: String) -> Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .credentials_provider(Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "test"))
        .region(Region::new("us-east-1"))
        .endpoint_url(url)
        .force_path_style(true)
        .build();
    let client = Client::from_conf(config);
    client.create_bucket().bucket("bucket").send().await.unwrap();
    client
}

fn code<T: std::fmt::Debug, E: ProvideErrorMetadata + std::fmt::Debug>(
    refused: Result<T, E>,
) -> String {
    refused.unwrap_err().code().unwrap().to_owned()
}

#[tokio::test]
async fn metadata_is_limited_to_2_kib() {
    let server = Server::memory().unwrap();
    let client = client(server.url()).await;
    for (len, fits) in [(2046, true), (2047, false)] {
        let value = "v".repeat(len);
        let put = client.put_object().bucket("bucket").key("k").metadata("ab", &value).send().await;
        let create = client
            .create_multipart_upload()
            .bucket("bucket")
            .key("k")
            .metadata("ab", &value)
            .send()
            .await;
        assert_eq!((put.is_ok(), create.is_ok()), (fits, fits), "{len}");
        if !fits {
            assert_eq!(
                (code(put).as_str(), code(create).as_str()),
                ("MetadataTooLarge", "MetadataTooLarge")
            );
        }
    }
}

#[tokio::test]
async fn upload_needs_ordered_parts() {
    let server = Server::memory().unwrap();
    let client = client(server.url()).await;
    let created = client.create_multipart_upload().bucket("bucket").key("k").send().await.unwrap();
    let id = created.upload_id().unwrap();
    let mut parts = Vec::new();
    for (number, len) in [(1, MIN_PART_SIZE as usize), (2, 10), (3, 10)] {
        let body = ByteStream::from(vec![0; len]);
        let part = client
            .upload_part()
            .bucket("bucket")
            .key("k")
            .upload_id(id)
            .part_number(number)
            .body(body);
        let etag = part.send().await.unwrap().e_tag;
        parts.push(CompletedPart::builder().part_number(number).set_e_tag(etag).build());
    }
    let complete = async |parts: &[&CompletedPart]| {
        let parts = parts.iter().map(|part| (*part).clone()).collect();
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        client
            .complete_multipart_upload()
            .bucket("bucket")
            .key("k")
            .upload_id(id)
            .multipart_upload(parts)
            .send()
            .await
    };
    let [first, second, third] = parts.as_slice() else { panic!("three parts were sent") };
    let false_tag = CompletedPart::builder().part_number(2).e_tag("\"0\"").build();
    let missing = CompletedPart::builder().part_number(4).e_tag("\"0\"").build();
    assert_eq!(code(complete(&[second, third]).await), "EntityTooSmall");
    assert_eq!(code(complete(&[first, first]).await), "InvalidPartOrder");
    assert_eq!(code(complete(&[first, &false_tag]).await), "InvalidPart");
    assert_eq!(code(complete(&[first, &missing]).await), "InvalidPart");
    let listed = client.list_multipart_uploads().bucket("bucket").send().await.unwrap();
    let listed: Vec<_> =
        listed.uploads().iter().map(|upload| (upload.key(), upload.upload_id())).collect();
    assert_eq!(listed, [(Some("k"), Some(id))]);
    complete(&[first, second]).await.unwrap();
    let head = client.head_object().bucket("bucket").key("k").send().await.unwrap();
    assert_eq!(head.content_length(), Some(MIN_PART_SIZE as i64 + 10));
    assert_eq!(code(complete(&[first, second]).await), "NoSuchUpload");
    assert_eq!(server.open_uploads(), 0);
}

#[tokio::test]
async fn if_match_on_absent_key_is_404() {
    let server = Server::memory().unwrap();
    let client = client(server.url()).await;
    let put = client.put_object().bucket("bucket").key("k").if_match("\"0\"").send().await;
    assert_eq!(code(put), "NoSuchKey");
}

/// A copy onto itself, and a copy of bytes beyond the source.
#[tokio::test]
async fn invalid_copies_are_refused() {
    let server = Server::memory().unwrap();
    let client = client(server.url()).await;
    client
        .put_object()
        .bucket("bucket")
        .key("k")
        .body(ByteStream::from(vec![0; 10]))
        .send()
        .await
        .unwrap();
    let onto_itself =
        client.copy_object().bucket("bucket").key("k").copy_source("bucket/k").send().await;
    assert_eq!(code(onto_itself), "InvalidRequest");
    let created =
        client.create_multipart_upload().bucket("bucket").key("copy").send().await.unwrap();
    let part = async |range: Option<&str>| {
        let part = client
            .upload_part_copy()
            .bucket("bucket")
            .key("copy")
            .upload_id(created.upload_id().unwrap());
        part.part_number(1)
            .copy_source("bucket/k")
            .set_copy_source_range(range.map(str::to_owned))
            .send()
            .await
    };
    for odd in ["bytes=0-10", "bytes=5-4", "bytes=0-", "0-4"] {
        assert_eq!(code(part(Some(odd)).await), "InvalidArgument", "{odd}");
    }
    part(Some("bytes=2-9")).await.unwrap();
    part(None).await.unwrap();
}

#[tokio::test]
async fn binary_can_ignore_conditions() {
    let mut process = Command::new(env!("CARGO_BIN_EXE_s3-server"))
        .args(["memory", "--ignore-conditions"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut url = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut url).unwrap();
    let client = client(url.trim().to_owned()).await;
    let put = async || {
        client.put_object().bucket("bucket").key("k").if_none_match("*").send().await.is_ok()
    };
    let done = (put().await, put().await);
    process.kill().unwrap();
    process.wait().unwrap();
    assert_eq!(done, (true, true));
}

#[tokio::test]
async fn listed_keys_may_be_encoded() {
    let server = Server::memory().unwrap();
    let client = client(server.url()).await;
    client.put_object().bucket("bucket").key("a b/+é").send().await.unwrap();
    for (encoding, listed) in [(None, "a b/+é"), (Some(EncodingType::Url), "a+b/%2B%C3%A9")] {
        let page = client
            .list_objects_v2()
            .bucket("bucket")
            .set_encoding_type(encoding)
            .send()
            .await
            .unwrap();
        assert_eq!(page.contents().first().unwrap().key(), Some(listed));
    }
}

#[tokio::test]
async fn binary_prints_its_address() {
    let folder = std::env::temp_dir();
    for arguments in [
        vec!["memory"],
        vec!["memory", "--ignore-conditions"],
        vec!["fs", folder.to_str().unwrap(), "--port", "0"],
    ] {
        let mut process = Command::new(env!("CARGO_BIN_EXE_s3-server"))
            .args(&arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut url).unwrap();
        let reached = std::net::TcpStream::connect(url.trim().strip_prefix("http://").unwrap());
        process.kill().unwrap();
        process.wait().unwrap();
        assert!(reached.is_ok(), "{arguments:?} {url}");
    }
    let refused = Command::new(env!("CARGO_BIN_EXE_s3-server"))
        .args(["memory", "--port", "x"])
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2));
}
