//! `repair` on the real binary against an S3 server, with uploads and lifecycle rules: texts, JSON
//! and exit codes.

use crate::support::{Run, Sandbox, edited, noise};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::types::{
    BucketLifecycleConfiguration, ExpirationStatus, LifecycleExpiration, LifecycleRule,
    LifecycleRuleFilter,
};
use s3_server::{ACCESS_KEY, SECRET_KEY, Server};

struct Shop {
    sandbox: Sandbox,
    server: Server,
}

impl Shop {
    fn run(&self, arguments: &[&str]) -> Run {
        let mut command = self.sandbox.command();
        command.env("AWS_ENDPOINT_URL_S3", self.server.url()).env("AWS_REGION", "us-east-1");
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        Run::of(command.env("DG_CONDITIONAL_WRITES", "yes").args(arguments))
    }

    /// Returns a client of the server, as other tools use.
    fn client(&self) -> Client {
        let http = aws_smithy_http_client::Builder::new().build_http();
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(self.server.url())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "test"))
            .force_path_style(true)
            .http_client(http);
        Client::from_conf(config.build())
    }

    async fn set_lifecycle(&self, status: ExpirationStatus) {
        let days = LifecycleExpiration::builder().days(30).build();
        let filter = LifecycleRuleFilter::builder().prefix("rel/").build();
        let rule =
            LifecycleRule::builder().id("tidy up").status(status).filter(filter).expiration(days);
        let rules =
            BucketLifecycleConfiguration::builder().rules(rule.build().unwrap()).build().unwrap();
        let request = self.client().put_bucket_lifecycle_configuration().bucket("shop");
        request.lifecycle_configuration(rules).send().await.unwrap();
    }
}

/// Returns the trouble and the outcome of each finding.
fn findings(run: &Run) -> Vec<(String, String)> {
    let report: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let findings = report["findings"].as_array().unwrap();
    findings.iter().map(|finding| (text(&finding["trouble"]), text(&finding["outcome"]))).collect()
}

fn owned(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected
        .iter()
        .map(|(trouble, outcome)| ((*trouble).to_owned(), (*outcome).to_owned()))
        .collect()
}

#[tokio::test]
async fn repair_changes_only_on_request() {
    let shop = Shop { sandbox: Sandbox::new(), server: Server::memory().unwrap() };
    shop.run(&["mb", "s3://shop"]).succeeds();
    let first = noise(100_000, 1);
    shop.sandbox.write("app-1.zip", &first);
    shop.sandbox.write("app-2.zip", edited(&first, 2));
    shop.run(&["cp", "app-1.zip", "s3://shop/rel/"]).succeeds();
    shop.run(&["cp", "app-2.zip", "s3://shop/rel/"]).succeeds();
    shop.run(&["cp", "--no-delta", "app-1.zip", "s3://shop/backup/"]).succeeds();
    shop.run(&["repair", "shop"])
        .succeeds()
        .says("2 deltas and 1 references: 0 found, 0 repaired, 0 left");

    let client = shop.client();
    client.create_multipart_upload().bucket("shop").key("never ended +%").send().await.unwrap();
    // A recent upload may still be in progress.
    shop.run(&["repair", "s3://shop"]).succeeds().says("0 found");
    shop.set_lifecycle(ExpirationStatus::Enabled).await;
    client.delete_object().bucket("shop").key("rel/reference.bin").send().await.unwrap();
    shop.run(&["cp", "s3://shop/rel/app-2.zip", "back.zip"]).fails(1, &["rel/reference.bin"]);

    let report = shop.run(&["repair", "shop", "--grace-days", "0"]).fails(1, &[]);
    for text in [
        "missing reference: s3://shop/rel/reference.bin",
        "needed by rel/app-1.zip, rel/app-2.zip: pass --fix to repair it",
        "open upload: s3://shop/never ended +%",
    ] {
        assert!(report.out.contains(text), "{text:?} is not in {report:?}");
    }
    assert_eq!(shop.server.open_uploads(), 1);
    let repaired =
        shop.run(&["repair", "shop", "--grace-days", "0", "--fix", "--json"]).fails(1, &[]);
    let expected =
        [("missing reference", "mended"), ("open upload", "mended"), ("lifecycle rule", "beyond")];
    assert_eq!(findings(&repaired), owned(&expected));
    assert_eq!(shop.server.open_uploads(), 0);
    let again = shop.run(&["repair", "shop", "--fix", "--json"]).fails(1, &[]);
    assert_eq!(findings(&again), owned(&expected[2..]));
    shop.set_lifecycle(ExpirationStatus::Disabled).await;
    shop.run(&["repair", "shop", "--fix"]).succeeds().says("0 found");
    for name in ["app-1.zip", "app-2.zip"] {
        shop.run(&["cp", &format!("s3://shop/rel/{name}"), "back.zip"]).succeeds();
        assert!(shop.sandbox.read("back.zip") == shop.sandbox.read(name));
    }
}

#[test]
fn lost_content_is_a_failure() {
    let sandbox = Sandbox::new();
    let first = noise(100_000, 1);
    sandbox.put("app-1.zip", &first).succeeds();
    sandbox.put("app-2.zip", &edited(&first, 2)).succeeds();
    sandbox.store().remove("reference.bin");
    let run = sandbox.run(["repair", "--fix", "buc"]).fails(1, &[]);
    run.says("cannot be repaired here: its content is nowhere in this bucket")
        .says("1 found, 0 repaired, 1 left");
}

#[test]
fn repair_takes_a_whole_bucket() {
    let sandbox = Sandbox::new();
    sandbox.run(["repair", "s3://buc/folder"]).fails(255, &["works on a whole bucket"]);
    sandbox.run(["repair", "s3://absent"]).fails(1, &["no such bucket"]);
}
