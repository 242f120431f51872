//! Operations on two buckets and a folder; numbers of names and contents wrap around.

use deltaglider::service::Compare;
use proptest::prelude::*;

use crate::support::{edited, noise, text};

/// The names of files: of both kinds, in folders, in version folders, names that no header can
/// hold, and names of deltas.
pub(crate) const NAMES: [&str; 16] = [
    "a.zip",
    "b.zip",
    "a.zip.delta",
    "notes.txt",
    "app-1.zip",
    "rel/app-1.zip",
    "rel/app-2.zip",
    "rel/app-1.zip.delta",
    "rel/notes.txt",
    "rel/1.0/app.zip",
    "rel/1.1/app.zip",
    "rel/1.1/notes.txt",
    "rel/x.tar.gz",
    "rel10/a.zip",
    "日本/a.zip",
    "rel/日本/app.zip",
];

/// The names of our own objects; files with these names need escaped keys.
pub(crate) const RESERVED: [&str; 4] = [
    "reference.bin",
    "rel/reference.bin",
    ".deltaglider/a.zip",
    "rel/1.0/.deltaglider/references/a.zip",
];

/// The number of those names that other tools do not know to be ours.
pub(crate) const UNGUARDED: usize = 2;

const FOLDERS: [&str; 7] = ["", "rel", "rel/1.0", "rel/1.1", "日本", "rel10", "none"];

pub(crate) const PREFIXES: [&str; 13] = [
    "",
    "rel",
    "rel/",
    "rel/1",
    "a",
    "a.zip",
    "app-",
    "日本/",
    "none",
    ".del",
    ".deltaglider/",
    "rel/ref",
    "rel/1.0/.deltaglider/r",
];

/// A name in one of the two buckets: true for the second bucket, and the number of the name.
pub(crate) type Place = (bool, usize);

#[derive(Debug, Clone)]
pub(crate) enum Op {
    Put {
        at: Place,
        content: usize,
        delta: bool,
    },
    PutReserved {
        at: Place,
        content: usize,
    },
    Delete {
        at: Place,
    },
    DeleteAll {
        bucket: bool,
        prefix: usize,
    },
    Copy {
        from: Place,
        to: Place,
        delta: bool,
    },
    CopyToReserved {
        from: Place,
        to: Place,
    },
    Move {
        from: Place,
        to: Place,
    },
    SyncUp {
        to: Place,
        compare: Compare,
        remove: bool,
    },
    SyncDown {
        from: Place,
        compare: Compare,
        remove: bool,
    },
    SyncAcross {
        from: Place,
        to: Place,
        compare: Compare,
        remove: bool,
    },
    Migrate {
        from: Place,
        to: Place,
    },
    Rebase {
        at: Place,
    },
    Repair {
        bucket: bool,
    },
    WriteLocal {
        name: usize,
        content: usize,
        days: u64,
    },
    RemoveLocal {
        name: usize,
    },
    /// A plain object at a name.
    ForeignPut {
        at: Place,
        content: usize,
    },
    /// A copy of the stored object of a file to the key of another file in the same bucket.
    ForeignCopy {
        from: Place,
        to: usize,
    },
    /// The removal of one stored object of a file.
    ForeignDelete {
        at: Place,
    },
    /// A file stored as the Python tool does.
    PythonPut {
        at: Place,
        content: usize,
    },
    Pass {
        minutes: u64,
    },
}

/// An operation of one of two processes.
#[derive(Debug, Clone)]
pub(crate) struct Act {
    pub(crate) by: bool,
    pub(crate) op: Op,
}

/// Returns numbers that often recur, and now and then any other.
fn number() -> impl Strategy<Value = usize> {
    prop_oneof![3 => 0..4_usize, 1 => 0..64_usize]
}

fn place() -> impl Strategy<Value = Place> {
    (prop::bool::weighted(0.3), number())
}

