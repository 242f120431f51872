//! Scenarios whose references are stored packed.

use super::scenario::{Damage, Op, Scenario, scenario};
use crate::support::{edited, text};

/// Returns a version of a file that gzip packs to less than nine tenths.
fn version(n: u64) -> Vec<u8> {
    edited(&text(1_000, 1), n)
}

fn delta(name: &'static str, n: u64) -> Op {
    Op::Put(name, version(n))
}

fn two() -> [Op; 2] {
    [delta("a.zip", 1), delta("b.zip", 2)]
}

pub(crate) fn packed() -> Vec<Scenario> {
    // The prefix `raw/` has plain references, which copies take along.
    let plain = [
        delta("raw/a.zip", 1),
        delta("raw/b.zip", 2),
        Op::Copy("raw/b.zip", "c/b.zip"),
        Op::Copy("raw/a.zip", "c/a.zip"),
    ];
    let lost = |more: &[Op]| {
        let damages = [Damage::Remove("reference.bin"), Damage::Days(30)].map(Op::Damage);
        [two().as_slice(), more, &damages].concat()
    };
    let in_a_file = lost(&[Op::PutDirect("old/a.zip", version(1))]);
    let plain_elsewhere = lost(&[delta("raw/a.zip", 1)]);
    let nothing = [Op::Foreign("x.txt", version(0))];
    vec![
        scenario("put, the first of all, packed", &nothing, delta("a.zip", 1)),
        scenario("put, the second, beside a packed reference", &two()[..1], delta("b.zip", 2)),
        scenario("put, the file of a lost packed reference", &lost(&[]), delta("c.zip", 1)),
        scenario("delete, the only delta of a packed reference", &two()[..1], Op::Delete("a.zip")),
        scenario("get, a delta of a packed reference", &two(), Op::Read("b.zip")),
        scenario(
            "copy, to a bucket without the packed reference",
            &two(),
            Op::Copy("b.zip", "other:b.zip"),
        ),
        scenario("rebase, to a packed reference", &plain, Op::Rebase("c/b.zip")),
        scenario("rebase, the last to a packed reference", &plain[..3], Op::Rebase("c/b.zip")),
        scenario("repair, a packed reference whose content is in a file", &in_a_file, Op::Mend),
        scenario("repair, a packed reference with a plain one", &plain_elsewhere, Op::Mend),
    ]
}
