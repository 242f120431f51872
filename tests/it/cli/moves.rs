//! `mv`: what was copied goes, and nothing else does.

use crate::support::{Sandbox, edited, noise};

#[test]
fn files_move_in_across_and_out() {
    let sandbox = Sandbox::new();
    let first = noise(100_000, 1);
    let second = edited(&first, 2);
    sandbox.write("rel/app-1.zip", &first);
    sandbox.write("rel/app-2.zip", &second);
    sandbox.run(["mv", "--dryrun", "rel/app-1.zip", "s3://buc/a/"]).succeeds().says("(dryrun) move: rel/app-1.zip");
    sandbox.run(["mv", "-r", "rel", "s3://buc/a/"]).succeeds().says("move: rel/app-2.zip to s3://buc/a/app-2.zip");
    assert_eq!(sandbox.files(), ["rel"]);

    sandbox.run(["mv", "s3://buc/a/app-2.zip", "s3://buc/a/new.zip"]).succeeds().says("move: ");
    assert_eq!(sandbox.store().keys(), ["a/app-1.zip.delta", "a/new.zip.delta", "a/reference.bin"]);
    sandbox.run(["mv", "-r", "s3://buc/a", "s3://buc/b"]).succeeds();
    let shown = |folder: &str| sandbox.run(["ls", &format!("s3://buc/{folder}/")]).out;
    assert_eq!((shown("a").lines().count(), shown("b").lines().count()), (0, 2));

    sandbox.run(["mv", "-r", "s3://buc/b", "out"]).succeeds();
    assert!(sandbox.read("out/app-1.zip") == first && sandbox.read("out/new.zip") == second);
    assert_eq!(shown("b"), "");
}

#[test]
fn what_could_not_be_copied_stays() {
    let sandbox = Sandbox::new();
    let first = noise(100_000, 1);
    sandbox.put("app-1.zip", &first).succeeds();
    sandbox.put("app-2.zip", &edited(&first, 2)).succeeds();
    sandbox.write("app-3.zip", &first);
    sandbox.run(["mv", "app-3.zip", "s3://absent/"]).fails(1, &["no such bucket"]);
    assert_eq!(sandbox.files(), ["app-3.zip"]);
    let reference = sandbox.store().read("reference.bin");
    sandbox.store().replace("reference.bin", noise(reference.len(), 3));
    let before = sandbox.store().keys();
    sandbox.run(["mv", "s3://buc/app-2.zip", "out.zip"]).fails(1, &["is damaged or was replaced"]);
    sandbox.run(["mb", "s3://other"]).succeeds();
    sandbox.run(["mv", "s3://buc/app-2.zip", "s3://other/"]).fails(1, &["is damaged or was replaced"]);
    sandbox.run(["mv", "s3://buc/app-2.zip", "-"]).fails(255, &["only whole files can be moved"]);
    assert_eq!(sandbox.store().keys(), before);
    assert_eq!(sandbox.files(), ["app-3.zip"]);
}
