//! Tests of the table "Listings" of docs/s3.md: the valid pages of a listing, and the commands that
//! act on listings.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use deltaglider::domain::{BucketName, Key, ObjectName};
use deltaglider::storage::{
    Attributes, BucketAdmin as _, CopyOptions, ListRequest, ObjectStore as _, PutBody, PutOptions,
    S3Config, S3Credentials, S3Store,
};
use s3_server::{ACCESS_KEY, Fault, Rewrite, SECRET_KEY, Server};

use crate::support::scripted_http::scripted_by;
use crate::support::{Run, Sandbox, edited, noise};

/// A function that returns a page, from the number of this listing's earlier pages and the page
/// that the store would send.
type Page = fn(usize, String) -> String;

const WRONG: [(&str, Page); 14] = [
    ("cut short between two entries", |_, xml| xml[..last_entry(&xml)].to_owned()),
    ("cut short inside a tag", |_, xml| xml[..last_entry(&xml) + 5].to_owned()),
    ("without the end tag of its root", |_, xml| xml.replace("</ListBucketResult>", "")),
    ("empty body", |_, _| String::new()),
    ("elements without end", |_, _| format!("<ListBucketResult>{}", "<a>".repeat(100_000))),
    ("another root", |_, _| "<html><body>Log in to the network</body></html>".to_owned()),
    ("an error with status 200", |_, _| "<Error><Code>InternalError</Code></Error>".to_owned()),
    ("more than 16 MiB", |_, xml| format!("{xml}{}", " ".repeat(17 << 20))),
    ("fewer entries than its count", |_, xml| without_last_entry(&xml)),
    ("not the last, and no token and no entry", |_, xml| {
        without_entries(&xml).replace(LAST, NOT_LAST)
    }),
    ("not the last, in another order, and no token", |_, xml| {
        reversed(&with_one_more(&xml)).replace(LAST, NOT_LAST)
    }),
    ("the same token twice", |_, xml| followed(xml, 1)),
    ("a token seen before", |n, xml| {
        followed(if n == 0 { xml } else { without_entries(&xml) }, n % 3)
    }),
    ("new tokens, the same keys", |n, xml| if n < 3 { followed(xml, n) } else { xml }),
];

/// Also wrong; separate because it takes many requests.
const ENDLESS: (&str, Page) = ("1001 empty pages", |n, xml| followed(without_entries(&xml), n));

const VALID: [(&str, Page); 7] = [
    ("not the last, and no token", |n, xml| {
        if n == 0 && has_entries(&xml) { xml.replace(LAST, NOT_LAST) } else { xml }
    }),
    ("no count", |_, xml| without(&xml, "KeyCount")),
    ("a smaller count", |_, xml| {
        without(&xml, "KeyCount").replace(LAST, &format!("<KeyCount>0</KeyCount>{LAST}"))
    }),
    ("empty pages first", |n, xml| if n < 5 { followed(without_entries(&xml), n) } else { xml }),
    ("an empty page last", |n, xml| if n == 0 { followed(xml, n) } else { without_entries(&xml) }),
    ("another order", |_, xml| reversed(&xml)),
    ("comments, and text after the root", |_, xml| {
        format!(
            "{}\n<!-- </ListBucketResult> -->\n",
            xml.replace(LAST, &format!("<!-- <a> -->\n{LAST}"))
        )
    }),
];

const LAST: &str = "<IsTruncated>false</IsTruncated>";
const NOT_LAST: &str = "<IsTruncated>true</IsTruncated>";

fn last_entry(xml: &str) -> usize {
    xml.rfind("<Contents>").or_else(|| xml.rfind("<CommonPrefixes>")).unwrap_or(xml.len() - 20)
}

/// Returns the text around the entries of a page, and the entries, each an element of its own.
fn entries(xml: &str) -> (String, Vec<String>) {
    let (mut rest, mut entries) = (xml.to_owned(), Vec::new());
    for name in ["Contents", "CommonPrefixes"] {
        while let Some(start) = rest.find(&format!("<{name}>")) {
            let end = format!("</{name}>");
            let end = rest.find(&end).unwrap() + end.len();
            entries.push(rest.drain(start..end).collect());
        }
    }
    (rest, entries)
}

