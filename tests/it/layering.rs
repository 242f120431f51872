//! The dependency rule of docs/architecture.md: who may know whom, by the `use` lines.
use std::path::Path;

/// A room of `src/` and the rooms it may name.
const ROOMS: [(&str, &[&str]); 6] = [
    ("domain", &[]),
    ("storage", &["domain"]),
    ("cache", &["domain"]),
    ("service", &["domain", "storage", "cache"]),
    ("cli", &["service", "domain", "storage", "wiring"]),
    ("wiring", &["service", "domain", "storage", "cache"]),
];

/// Names of `storage` and `cache` that only wiring may use: the adapters.
const ADAPTERS: [&str; 8] =
    ["S3Store", "S3Config", "DirStore", "MemoryStore", "S3Credentials", "WorkingCopies", "MemoryCache", "FolderCache"];

/// Every source file below `src/`, with its path from there and its text without tests.
pub(crate) fn files(below: &Path) -> Vec<(String, String)> {
    let entries = walkdir::WalkDir::new(below).sort_by_file_name().into_iter().map(Result::unwrap);
    let sources = entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "rs"));
    sources
        .map(|entry| {
            let text = std::fs::read_to_string(entry.path()).unwrap();
            let code = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default();
            let code: Vec<&str> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
            (entry.path().strip_prefix(below).unwrap().to_string_lossy().into_owned(), code.join("\n"))
        })
        .collect()
}

/// The rooms that a text names by `crate::…`.
fn named(code: &str) -> Vec<&str> {
    let after = code.split("crate::").skip(1);
    after.map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()).collect()
}

fn offences(files: &[(String, String)]) -> Vec<String> {
    let mut offences = Vec::new();
    for (path, code) in files {
        let room = path.split(['/', '.']).next().unwrap_or_default();
        let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else { continue };
        for name in named(code) {
            let other_room = ROOMS.iter().any(|(known, _)| *known == name) && name != room;
            if other_room && !allowed.contains(&name) {
                offences.push(format!("{path} names {name}"));
            }
        }
        if !matches!(room, "wiring" | "storage" | "cache") {
            let words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
            offences.extend(words.filter(|word| ADAPTERS.contains(word)).map(|word| format!("{path} names {word}")));
        }
        let drop_in = path.starts_with("cli/xdelta3/");
        if code.contains("deltaglider_vcdiff") && !matches!(room, "service" | "cache") && !drop_in {
            offences.push(format!("{path} names the codec"));
        }
        if drop_in {
            let named = named(code).into_iter().filter(|name| *name != "cli");
            offences.extend(named.map(|name| format!("{path} names {name}")));
        }
        if room != "storage" && code.contains("aws_") {
            offences.push(format!("{path} names the SDK"));
        }
    }
    offences
}

#[test]
fn every_room_knows_only_the_rooms_below_it() {
    let files = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(files.len() > 50);
    assert_eq!(offences(&files), Vec::<String>::new());
}

#[test]
fn sdk_types_never_leave_their_adapter() {
    let files = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let outside: Vec<&String> = files
        .iter()
        .filter(|(path, code)| !path.starts_with("storage/s3/") && code.contains("aws_"))
        .map(|(path, _)| path)
        .collect();
    assert!(outside.is_empty(), "{outside:?}");
}

#[test]
fn the_codec_knows_nobody_and_its_two_directions_do_not_know_each_other() {
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
        for (room, other) in apart {
            assert!(!path.starts_with(room) || !named(code).contains(&other), "{path} names {other}");
        }
        for foreign in ["tokio", "async ", "deltaglider::"] {
            assert!(!code.contains(foreign), "{path} has {foreign}");
        }
    }
}

#[test]
fn a_broken_rule_is_seen() {
    let file = |path: &str, code: &str| vec![(path.to_owned(), code.to_owned())];
    assert_eq!(offences(&file("domain/key.rs", "use crate::storage::ETag;")), ["domain/key.rs names storage"]);
    assert_eq!(offences(&file("service/put.rs", "let a = DirStore::open();")), ["service/put.rs names DirStore"]);
    assert_eq!(offences(&file("cli/cp.rs", "use aws_sdk_s3::Client;")), ["cli/cp.rs names the SDK"]);
    assert_eq!(offences(&file("service/put.rs", "use crate::domain::Key;")), Vec::<String>::new());
    assert_eq!(offences(&file("cli/cp.rs", "use deltaglider_vcdiff::Source;")), ["cli/cp.rs names the codec"]);
    assert_eq!(offences(&file("cli/xdelta3/mod.rs", "use crate::service::X;")), ["cli/xdelta3/mod.rs names service"]);
    assert_eq!(offences(&file("cli/xdelta3/mod.rs", "use deltaglider_vcdiff::Source;")), Vec::<String>::new());
}
