//! Tests of special bucket names: buckets of a tenant of Ceph, and ARNs of access points.

use std::sync::{Arc, Mutex};

use s3_server::{ACCESS_KEY, SECRET_KEY};

use crate::support::scripted_http::{scripted_by, xml};
use crate::support::{Run, Sandbox};

const HEAD: &str = "ETag: \"25f9e794323b453885f5181f1b624d0b\"\r\n\
                    Last-Modified: Mon, 30 Nov 2026 00:00:00 GMT\r\n";
const ARN: &str = "arn:aws:s3:us-west-2:123456789012:accesspoint/point";

/// Starts a store with one object, `in/file.bin`, in any bucket. Also returns the requests that it
/// gets: method, URL, and the signature's scope.
fn store() -> (String, Arc<Mutex<Vec<String>>>) {
    let requests = Arc::new(Mutex::new(Vec::new()));
    let kept = requests.clone();
    let url = scripted_by(move |request| {
        let scope = request
            .header("authorization")
            .and_then(|text| text.split('/').nth(2))
            .unwrap_or_default();
        kept.lock().unwrap().push(format!("{} {} {scope}", request.method, request.path));
        match &*request.method {
            "PUT" => ("200 OK", HEAD.to_owned(), String::new()),
            _ if request.path.ends_with("/in/file.bin") => {
                ("200 OK", HEAD.to_owned(), "123456789".to_owned())
            }
            "GET" if request.query.contains("list-type=2") => (
                "200 OK",
                String::new(),
                "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>".into(),
            ),
            _ => ("404 Not Found", String::new(), xml("NoSuchKey", "", "")),
        }
    });
    (url, requests)
}

fn run(environment: &[(&str, &str)], arguments: &[&str]) -> Run {
    let sandbox = Sandbox::new();
    sandbox.write("up.bin", "123456789");
    let mut command = sandbox.command();
    command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    Run::of(command.envs(environment.iter().copied()).args(arguments))
}

#[test]
fn tenant_bucket_is_in_the_path() {
    for style in ["auto", "virtual"] {
        let (url, requests) = store();
        let environment = [("AWS_ENDPOINT_URL_S3", &*url)];
        let down = ["cp", "--addressing-style", style, "s3://tenant:bucket/in/file.bin", "-"];
        assert_eq!(run(&environment, &down).succeeds().out, "123456789");
        run(&environment, &["cp", "--no-delta", "up.bin", "s3://tenant:bucket/up.bin"]).succeeds();
        let requests = requests.lock().unwrap();
        assert!(
            requests.contains(&"GET /tenant%3Abucket/in/file.bin us-east-1".to_owned()),
            "{requests:?}"
        );
        assert!(
            requests.contains(&"PUT /tenant%3Abucket/up.bin us-east-1".to_owned()),
            "{requests:?}"
        );
    }
}

#[test]
fn access_point_has_its_own_host() {
    let (proxy, requests) = store();
    let environment = [
        ("HTTP_PROXY", &*proxy),
        ("AWS_ENDPOINT_URL_S3", "http://s3.eu-west-1.amazonaws.com"),
        ("AWS_REGION", "eu-west-1"),
    ];
    assert_eq!(
        run(&environment, &["cp", &format!("s3://{ARN}/in/file.bin"), "-"]).succeeds().out,
        "123456789"
    );
    run(&environment, &["cp", "--no-delta", "up.bin", &format!("s3://{ARN}/up.bin")]).succeeds();
    run(&environment, &["ls", &format!("s3://{ARN}")]).succeeds();
    let requests = requests.lock().unwrap();
    let host = "http://point-123456789012.s3.eu-west-1.amazonaws.com";
    for request in
        ["GET {host}/in/file.bin us-west-2", "PUT {host}/up.bin us-west-2", "GET {host}/ us-west-2"]
    {
        let request = request.replace("{host}", host);
        assert!(requests.contains(&request), "{request} is not in {requests:?}");
    }
}

#[test]
fn multi_region_arn_is_refused() {
    let uri = "s3://arn:aws:s3::123456789012:accesspoint/point.mrap/key";
    run(&[("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")], &["cp", uri, "-"])
        .fails(255, &["in one region"]);
}
