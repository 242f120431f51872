//! The dependency rule of docs/architecture.md, checked on the paths that source files name.
use std::path::Path;

/// Each module of `src/` and the modules that it may name.
const MODULES: [(&str, &[&str]); 7] = [
    ("domain", &[]),
    ("storage", &["domain"]),
    ("cache", &["domain"]),
    ("service", &["domain", "storage", "cache"]),
    ("client", &["service", "domain", "storage", "wiring"]),
    ("cli", &["service", "domain", "storage", "wiring"]),
    ("wiring", &["service", "domain", "storage", "cache"]),
];

/// The modules that every module of `service` may name.
const LEAVES: [&str; 7] = ["blocking", "clock", "error", "payload", "writers", "spool", "identity"];

/// Each module of `src/service/` below the operations, and the further modules of `service` that it
/// may name.
const SERVICE_MODULES: [(&str, &[&str]); 5] = [
    ("objects", &[]),
    ("recompress", &[]),
    ("transcode", &["recompress"]),
    ("references", &["objects", "recompress"]),
    ("plan", &["references"]),
];

/// The adapters: names of `storage` and `cache` that only `wiring` may use.
const ADAPTERS: [&str; 8] = [
    "S3Store",
    "S3Config",
    "DirStore",
    "MemoryStore",
    "S3Credentials",
    "WorkingCopies",
    "MemoryCache",
    "FolderCache",
];

/// Returns each source file below a directory: its relative path and its code without comments and
/// tests.
pub(crate) fn files(below: &Path) -> Vec<(String, String)> {
    let entries = walkdir::WalkDir::new(below).sort_by_file_name().into_iter().map(Result::unwrap);
    let sources =
        entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "rs"));
    sources
        .map(|entry| {
            let text = std::fs::read_to_string(entry.path()).unwrap();
            let code = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default();
            let code: Vec<&str> =
                code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
            (
                entry.path().strip_prefix(below).unwrap().to_string_lossy().into_owned(),
                code.join("\n"),
            )
        })
        .collect()
}

/// Returns the modules that a text names by `crate::…`.
fn named(code: &str) -> Vec<&str> {
    let after = code.split("crate::").skip(1);
    after
        .map(|rest| {
            rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
        })
        .collect()
}

/// Returns the first segment of a path, or of each path in braces.
fn listed(rest: &str) -> Vec<&str> {
    let list = rest.strip_prefix('{').and_then(|list| list.split('}').next());
    let items = list.map_or_else(|| vec![rest], |list| list.split(',').collect());
    let first = |item: &'_ str| {
        item.trim().split(|c: char| !c.is_alphanumeric() && c != '_').next().map(str::len)
    };
    items.into_iter().map(|item| &item.trim()[..first(item).unwrap_or_default()]).collect()
}

/// Returns a message for each violation of the rule.
fn offences(files: &[(String, String)]) -> Vec<String> {
    let mut offences = Vec::new();
    for (path, code) in files {
        let module = path.split(['/', '.']).next().unwrap_or_default();
        let Some((_, allowed)) = MODULES.iter().find(|(name, _)| *name == module) else { continue };
        for name in named(code) {
            let is_other = MODULES.iter().any(|(known, _)| *known == name) && name != module;
            if is_other && !allowed.contains(&name) {
                offences.push(format!("{path} names {name}"));
            }
        }
        if let Some(below) = path.strip_prefix("service/") {
            let module = below.split(['/', '.']).next().unwrap_or_default();
            if let Some((_, allowed)) = SERVICE_MODULES.iter().find(|(name, _)| *name == module) {
                // In a module's first file, `super` is `service`.
                let is_first = below.split_once('/').is_none_or(|(_, file)| file == "mod.rs");
                let code =
                    if is_first { code.replace("super::", "service::") } else { code.clone() };
                let named = code.split("service::").skip(1).flat_map(|rest| listed(rest));
                let above = named.filter(|name| {
                    *name != module && !LEAVES.contains(name) && !allowed.contains(name)
                });
                offences.extend(above.map(|name| format!("{path} names service::{name}")));
            }
        }
        // A thread that blocks on a future may hold resources that other threads wait for.
        if matches!(module, "domain" | "storage" | "cache" | "service") && code.contains("block_on")
        {
            offences.push(format!("{path} blocks on a future"));
        }
        if !matches!(module, "wiring" | "storage" | "cache") {
            let words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
            offences.extend(
                words
                    .filter(|word| ADAPTERS.contains(word))
                    .map(|word| format!("{path} names {word}")),
            );
        }
        let drop_in = path.starts_with("cli/xdelta3/");
        if code.contains("deltaglider_vcdiff") && !matches!(module, "service" | "cache") && !drop_in
        {
            offences.push(format!("{path} names the codec"));
        }
        if drop_in {
            let named = named(code).into_iter().filter(|name| *name != "cli");
            offences.extend(named.map(|name| format!("{path} names {name}")));
        }
        if module != "storage" && code.contains("aws_") {
            offences.push(format!("{path} names the SDK"));
        }
    }
    offences
}