fn with_entries(xml: &str, change: impl FnOnce(&mut Vec<String>)) -> String {
    let (around, mut entries) = entries(xml);
    change(&mut entries);
    around.replace("</ListBucketResult>", &format!("{}</ListBucketResult>", entries.concat()))
}

fn without_entries(xml: &str) -> String {
    without(&with_entries(xml, Vec::clear), "KeyCount")
}

fn has_entries(xml: &str) -> bool {
    !entries(xml).1.is_empty()
}

/// Adds an entry before all existing ones, so that any listing has at least two.
fn with_one_more(xml: &str) -> String {
    let entry = "<Contents><Key>!</Key><Size>0</Size>\
                 <LastModified>2026-01-01T00:00:00Z</LastModified></Contents>";
    without(&with_entries(xml, |entries| entries.insert(0, entry.to_owned())), "KeyCount")
}

fn without_last_entry(xml: &str) -> String {
    // An empty listing has no entry to omit.
    let counted = xml.replace("<KeyCount>0<", "<KeyCount>1<");
    with_entries(&counted, |entries| drop(entries.pop()))
}

fn reversed(xml: &str) -> String {
    with_entries(xml, |entries| entries.reverse())
}

fn without(xml: &str, name: &str) -> String {
    match (xml.find(&format!("<{name}>")), xml.find(&format!("</{name}>"))) {
        (Some(start), Some(end)) => [&xml[..start], &xml[end + name.len() + 3..]].concat(),
        _ => xml.to_owned(),
    }
}

/// Marks the page as followed by another one. The server parses tokens as the hexadecimal digits of
/// a key and starts after it, here before all keys.
fn followed(xml: String, token: usize) -> String {
    let digits: String = token.to_string().bytes().map(|byte| format!("{byte:02x}")).collect();
    let token = format!("<NextContinuationToken>01{digits}</NextContinuationToken>");
    xml.replace(LAST, &format!("{NOT_LAST}{token}"))
}

fn object(bucket: &str, key: &str) -> ObjectName {
    ObjectName::new(BucketName::new(bucket).unwrap(), Key::new(key).unwrap())
}

/// A store with a few objects, whose listings a page function rewrites.
struct Fixture {
    server: Server,
    sandbox: Sandbox,
    /// The keys of deleted objects and the names of deleted buckets.
    deleted: Arc<Mutex<BTreeSet<String>>>,
    /// Set if an endless listing was followed for longer than any rule allows.
    went_on: Arc<AtomicBool>,
}

impl Fixture {
    fn new() -> Self {
        let fixture = Self {
            server: Server::memory().unwrap(),
            sandbox: Sandbox::new(),
            deleted: Arc::default(),
            went_on: Arc::default(),
        };
        fixture.make_buckets();
        let base = noise(20_000, 1);
        for (name, content) in [("v-1.zip", base.clone()), ("v-2.zip", edited(&base, 1))] {
            fixture.sandbox.write(name, content);
            fixture.run(&["cp", name, "s3://versions/"]).succeeds();
            fixture.copy_delta(name, "versions", "kept");
        }
        for name in ["a.txt", "b.txt", "c.txt", "d.txt"] {
            fixture.sandbox.write(&format!("out/{name}"), name);
            fixture.put("files", name);
        }
        fixture.sandbox.write("out/extra.txt", "not stored");
        fixture.put("rest", ".deltaglider/index/contents.json");
        fixture
    }

    #[tokio::main(flavor = "current_thread")]
    async fn make_buckets(&self) {
        for bucket in ["files", "versions", "kept", "empty", "rest"] {
            self.server
                .store()
                .unwrap()
                .create_bucket(&BucketName::new(bucket).unwrap())
                .await
                .unwrap();
        }
    }

    #[tokio::main(flavor = "current_thread")]
    async fn put(&self, bucket: &str, key: &str) {
        let body = PutBody::from_bytes(key.as_bytes().to_vec());
        let store = self.server.store().unwrap();
        store
            .put(&object(bucket, key), body, &Attributes::default(), &PutOptions::default())
            .await
            .unwrap();
    }

