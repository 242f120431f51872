//! `stats` on the real binary: what each way of counting says, and when an earlier result is told.

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

/// What was counted, without how.
fn figures(stats: &Value) -> Value {
    let mut stats = stats.clone();
    let object = stats.as_object_mut().unwrap();
    object.remove("cached");
    object.remove("mode");
    stats
}

#[test]
fn quick_figures_leave_open_what_a_listing_does_not_tell() {
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
        .says("Original size:      unknown: --sampled or --detailed");
}

#[test]
fn a_sample_of_all_deltas_is_exact() {
    let sandbox = releases();
    let (sampled, detailed) = (stats(&sandbox, &["--sampled"]), stats(&sandbox, &["--detailed"]));
    assert_eq!(figures(&sampled), figures(&detailed));
    assert_eq!(sampled["total_size_error"], 0);
    assert_eq!(sampled["mode"], "sampled");
}

#[test]
fn an_earlier_result_is_told_only_while_the_bucket_is_unchanged_and_never_counts_itself() {
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
        let told = stats(&sandbox, &[mode]);
        assert_eq!(
            (figures(&told), &told["cached"]),
            (figures(&first), &Value::Bool(true)),
            "{mode}"
        );
        assert_eq!(stats(&sandbox, &[mode, "--refresh"])["cached"], false);
    }
    assert_eq!(stats(&sandbox, &["--quick"])["cached"], false);
    // The same size in the same place is another object.
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
    // What is no result is not believed.
    sandbox.store().foreign(".deltaglider/stats/detailed.json", b"{\"version\":1}");
    assert_eq!(stats(&sandbox, &[]), changed);
    assert!(!sandbox.run(["ls", "-r", "s3://buc"]).succeeds().out.contains("stats"));
    sandbox.run(["rm", "-r", "s3://buc"]).succeeds();
    sandbox.run(["rb", "s3://buc"]).succeeds();
}

#[test]
fn a_part_of_a_bucket_is_counted_and_not_kept() {
    let sandbox = releases();
    let before = sandbox.store().keys();
    sandbox.run(["stats", "s3://buc/rel/"]).succeeds().says("Statistics of s3://buc/rel/\n");
    assert_eq!(sandbox.store().keys(), before);
}

#[test]
fn what_makes_no_sense_or_is_not_there_is_an_error_whatever_the_way_of_counting() {
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