#[test]
fn modules_name_only_lower_ones() {
    let files = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(files.len() > 50);
    assert_eq!(offences(&files), Vec::<String>::new());
}

#[test]
fn sdk_types_stay_in_adapter() {
    let files = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let outside: Vec<&String> = files
        .iter()
        .filter(|(path, code)| !path.starts_with("storage/s3/") && code.contains("aws_"))
        .map(|(path, _)| path)
        .collect();
    assert!(outside.is_empty(), "{outside:?}");
}

/// The codec uses no async code and no main crate; encoder and decoder do not name each other.
#[test]
fn codec_halves_are_independent() {
    let files = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("codec/src"));
    for (path, code) in &files {
        let apart = [
            ("encode/", "decode"),
            ("decode/", "encode"),
            ("format/", "encode"),
            ("format/", "decode"),
            ("secondary/", "encode"),
            ("secondary/", "decode"),
        ];
        for (module, other) in apart {
            assert!(
                !path.starts_with(module) || !named(code).contains(&other),
                "{path} names {other}"
            );
        }
        for foreign in ["tokio", "async ", "deltaglider::"] {
            assert!(!code.contains(foreign), "{path} has {foreign}");
        }
    }
}

#[test]
fn a_broken_rule_is_seen() {
    let file = |path: &str, code: &str| vec![(path.to_owned(), code.to_owned())];
    assert_eq!(
        offences(&file("domain/key.rs", "use crate::storage::ETag;")),
        ["domain/key.rs names storage"]
    );
    assert_eq!(
        offences(&file("service/put.rs", "let a = DirStore::open();")),
        ["service/put.rs names DirStore"]
    );
    assert_eq!(
        offences(&file("cli/cp.rs", "use aws_sdk_s3::Client;")),
        ["cli/cp.rs names the SDK"]
    );
    let upwards = "use crate::service::put::Kept;\nuse crate::service::{blocking, get::Get};";
    let names =
        ["service/objects/mod.rs names service::put", "service/objects/mod.rs names service::get"];
    assert_eq!(offences(&file("service/objects/mod.rs", upwards)), names);
    assert_eq!(
        offences(&file("service/plan.rs", "use super::put::Kept;")),
        ["service/plan.rs names service::put"]
    );
    assert_eq!(offences(&file("service/get/mod.rs", upwards)), Vec::<String>::new());
    let waits = offences(&file("service/a.rs", "runtime.block_on(fetch)"));
    assert_eq!(waits, ["service/a.rs blocks on a future"]);
    assert_eq!(offences(&file("service/put.rs", "use crate::domain::Key;")), Vec::<String>::new());
    assert_eq!(
        offences(&file("service/put.rs", "use crate::client::Body;")),
        ["service/put.rs names client"]
    );
    assert_eq!(
        offences(&file("client/put.rs", "use crate::cache::MemoryCache;")),
        ["client/put.rs names cache", "client/put.rs names MemoryCache"]
    );
    assert_eq!(
        offences(&file("cli/cp.rs", "use deltaglider_vcdiff::Source;")),
        ["cli/cp.rs names the codec"]
    );
    assert_eq!(
        offences(&file("cli/xdelta3/mod.rs", "use crate::service::X;")),
        ["cli/xdelta3/mod.rs names service"]
    );
    assert_eq!(
        offences(&file("cli/xdelta3/mod.rs", "use deltaglider_vcdiff::Source;")),
        Vec::<String>::new()
    );
}