    #[tokio::main(flavor = "current_thread")]
    async fn copy_delta(&self, name: &str, from: &str, to: &str) {
        let key = format!("{name}.delta");
        self.server
            .store()
            .unwrap()
            .copy(&object(from, &key), &object(to, &key), &CopyOptions::default())
            .await
            .unwrap();
    }

    /// Rewrites all pages from now on.
    fn list(&self, page: Page) {
        let (deleted, went_on) = (self.deleted.clone(), self.went_on.clone());
        // A listing starts with a request without a token; its next requests have one.
        let asked = Mutex::new(0_usize);
        self.server.script(move |call| {
            if call.operation.starts_with("Delete") {
                deleted.lock().unwrap().insert(call.key.or(call.bucket).unwrap().to_owned());
            }
            if call.operation != "ListObjectsV2" {
                return None;
            }
            let mut asked = asked.lock().unwrap();
            *asked = if call.query.contains("continuation-token=") { *asked + 1 } else { 0 };
            let nth = *asked;
            if nth > 1500 {
                went_on.store(true, Ordering::Relaxed);
                return Some(Fault::Refuse { status: 403, code: "AccessDenied" });
            }
            Some(Fault::Rewrite(Rewrite::new(move |xml| page(nth, xml))))
        });
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let mut command = self.sandbox.command();
        command.env("AWS_ENDPOINT_URL_S3", self.server.url()).env("AWS_REGION", "us-east-1");
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        // The retries of the SDK would only slow down the test.
        command.env("AWS_MAX_ATTEMPTS", "1");
        // The model store supports conditions; elsewhere young references are kept.
        command.env("DG_CONDITIONAL_WRITES", "yes");
        Run::of(command.args(arguments))
    }

    fn deleted(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.deleted.lock().unwrap())
    }
}

#[test]
fn wrong_pages_are_not_acted_on() {
    let fixture = Fixture::new();
    fixture.put("rest", "z.txt");
    let acted: Vec<_> =
        WRONG.iter().flat_map(|(name, page)| acts_on(&fixture, name, *page)).collect();
    assert!(acted.is_empty(), "{}", acted.join("\n"));
}

#[test]
fn endless_empty_pages_fail() {
    let fixture = Fixture::new();
    fixture.put("rest", "z.txt");
    let acted = acts_on(&fixture, ENDLESS.0, ENDLESS.1);
    assert!(acted.is_empty(), "{}", acted.join("\n"));
}

/// Returns the commands that act on a wrong page although they must not.
fn acts_on(fixture: &Fixture, name: &str, page: Page) -> Vec<String> {
    let mut acted = Vec::new();
    fixture.list(page);
    let went_on = fixture.went_on.clone();
    went_on.store(false, Ordering::Relaxed);
    let mut expect = |what: &str, right: bool, run: &dyn std::fmt::Debug| {
        if !right || went_on.load(Ordering::Relaxed) {
            acted.push(format!("a page with {name}, {what}: {run:?}"));
        }
    };
    let run = fixture.run(&["ls", "-r", "s3://files"]);
    expect("ls", run.code == Some(1) && !run.err.is_empty(), &run);
    let before = fixture.sandbox.files();
    let run = fixture.run(&["sync", "--delete", "s3://files", "out"]);
    expect("sync --delete", run.code == Some(1) && fixture.sandbox.files() == before, &run);
    let run = fixture.run(&["rb", "s3://rest"]);
    expect("rb", run.code == Some(1) && fixture.deleted().is_empty(), &run);
    // The files may be deleted or kept. Their reference must be kept: no listing proves it
    // unneeded.
    for file in ["v-1.zip", "v-2.zip"] {
        let run = fixture.run(&["rm", &format!("s3://versions/{file}")]);
        let deleted = fixture.deleted();
        expect("rm", !deleted.iter().any(|key| key.contains("reference")), &(run, deleted));
    }
    for file in ["v-1.zip", "v-2.zip"] {
        fixture.copy_delta(file, "kept", "versions");
    }
    acted
}