fn compare() -> impl Strategy<Value = Compare> {
    prop_oneof![
        Just(Compare::Never),
        Just(Compare::SizeAndTime),
        Just(Compare::Size),
        Just(Compare::Content)
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let content = 0..64_usize;
    let remove = any::<bool>();
    prop_oneof![
        14 => (place(), content.clone(), prop::bool::weighted(0.8))
            .prop_map(|(at, content, delta)| Op::Put { at, content, delta }),
        3 => (place(), content.clone()).prop_map(|(at, content)| Op::PutReserved { at, content }),
        4 => place().prop_map(|at| Op::Delete { at }),
        1 => (any::<bool>(), 0..64_usize)
            .prop_map(|(bucket, prefix)| Op::DeleteAll { bucket, prefix }),
        4 => (place(), place(), prop::bool::weighted(0.8))
            .prop_map(|(from, to, delta)| Op::Copy { from, to, delta }),
        1 => (place(), place()).prop_map(|(from, to)| Op::CopyToReserved { from, to }),
        3 => (place(), place()).prop_map(|(from, to)| Op::Move { from, to }),
        2 => (place(), compare(), remove)
            .prop_map(|(to, compare, remove)| Op::SyncUp { to, compare, remove }),
        2 => (place(), compare(), remove)
            .prop_map(|(from, compare, remove)| Op::SyncDown { from, compare, remove }),
        3 => (place(), place(), compare(), remove)
            .prop_map(|(from, to, compare, remove)| Op::SyncAcross { from, to, compare, remove }),
        2 => (place(), place()).prop_map(|(from, to)| Op::Migrate { from, to }),
        2 => place().prop_map(|at| Op::Rebase { at }),
        3 => any::<bool>().prop_map(|bucket| Op::Repair { bucket }),
        4 => (number(), content.clone(), 0..40_u64)
            .prop_map(|(name, content, days)| Op::WriteLocal { name, content, days }),
        1 => number().prop_map(|name| Op::RemoveLocal { name }),
        4 => (place(), content.clone()).prop_map(|(at, content)| Op::ForeignPut { at, content }),
        3 => (place(), number()).prop_map(|(from, to)| Op::ForeignCopy { from, to }),
        2 => place().prop_map(|at| Op::ForeignDelete { at }),
        4 => (place(), content).prop_map(|(at, content)| Op::PythonPut { at, content }),
        3 => prop_oneof![Just(20), Just(60 * 24 * 8)].prop_map(|minutes| Op::Pass { minutes }),
    ]
}

/// Returns 1 to 23 acts.
pub(crate) fn acts() -> impl Strategy<Value = Vec<Act>> {
    prop::collection::vec((any::<bool>(), op()).prop_map(|(by, op)| Act { by, op }), 1..24)
}

/// Returns one of two families of versions, of unrelated files, and of files that cannot be a
/// reference: empty, short, packed.
pub(crate) fn content(n: usize) -> Vec<u8> {
    let n = n % 16;
    match n {
        0 => Vec::new(),
        1 => noise(100, 1),
        2 => [b"\x1f\x8b\x08".as_slice(), &noise(600, 2)].concat(),
        3 => noise(900, 3),
        4 => noise(400, 4),
        5..11 => edited(&noise(2_400, 5), n as u64),
        // References of this family are stored packed.
        _ => edited(&text(1_200, 6), n as u64),
    }
}

pub(crate) fn name(n: usize) -> &'static str {
    wrapped(&NAMES, n)
}

pub(crate) fn reserved(n: usize) -> &'static str {
    wrapped(&RESERVED, n)
}

/// Returns a name that another tool may write to: it does not know that some are ours.
pub(crate) fn unguarded(n: usize) -> &'static str {
    let n = n % (NAMES.len() + UNGUARDED);
    NAMES.get(n).copied().unwrap_or_else(|| reserved(n - NAMES.len()))
}

pub(crate) fn folder(n: usize) -> &'static str {
    wrapped(&FOLDERS, n)
}

pub(crate) fn prefix(n: usize) -> &'static str {
    wrapped(&PREFIXES, n)
}

fn wrapped(words: &[&'static str], n: usize) -> &'static str {
    words[n % words.len()]
}
