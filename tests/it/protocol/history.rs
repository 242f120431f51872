//! The reader of `scripts/check-history`: a process that repeatedly reads the bytes and the
//! metadata of a name together.

use std::io::{BufRead as _, Write as _};

use deltaglider::cache::WorkingCopies;
use deltaglider::domain::policy::Policy;
use deltaglider::domain::{S3Uri, Sha256Digest};
use deltaglider::service::{DeltaService, GetOptions, Settings};
use deltaglider::wiring::Connection;

/// Answers each URI on standard input with one line: `absent`, `error WHY`, or the file's SHA-256
/// and the `n` of its metadata.
#[test]
#[ignore = "serves scripts/check-history"]
fn history_reader() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let service = runtime.block_on(async {
        let store = Connection::default().store().await.unwrap();
        let folder = std::env::temp_dir();
        let settings = Settings { policy: Policy::default(), spool_dir: folder.clone() };
        DeltaService::new(store, std::sync::Arc::new(WorkingCopies::new(folder)), settings)
    });
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        let object = line.unwrap().parse::<S3Uri>().unwrap().object().unwrap();
        match runtime.block_on(service.get(&object, Vec::new(), &GetOptions::default())) {
            Ok((bytes, report)) => {
                let n = report.attributes.metadata.get("n").map_or("-", String::as_str);
                println!("answer {} {n}", Sha256Digest::of(&bytes));
            }
            Err(error) if error.is_absent() => println!("answer absent"),
            Err(error) => {
                println!("answer error {}", deltaglider::service::chain(&error).replace('\n', " "))
            }
        }
        std::io::stdout().flush().unwrap();
    }
}
