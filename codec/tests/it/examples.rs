//! Runs the examples as a user would.
use std::fs;
use std::path::Path;
use std::process::Command;

fn run(example: &str, arguments: &[&Path]) -> bool {
    let mut command = Command::new(env!("CARGO"));
    command.args([
        "run",
        "--quiet",
        "--package",
        env!("CARGO_PKG_NAME"),
        "--example",
        example,
        "--",
    ]);
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success()
}

#[test]
fn examples_work() {
    let folder = std::env::temp_dir().join(format!("vcdiff-examples-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let path = |name: &str| folder.join(name);
    fs::write(path("old"), "the first version of a file".repeat(1000)).unwrap();
    let new = "the second version of a file".repeat(1100);
    fs::write(path("new"), &new).unwrap();

    assert!(run("encode", &[&path("old"), &path("new"), &path("delta")]));
    assert!(run("decode", &[&path("old"), &path("delta"), &path("again")]));
    assert_eq!(fs::read_to_string(path("again")).unwrap(), new);

    // Neither a wrong length nor a damaged delta changes the file or leaves one beside it.
    let before = fs::read(path("old")).unwrap();
    let delta = fs::read(path("delta")).unwrap();
    fs::write(path("damaged"), &delta[..delta.len() - 1]).unwrap();
    let len = new.len().to_string();
    assert!(!run("patch_in_place", &[&path("old"), &path("delta"), Path::new("7")]));
    assert!(!run("patch_in_place", &[&path("old"), &path("damaged"), Path::new(&len)]));
    assert_eq!(fs::read(path("old")).unwrap(), before);
    assert!(!path("old.new").exists());
    fs::write(path("old.new"), "another writer's").unwrap();
    assert!(!run("patch_in_place", &[&path("old"), &path("delta"), Path::new(&len)]));
    assert_eq!(fs::read_to_string(path("old.new")).unwrap(), "another writer's");
    fs::remove_file(path("old.new")).unwrap();
    assert!(run("patch_in_place", &[&path("old"), &path("delta"), Path::new(&len)]));
    assert_eq!(fs::read_to_string(path("old")).unwrap(), new);

    assert!(run("streaming", &[]));
    assert!(run("limits", &[]));
    fs::remove_dir_all(folder).unwrap();
}
