//! Takes deflate streams apart, rebuilds them and prints what that took: `measure FILE...`.
//!
//! A file is a gzip file of one member or a bare stream. A line has the rule, the bytes of the
//! corrections, whether the rebuilt stream is the same, and plain MB per CPU second.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use deltaglider_deflate::archive::gzip;
use deltaglider_deflate::{BitWriter, Corrections, Limits, corrections, detect, rebuild, segments};

/// Returns the CPU time of this thread in seconds.
fn now() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

/// Returns the deflate stream of a gzip file with a name or none, or the file itself.
fn stream(file: &[u8]) -> &[u8] {
    match gzip::header_len(file) {
        Some(len) => &file[len..],
        None => file,
    }
}

fn main() {
    for path in std::env::args().skip(1) {
        let file = std::fs::read(&path).unwrap();
        measure(&path, stream(&file));
    }
}

fn measure(path: &str, stream: &[u8]) {
    let started = now();
    let (segments, len) = segments(stream, &Limits::default()).unwrap();
    let parsing = now() - started;
    let text: usize = segments.iter().map(|segment| segment.text().len()).sum();
    let started = now();
    let (method, _) = detect(&segments[0], &[]).unwrap();
    let detecting = now() - started;
    let started = now();
    let made: Vec<_> = segments.iter().map(|segment| corrections(method, segment)).collect();
    let making = now() - started;
    let started = now();
    let mut rebuilt = Vec::new();
    let mut bits = BitWriter::at(0);
    for (segment, made) in segments.iter().zip(&made) {
        let made = Corrections::from_bytes(&made.to_bytes()).unwrap();
        rebuild(method, &segment.span(), &made, segment.last, &mut bits).unwrap();
        rebuilt.extend(bits.take());
    }
    rebuilt.extend(bits.finish());
    let rebuilding = now() - started;
    let same = rebuilt == stream[..len as usize];
    let bytes: usize = made.iter().map(|made| made.to_bytes().len()).sum();
    let rate = |seconds: f64| text as f64 / 1e6 / seconds;
    println!(
        "{path}: {:?} {} of {} flush {}: {bytes} bytes, same {same}, parse {:.0}, detect {detecting:.3} s, make {:.1}, rebuild {:.1} MB/s",
        method.rule.family(),
        method.rule.level(),
        method.rule.memory(),
        method.flush_every,
        rate(parsing),
        rate(making),
        rate(rebuilding)
    );
}
