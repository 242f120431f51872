//! Writes two versions of a generated file for comparisons and measurements, always the same ones
//! for the same length: `version_pair noise|sql BYTES OLD NEW`. `noise` has one small edit in each
//! MiB; `sql` is a dump with rows inserted, removed and changed.
#![allow(clippy::unwrap_used, missing_docs)]

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};

#[path = "../tests/support/random.rs"]
#[allow(dead_code, unreachable_pub)] // shared with the tests, which use all of it
mod random;
use random::Random;

fn main() -> Result<(), Box<dyn Error>> {
    let [kind, len, old, new] = std::env::args()
        .skip(1)
        .collect::<Vec<_>>()
        .try_into()
        .map_err(|_| "noise|sql BYTES OLD NEW")?;
    let (mut old, mut new) =
        (BufWriter::new(File::create(old)?), BufWriter::new(File::create(new)?));
    match kind.as_str() {
        "noise" => noise(len.parse()?, &mut old, &mut new)?,
        "sql" => sql(len.parse()?, &mut old, &mut new)?,
        _ => return Err(format!("{kind}: noise or sql").into()),
    }
    old.flush()?;
    Ok(new.flush()?)
}

fn noise(len: u64, old: &mut impl Write, new: &mut impl Write) -> std::io::Result<()> {
    const BLOCK: u64 = 1 << 20;
    let random = &mut Random::new(1);
    let bytes = |random: &mut Random, len: usize| -> Vec<u8> {
        (0..len).map(|_| random.next() as u8).collect()
    };
    let mut left = len;
    while left > 0 {
        let mut block = bytes(random, left.min(BLOCK) as usize);
        old.write_all(&block)?;
        let at = random.below(block.len());
        let end = (at + random.below(40)).min(block.len());
        let piece = random.below(40);
        let piece = bytes(random, piece);
        block.splice(at..end, piece);
        new.write_all(&block)?;
        left = left.saturating_sub(BLOCK);
    }
    Ok(())
}

fn sql(len: u64, old: &mut impl Write, new: &mut impl Write) -> std::io::Result<()> {
    let random = &mut Random::new(2);
    let mut written = 0;
    for id in 1.. {
        if written >= len {
            break;
        }
        let kept = row(random, id);
        old.write_all(kept.as_bytes())?;
        written += kept.len() as u64;
        match random.below(3000) {
            0 => {}
            1 | 2 => new.write_all(row(random, id).as_bytes())?,
            3..=5 => {
                new.write_all(kept.as_bytes())?;
                new.write_all(row(random, id + 1_000_000_000).as_bytes())?;
            }
            _ => new.write_all(kept.as_bytes())?,
        }
    }
    Ok(())
}

fn row(random: &mut Random, id: u64) -> String {
    const NAMES: [&str; 8] = ["anna", "bela", "chen", "dora", "emil", "femi", "gita", "hugo"];
    const STATES: [&str; 4] = ["open", "paid", "sent", "returned"];
    let (first, last) = (random.pick(&NAMES), random.pick(&NAMES));
    let (state, cents) = (random.pick(&STATES), random.below(1_000_000));
    let (day, second, token) = (random.within(1, 28), random.below(86_400), random.next());
    format!(
        "INSERT INTO `orders` VALUES ({id},'{first} {last}','{first}.{last}{}@example.org','2026-03-{day:02} \
         {:02}:{:02}:{:02}',{}.{:02},'{state}','{token:016x}',NULL);\n",
        random.below(1000),
        second / 3600,
        second / 60 % 60,
        second % 60,
        cents / 100,
        cents % 100,
    )
}
