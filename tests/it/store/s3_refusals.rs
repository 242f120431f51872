//! Tests of rejections that the other tests' servers do not send: verbatim answers of AWS and
//! MinIO, from a scripted server, to the S3 client and to the real binary.

use std::process::Command;

use crate::support::scripted_http::{Answer, scripted, xml};
use crate::support::{Run, Sandbox};
use deltaglider::domain::{BucketName, Key, ObjectName};
use deltaglider::service::chain;
use deltaglider::storage::{
    Attributes, BucketAdmin as _, CopyOptions, ListRequest, ObjectStore as _, PutBody,
    PutCondition, S3Config, S3Credentials, S3Store, StorageError, StorageErrorKind,
};

const HEAD: &str =
    "Content-Length: 5\r\nETag: \"0\"\r\nLast-Modified: Wed, 25 Nov 2026 10:00:00 GMT\r\n";
const FORBIDDEN: &str = "403 Forbidden";

fn found() -> Answer {
    ("200 OK", HEAD, String::new())
}

fn archived() -> Answer {
    let more = "<StorageClass>DEEP_ARCHIVE</StorageClass>";
    let message = "The operation is not valid for the object's storage class";
    (FORBIDDEN, "", xml("InvalidObjectState", message, more))
}

fn locked_on_aws() -> Answer {
    (
        FORBIDDEN,
        "",
        xml("AccessDenied", "Access Denied because object protected by object lock.", ""),
    )
}

async fn store(endpoint: String) -> S3Store {
    let credentials = S3Credentials {
        access_key_id: "AKID".to_owned(),
        secret_access_key: "secret".to_owned(),
        session_token: None,
    };
    let config = S3Config {
        endpoint: Some(endpoint),
        credentials: Some(credentials),
        ..S3Config::default()
    };
    S3Store::connect(config).await.unwrap()
}

fn object(key: &str) -> ObjectName {
    ObjectName::new(BucketName::new("buc").unwrap(), Key::new(key).unwrap())
}

#[track_caller]
fn assert_error(error: StorageError, kind: StorageErrorKind, texts: &[&str]) {
    let message = chain(&error);
    assert_eq!(error.kind, kind, "{message}");
    for text in texts {
        assert!(message.contains(text), "{text:?} is not in {message}");
    }
}

#[tokio::test]
async fn archived_error_names_the_class() {
    let url = scripted(|method, _| match method {
        "HEAD" => found(),
        "GET" => archived(),
        _ => (
            FORBIDDEN,
            "",
            xml(
                "ObjectNotInActiveTierError",
                "The source object of the COPY operation is not in the active tier",
                "",
            ),
        ),
    });
    let store = store(url).await;
    let got = store.get(&object("k"), None).await.map(drop).unwrap_err();
    assert_error(
        got,
        StorageErrorKind::Archived,
        &["archived, to be restored first", "its storage class is DEEP_ARCHIVE"],
    );
    let copied =
        store.copy(&object("k"), &object("to"), &CopyOptions::default()).await.unwrap_err();
    assert_error(copied, StorageErrorKind::Archived, &["not in the active tier"]);
}

#[tokio::test]
async fn lock_differs_from_denial() {
    let url = scripted(|_, path| match path {
        "/buc/aws" => locked_on_aws(),
        "/buc/minio" => (
            "400 Bad Request",
            "",
            xml("InvalidRequest", "Object is WORM protected and cannot be overwritten", ""),
        ),
        _ => (FORBIDDEN, "", xml("AccessDenied", "Access Denied", "")),
    });
    let store = store(url).await;
    for key in ["aws", "minio"] {
        let error = store.delete(&object(key), None).await.unwrap_err();
        assert_error(error, StorageErrorKind::Locked, &["locked against removal"]);
    }
    let error = store.delete(&object("k"), None).await.unwrap_err();
    assert_error(error, StorageErrorKind::Denied, &["access denied", "s3:DeleteObject"]);
}