#[test]
fn valid_pages_are_accepted() {
    for (name, page) in VALID {
        let fixture = Fixture::new();
        fixture.list(page);
        let run = fixture.run(&["ls", "-r", "s3://files"]).succeeds();
        let listed: BTreeSet<&str> =
            run.out.lines().filter_map(|line| line.split_whitespace().last()).collect();
        assert_eq!(listed, ["a.txt", "b.txt", "c.txt", "d.txt"].into(), "{name}");
        fixture.run(&["sync", "--delete", "s3://files", "out"]).succeeds();
        let left = fixture.sandbox.files().into_iter().filter(|file| file.starts_with("out/"));
        assert_eq!(
            left.collect::<Vec<_>>(),
            ["out/a.txt", "out/b.txt", "out/c.txt", "out/d.txt"],
            "{name}"
        );
        for bucket in ["empty", "rest"] {
            fixture.run(&["rb", &format!("s3://{bucket}")]).succeeds();
            assert!(fixture.deleted().contains(bucket), "{name}");
        }
        fixture.run(&["rm", "s3://versions/v-1.zip"]).succeeds();
        assert!(!fixture.deleted().iter().any(|key| key.contains("reference")), "{name}");
        fixture.run(&["rm", "s3://versions/v-2.zip"]).succeeds();
        assert!(fixture.deleted().iter().any(|key| key.contains("reference")), "{name}");
    }
}

/// Starts a store that only supports ListObjects V1, with pages of two entries and without
/// `NextMarker`.
fn first_version_only(keys: &'static [&'static str]) -> String {
    scripted_by(move |request| {
        let value = |name: &str| {
            request.query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
        };
        let marker = value("marker").unwrap_or_default().replace("%2F", "/");
        let is_rolled_up = value("delimiter").is_some();
        let shown = |key: &str| match key.split_once('/') {
            Some((folder, _)) if is_rolled_up => format!("{folder}/"),
            _ => key.to_owned(),
        };
        let mut shown: Vec<String> = keys.iter().map(|key| shown(key)).collect();
        shown.dedup();
        let left: Vec<String> = shown.into_iter().filter(|key| *key > marker).collect();
        let entry = |key: &String| match key.ends_with('/') {
            true => format!("<CommonPrefixes><Prefix>{key}</Prefix></CommonPrefixes>"),
            false => format!(
                "<Contents><Key>{key}</Key><Size>1</Size>\
                 <LastModified>2026-01-01T00:00:00Z</LastModified></Contents>"
            ),
        };
        let entries: String = left.iter().take(2).map(entry).collect();
        let truncated = left.len() > 2;
        let page = format!(
            "<ListBucketResult><Marker>{marker}</Marker>\
             <IsTruncated>{truncated}</IsTruncated>{entries}</ListBucketResult>"
        );
        ("200 OK", String::new(), page)
    })
}

#[tokio::test]
async fn list_v1_pages_follow_markers() {
    let endpoint = Some(first_version_only(&["a", "b", "c/1", "c/2", "d/1", "e"]));
    let keys = S3Credentials {
        access_key_id: "id".into(),
        secret_access_key: "secret".into(),
        session_token: None,
    };
    let store =
        S3Store::connect(S3Config { endpoint, credentials: Some(keys), ..S3Config::default() })
            .await
            .unwrap();
    let bucket = BucketName::new("bucket").unwrap();
    let list = async |delimiter: Option<&str>, start_after: Option<&str>| {
        let (mut listed, mut continuation) = (Vec::new(), None);
        loop {
            let request = ListRequest {
                delimiter: delimiter.map(str::to_owned),
                start_after: start_after.map(str::to_owned),
                continuation,
                ..ListRequest::default()
            };
            let page = store.list(&bucket, &request).await.unwrap();
            listed.extend(page.objects.into_iter().map(|object| object.key.to_string()));
            listed.extend(page.common_prefixes);
            continuation = page.continuation;
            if continuation.is_none() {
                return listed;
            }
        }
    };
    assert_eq!(list(None, None).await, ["a", "b", "c/1", "c/2", "d/1", "e"]);
    assert_eq!(list(Some("/"), None).await, ["a", "b", "c/", "d/", "e"]);
    assert_eq!(list(None, Some("a")).await, ["b", "c/1", "c/2", "d/1", "e"]);
    assert_eq!(list(None, Some("c/1")).await, ["c/2", "d/1", "e"]);
    assert_eq!(list(Some("/"), Some("c/1")).await, ["d/", "e"]);
}
