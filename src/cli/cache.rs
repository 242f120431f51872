//! `cache`: shows, verifies and cleans the caches of references.

use std::path::Path;

use serde_json::{Value, json};

use super::args::{CacheArgs, CacheCleanArgs, CacheCommand, CacheInfoArgs};
use super::confirm::confirmed;
use super::error::{Exit, Failure, warn};
use super::output::{Output, date, human};
use crate::domain::Total;
use crate::wiring::{CacheAdmin, CacheSettings, Cleared, LegacyCache, Survey, Verified, upkeep};

pub(super) fn run(
    args: CacheArgs,
    settings: CacheSettings,
    output: Output,
) -> Result<Exit, Failure> {
    let upkeep = upkeep(settings);
    match args.command {
        CacheCommand::Info(args) => info(&upkeep, &args, &output),
        CacheCommand::Verify(args) => verify(&upkeep, &args, &output),
        CacheCommand::Clean(args) if args.legacy => clean_legacy(&upkeep, &args, &output),
        CacheCommand::Clean(args) => clean(&upkeep, &args, &output),
    }
}

fn print(output: &Output, value: &Value) -> Result<(), Failure> {
    output.json(value)
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn size(bytes: u64) -> String {
    format!("{} ({bytes} bytes)", human(bytes))
}

fn info(upkeep: &CacheAdmin, args: &CacheInfoArgs, output: &Output) -> Result<Exit, Failure> {
    let survey = upkeep.survey()?;
    if args.json {
        print(output, &as_json(&survey))?;
        return Ok(Exit::Done);
    }
    for (name, value) in info_lines(&survey) {
        output.line(format!("{:<16}{value}", format!("{name}:")))?;
    }
    Ok(Exit::Done)
}

fn info_lines(survey: &Survey) -> Vec<(&'static str, String)> {
    let Survey { holdings, of_processes, .. } = survey;
    let kind = match (survey.backend, survey.shared) {
        ("filesystem", true) => "files, shared by all that have the key",
        ("filesystem", false) => "files of each process alone",
        ("memory", _) => "memory of each process",
        _ => "none",
    };
    let mut lines = vec![("Cache", kind.to_owned())];
    if let Some(folder) = &survey.folder {
        lines.push(("Folder", shown(folder)));
    }
    if let Some(limits) = survey.limits {
        lines.push(("Limit", size(limits.bytes)));
        lines.push(("Entries live", format!("{} s", limits.ttl.as_secs())));
    }
    if survey.shared {
        lines
            .push(("Entries", format!("{}, {} of them in use", holdings.entries, holdings.in_use)));
        lines.push(("Bytes", size(holdings.bytes)));
    }
    if let (Some(oldest), Some(newest)) = (holdings.oldest, holdings.newest) {
        lines.push(("Made", format!("{} to {} UTC", date(oldest), date(newest))));
    }
    for (count, name, what) in [
        (holdings.expired, "Expired", "entries past their lifetime; the next start removes them"),
        (holdings.unsound, "Invalid", "files that are not entries; `cache verify` removes them"),
    ] {
        if count > 0 {
            lines.push((name, format!("{count} {what}")));
        }
    }
    let (others, bytes) = survey.others;
    if others > 0 {
        lines.push((
            "Other keys",
            format!("{others} caches, {}; `cache clean --all` removes their entries", size(bytes)),
        ));
    }
    if of_processes.alive + of_processes.dead > 0 {
        let (alive, dead, bytes) =
            (of_processes.alive, of_processes.dead, size(of_processes.bytes));
        lines.push(("Processes", format!("{alive} alive, {dead} ended, {bytes}")));
    }
    for LegacyCache { path, files, bytes, .. } in &survey.legacy {
        let path = shown(path);
        lines.push((
            "Plain text",
            format!(
                "{path}, left by the Python tool: {files} files, {}; `cache clean --legacy` \
                 removes it",
                size(*bytes)
            ),
        ));
    }
    lines
}

fn as_json(survey: &Survey) -> Value {
    let Survey { holdings, of_processes, .. } = survey;
    let seconds = |at: Option<std::time::SystemTime>| {
        at.and_then(|at| at.duration_since(std::time::SystemTime::UNIX_EPOCH).ok())
            .map(|since| since.as_secs())
    };
    json!({
        "backend": survey.backend,
        "shared": survey.shared,
        "folder": survey.folder.as_deref().map(Path::to_string_lossy),
        "limit_bytes": survey.limits.map(|limits| limits.bytes),
        "ttl_seconds": survey.limits.map(|limits| limits.ttl.as_secs()),
        "entries": holdings.entries,
        "bytes": holdings.bytes,
        "in_use": holdings.in_use,
        "expired": holdings.expired,
        "unsound": holdings.unsound,
        "oldest": seconds(holdings.oldest),
        "newest": seconds(holdings.newest),
        "other_keys": { "caches": survey.others.0, "bytes": survey.others.1 },
        "processes": {
            "alive": of_processes.alive, "dead": of_processes.dead, "bytes": of_processes.bytes,
        },
        "legacy": legacy_as_json(&survey.legacy),
    })
}

fn legacy_as_json(legacy: &[LegacyCache]) -> Vec<Value> {
    let as_json = |cache: &LegacyCache| {
        let path = cache.path.to_string_lossy();
        json!({ "path": path, "files": cache.files, "bytes": cache.bytes })
    };
    legacy.iter().map(as_json).collect()
}

fn verify(upkeep: &CacheAdmin, args: &CacheInfoArgs, output: &Output) -> Result<Exit, Failure> {
    let verified = upkeep.verify()?;
    let shared = verified.is_some();
    let Verified { sound, expired, unsound, .. } = verified.unwrap_or_default();
    if args.json {
        let found: Vec<Value> = unsound
            .iter()
            .map(|entry| {
                let removed = entry.left.is_none();
                json!({
                    "entry": entry.name, "why": entry.why, "removed": removed, "left": entry.left,
                })
            })
            .collect();
        print(
            output,
            &json!({ "shared": shared, "sound": sound, "expired": expired, "unsound": found }),
        )?;
    } else if shared {
        for entry in &unsound {
            let done = match &entry.left {
                None => "removed".to_owned(),
                Some(error) => format!("could not be removed: {error}"),
            };
            output.line(format!("invalid: {}: {}: {done}", entry.name, entry.why))?;
        }
        output.line(format!("{sound} valid, {expired} expired, {} invalid", unsound.len()))?;
    } else {
        output.line(
            "no cache is shared; only the process that wrote an unshared entry can open it",
        )?;
    }
    Ok(if unsound.is_empty() { Exit::Done } else { Exit::Failed })
}

fn clean(upkeep: &CacheAdmin, args: &CacheCleanArgs, output: &Output) -> Result<Exit, Failure> {
    let Cleared { removed, bytes, in_use, .. } = upkeep.clean(args.all)?;
    if args.json {
        print(output, &json!({ "removed": removed, "bytes": bytes, "in_use": in_use }))?;
    } else {
        output.line(format!("{removed} removed, {}; {in_use} in use stay", size(bytes)))?;
    }
    Ok(Exit::Done)
}

fn clean_legacy(
    upkeep: &CacheAdmin,
    args: &CacheCleanArgs,
    output: &Output,
) -> Result<Exit, Failure> {
    let legacy = upkeep.legacy();
    if !args.json {
        for LegacyCache { path, files, bytes, .. } in &legacy {
            output.line(format!("{}: {files} files, {}", shown(path), size(*bytes)))?;
        }
    }
    let (mut removed, mut failed) = (Vec::new(), Vec::new());
    if !legacy.is_empty() && (args.yes || confirmed(&question(legacy.len()))?) {
        for cache in legacy {
            match cache.remove() {
                Ok(()) => removed.push(cache),
                Err(error) => failed.push((cache, error)),
            }
        }
    } else if !legacy.is_empty() {
        warn("nothing was removed");
        return Ok(Exit::Failed);
    }
    let bytes = Total::of(removed.iter().map(|cache| cache.bytes)).bytes();
    if args.json {
        let left = failed.iter().map(|(cache, error)| {
            json!({ "path": cache.path.to_string_lossy(), "why": error.to_string() })
        });
        let left: Vec<Value> = left.collect();
        print(
            output,
            &json!({ "removed": legacy_as_json(&removed), "bytes": bytes, "left": left }),
        )?;
    } else {
        output.line(format!("{} removed, {}", removed.len(), size(bytes)))?;
    }
    for (cache, error) in &failed {
        warn(&format!("{} could not be removed: {error}", shown(&cache.path)));
    }
    Ok(if failed.is_empty() { Exit::Done } else { Exit::Failed })
}

fn question(folders: usize) -> String {
    format!("Remove these {folders} directories? The Python tool must not run at the same time.")
}
