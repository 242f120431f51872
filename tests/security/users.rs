//! Attacks of one user on another: two keys, two users of the machine, and a process that inspects
//! another.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::stage::{Binary, KEY, OTHER_KEY, entries, keep, like, need_root, read, shared};
use crate::support::{Run, noise};

/// The user ID of an unprivileged user.
const NOBODY: u32 = 65_534;

#[test]
fn other_key_finds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let content = noise(1000, 1);
    drop(keep(&shared(folder.path(), KEY), &content));
    assert_eq!(read(&shared(folder.path(), OTHER_KEY), &content), None);
}

/// An entry sealed under another key is rejected in the place of one's own.
#[test]
fn foreign_key_entry_is_rejected() {
    let (theirs, ours) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let content = noise(1000, 1);
    drop(keep(&shared(theirs.path(), OTHER_KEY), &content));
    drop(keep(&shared(ours.path(), KEY), &content));
    let place = entries(ours.path()).remove(0);
    fs::rename(entries(theirs.path()).remove(0), &place).unwrap();
    assert_eq!(read(&shared(ours.path(), KEY), &content), None);
}

/// Runs a script as the unprivileged user.
fn as_nobody(script: &str) -> Run {
    Run::of(Command::new("sh").args(["-c", script]).uid(NOBODY).gid(NOBODY).current_dir("/"))
}

#[test]
#[ignore = "needs root and a second user: run by scripts/attack-cache"]
fn other_user_cannot_open_entries() {
    need_root();
    let binary = Binary::new();
    // The directories above are open, so that only the cache's own modes keep other users out. With
    // umask 0 these modes are not restricted further.
    let above = binary.sandbox.work();
    for path in [above.parent().unwrap(), above.as_path()] {
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }
    fs::create_dir(binary.cache()).unwrap();
    fs::set_permissions(binary.cache(), Permissions::from_mode(0o755)).unwrap();
    Run::of(&mut binary.script("umask 0; \"$DG\" cp s3://buc/a/2.zip -")).succeeds();
    let entry = entries(&binary.cache()).remove(0);
    let tried = as_nobody(&format!(
        "cat '{}' | wc -c; ls -R '{}'",
        entry.display(),
        binary.cache().display()
    ));
    assert!(tried.out.starts_with("0\n"), "{tried:?}");
    assert!(!tried.out.contains("entries"), "{tried:?}");
}

/// Waits until `look` returns a value; panics with `what` after 30 seconds.
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Starts a process that waits for its standard input.
fn waiting(command: &mut Command) -> Child {
    let child =
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let link = format!("/proc/{}/exe", child.id());
    until("it does not start", || {
        fs::read_link(&link).ok().filter(|exe| exe.ends_with("deltaglider"))
    });
    // Waits until the process has protected itself, which it does before it reads its environment.
    std::thread::sleep(Duration::from_millis(300));
    child
}

#[test]
fn killed_process_dumps_no_core() {
    let binary = Binary::new();
    let mut command = binary.script("ulimit -c unlimited; exec \"$DG\" cp - s3://buc/b.zip");
    let mut child = waiting(&mut command);
    let sent =
        Command::new("sh").args(["-c", &format!("kill -ABRT {}", child.id())]).status().unwrap();
    assert!(sent.success());
    let ended = child.wait().unwrap();
    assert_eq!(ended.signal(), Some(6));
    assert!(!ended.core_dumped());
}

/// A process of the same user can read neither environment nor memory of ours.
#[test]
#[ignore = "needs root and a second user: run by scripts/attack-cache"]
fn same_user_cannot_read_process() {
    need_root();
    let binary = Binary::new();
    let above = binary.sandbox.work();
    let program = above.parent().unwrap().join("deltaglider");
    fs::copy(env!("CARGO_BIN_EXE_deltaglider"), &program).unwrap();
    let given = Command::new("chown")
        .args(["-R", &format!("{NOBODY}:{NOBODY}")])
        .arg(above.parent().unwrap())
        .status();
    assert!(given.unwrap().success());
    let base = binary.sandbox.command();
    let mut command = like(&base, program.to_str().unwrap(), &["cp", "-", "s3://buc/b.zip"]);
    let mut child = waiting(command.uid(NOBODY).gid(NOBODY));
    let looked_at = format!("/proc/{}/environ", child.id());
    assert!(!fs::read(&looked_at).unwrap().is_empty(), "it runs, and root may read it");
    // The kernel makes root the owner of a protected process's files in /proc.
    let owner = fs::metadata(&looked_at).unwrap().uid();
    let read =
        as_nobody(&format!("cat {looked_at} | wc -c; cat /proc/{}/maps | wc -c", child.id()));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(read.out, "0\n0\n");
    assert_eq!(owner, 0);
}