#[tokio::test]
async fn denied_calls_name_permissions() {
    let url = scripted(|_, _| (FORBIDDEN, "", xml("AccessDenied", "Access Denied", "")));
    let store = store(url).await;
    let (denied, object) = (StorageErrorKind::Denied, object("k"));
    let unknown = [
        "s3:GetObject",
        "without s3:ListBucket, an absent object cannot be distinguished from a forbidden one",
    ];
    assert_error(store.head(&object).await.unwrap_err(), denied, &unknown);
    assert_error(store.get(&object, None).await.map(drop).unwrap_err(), denied, &unknown);
    let put = store
        .put(&object, PutBody::from_bytes("x"), &Attributes::default(), &PutCondition::None.into())
        .await;
    assert_error(put.unwrap_err(), denied, &["s3:PutObject"]);
    assert_error(
        store.list(&object.bucket, &ListRequest::default()).await.unwrap_err(),
        denied,
        &["s3:ListBucket"],
    );
    assert_error(store.list_buckets().await.unwrap_err(), denied, &["s3:ListAllMyBuckets"]);
    assert_error(
        store.create_bucket(&object.bucket).await.unwrap_err(),
        denied,
        &["s3:CreateBucket"],
    );
    assert_error(
        store.delete_bucket(&object.bucket).await.unwrap_err(),
        denied,
        &["s3:DeleteBucket"],
    );
    let url = scripted(|method, _| match method {
        "HEAD" => found(),
        _ => (FORBIDDEN, "", xml("AccessDenied", "Access Denied", "")),
    });
    let copied =
        self::store(url).await.copy(&object, &self::object("to"), &CopyOptions::default()).await;
    assert_error(
        copied.unwrap_err(),
        denied,
        &["s3:GetObject for the source", "s3:PutObject for the copy"],
    );
}

#[tokio::test]
async fn credential_errors_are_distinct() {
    let url = scripted(|_, _| {
        (FORBIDDEN, "", xml("SignatureDoesNotMatch", "The request signature is wrong", ""))
    });
    let error = store(url).await.get(&object("k"), None).await.map(drop).unwrap_err();
    assert!(
        error.kind == StorageErrorKind::Credentials && !chain(&error).contains("this needs"),
        "{}",
        chain(&error)
    );
}

#[tokio::test]
async fn a_delete_marker_is_no_object() {
    for status in ["404 Not Found", "405 Method Not Allowed"] {
        let url = scripted(move |method, _| {
            let code = if status.starts_with("404") { "NoSuchKey" } else { "MethodNotAllowed" };
            let body = if method == "HEAD" { String::new() } else { xml(code, "", "") };
            (status, "x-amz-delete-marker: true\r\nx-amz-version-id: v\r\n", body)
        });
        let store = store(url).await;
        assert_error(store.head(&object("k")).await.unwrap_err(), StorageErrorKind::NotFound, &[]);
        assert_error(
            store.get(&object("k"), None).await.map(drop).unwrap_err(),
            StorageErrorKind::NotFound,
            &[],
        );
    }
    let url = scripted(|_, _| ("405 Method Not Allowed", "", xml("MethodNotAllowed", "", "")));
    assert_error(
        store(url).await.head(&object("k")).await.unwrap_err(),
        StorageErrorKind::Invalid,
        &[],
    );
}

/// Returns a command of the binary, with the store at this address.
fn command(sandbox: &Sandbox, url: &str) -> Command {
    let mut command = sandbox.command();
    command
        .env("AWS_ENDPOINT_URL_S3", url)
        .env("AWS_ACCESS_KEY_ID", "AKID")
        .env("AWS_SECRET_ACCESS_KEY", "secret");
    command
}

#[test]
fn errors_have_hints() {
    let sandbox = Sandbox::new();
    let url = scripted(|method, path| match (method, path) {
        ("HEAD", "/buc" | "/buc/" | "/buc/k") => found(),
        ("GET", "/buc/k") => archived(),
        ("DELETE", "/buc/k") => locked_on_aws(),
        _ => ("404 Not Found", "", xml("NoSuchKey", "The specified key does not exist.", "")),
    });
    let archived =
        ["s3://buc/k: archived", "DEEP_ARCHIVE", "hint: restore it (`aws s3api restore-object`)"];
    Run::of(command(&sandbox, &url).args(["cp", "s3://buc/k", "out"])).fails(1, &archived);
    let locked = [
        "s3://buc/k: locked",
        "hint: it can be deleted when its retention has ended or its legal hold is lifted",
    ];
    Run::of(command(&sandbox, &url).args(["rm", "s3://buc/k"])).fails(1, &locked);
    let url = scripted(|_, _| (FORBIDDEN, "", xml("AccessDenied", "Access Denied", "")));
    let denied = ["access denied", "s3:GetObject", "s3:ListBucket", "hint: check the credentials"];
    Run::of(command(&sandbox, &url).args(["cp", "s3://buc/k", "out"])).fails(1, &denied);
    assert_eq!(sandbox.files(), Vec::<String>::new());
}
