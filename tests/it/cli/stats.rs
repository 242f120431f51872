//! `stats` on the real binary: the modes of counting, and the use of stored results.

use crate::support::{Sandbox, edited, noise};
use serde_json::Value;

fn releases() -> Sandbox {
    let sandbox = Sandbox::new();
    let base = noise(20_000, 1);
    sandbox.put("rel/a-1.zip", &base).succeeds();
    sandbox.put("rel/a-2.zip", &edited(&base, 1)).succeeds();
    sandbox.put("note.txt", b"note").succeeds();
    sandbox
}

fn stats(sandbox: &Sandbox, options: &[&str]) -> Value {
    let arguments = ["stats", "buc", "--json"].iter().chain(options);
    serde_json::from_str(&sandbox.run(arguments).succeeds().out).unwrap()
}

/// Returns the figures without the way they were counted.
fn figures(stats: &Value) -> Value {
    let mut stats = stats.clone();
    let object = stats.as_object_mut().unwrap();
    object.remove("cached");
    object.remove("mode");
    stats
}

#[test]
fn quick_stats_know_no_sizes() {
    let sandbox = releases();
    let quick = stats(&sandbox, &["--quick"]);
    for (field, expected) in
        [("object_count", 3), ("delta_objects", 2), ("direct_objects", 1), ("reference_objects", 1)]
    {
        assert_eq!(quick[field], expected, "{field}: {quick}");
    }
    for field in ["total_size", "space_saved", "average_compression_ratio"] {
        assert_eq!(quick[field], Value::Null, "{field}: {quick}");
    }
    assert_eq!(quick["compressed_size"], stats(&sandbox, &[])["compressed_size"]);
    sandbox
        .run(["stats", "--quick", "buc"])
        .succeeds()
        .says("Original size:      unknown; pass --sampled or --detailed");
}

#[test]
fn full_sample_is_exact() {
    let sandbox = releases();
    let (sampled, detailed) = (stats(&sandbox, &["--sampled"]), stats(&sandbox, &["--detailed"]));
    assert_eq!(figures(&sampled), figures(&detailed));
    assert_eq!(sampled["total_size_error"], 0);
    assert_eq!(sampled["mode"], "sampled");
}

/// The stored result never counts itself.
#[test]
fn stats_are_cached() {
    let sandbox = releases();
    let before = sandbox.store().keys();
    let first = stats(&sandbox, &["--no-cache"]);
    assert_eq!(sandbox.store().keys(), before, "--no-cache keeps nothing");
    for mode in ["--detailed", "--sampled"] {
        let counted = stats(&sandbox, &[mode]);
        assert_eq!(
            (figures(&counted), &counted["cached"]),
            (figures(&first), &Value::Bool(false)),
            "{mode}"
        );
        let cached = stats(&sandbox, &[mode]);
        assert_eq!(
            (figures(&cached), &cached["cached"]),
            (figures(&first), &Value::Bool(true)),
            "{mode}"
        );
        assert_eq!(stats(&sandbox, &[mode, "--refresh"])["cached"], false);
    }
    assert_eq!(stats(&sandbox, &["--quick"])["cached"], false);
    // A new object of the same size under the same key is a change.
    sandbox.put("note.txt", b"nota").succeeds();
    let changed = stats(&sandbox, &[]);
    assert_eq!((figures(&changed), &changed["cached"]), (figures(&first), &Value::Bool(false)));
    assert_eq!(stats(&sandbox, &[])["cached"], true);
    sandbox.run(["rm", "s3://buc/note.txt"]).succeeds();
    let changed = stats(&sandbox, &[]);
    assert_eq!(
        (&changed["object_count"], &changed["cached"]),
        (&Value::from(2), &Value::Bool(false))
    );
    // An invalid stored result is ignored.
    sandbox.store().foreign(".deltaglider/stats/detailed.json", b"{\"version\":1}");
    assert_eq!(stats(&sandbox, &[]), changed);
    assert!(!sandbox.run(["ls", "-r", "s3://buc"]).succeeds().out.contains("stats"));
    sandbox.run(["rm", "-r", "s3://buc"]).succeeds();
    sandbox.run(["rb", "s3://buc"]).succeeds();
}

#[test]
fn prefix_stats_are_not_cached() {
    let sandbox = releases();
    let before = sandbox.store().keys();
    sandbox.run(["stats", "s3://buc/rel/"]).succeeds().says("Statistics of s3://buc/rel/\n");
    assert_eq!(sandbox.store().keys(), before);
}

#[test]
fn bad_input_fails_in_every_mode() {
    let sandbox = releases();
    for mode in ["--quick", "--sampled", "--detailed"] {
        sandbox.run(["stats", "nothing-here", mode]).fails(1, &["no such bucket", "nothing-here"]);
    }
    sandbox
        .run(["stats", "buc", "--sampled", "--detailed"])
        .fails(255, &["--sampled", "--detailed"]);
    sandbox
        .run(["stats", "buc", "--refresh", "--no-cache"])
        .fails(255, &["--refresh", "--no-cache"]);
}
