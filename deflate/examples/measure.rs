//! Takes gzip files, zip files and bare deflate streams apart and rebuilds them:
//! `measure [--table] FILE...`.
//!
//! A line has the streams, those rebuilt wrong, those kept as they are, the most frequent rule, the
//! bytes of corrections (or of the token form, where that is smaller), and the plain MB rebuilt in
//! a CPU second.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use deltaglider_deflate::archive::Scan;
use deltaglider_deflate::{
    BitWriter, Corrections, Limits, Method, Segment, TokenForm, corrections, detect, rebuild,
    segments,
};

/// Returns the CPU time of this thread in seconds.
fn now() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

#[derive(Default)]
struct Total {
    streams: usize,
    wrong: usize,
    kept: usize,
    predicted: usize,
    text: usize,
    corrections: usize,
    parsing: f64,
    detecting: f64,
    making: f64,
    rebuilding: f64,
    rules: Vec<String>,
    last: Option<Method>,
}

impl Total {
    fn archive(&mut self, file: &[u8]) {
        let limits = Limits::default();
        let mut scan = Scan::new(file, &limits).unwrap();
        if scan.format().is_none() {
            self.stream(file);
            return;
        }
        while let Some(start) = scan.next(file).unwrap() {
            let bytes = &file[start.offset as usize..start.end as usize];
            if let Some(len) = self.stream(bytes) {
                scan.end_stream(start.offset + len);
            }
        }
    }

    fn stream(&mut self, bytes: &[u8]) -> Option<u64> {
        self.streams += 1;
        let started = now();
        let Ok((segments, len)) = segments(bytes, &Limits::default()) else {
            self.kept += 1;
            return None;
        };
        self.parsing += now() - started;
        self.text += segments.iter().map(|segment| segment.text().len()).sum::<usize>();
        let started = now();
        let likely: Vec<Method> = self.last.into_iter().collect();
        let (method, _) = detect(&segments[0], &likely).unwrap();
        self.last = Some(method);
        self.detecting += now() - started;
        let started = now();
        let made: Vec<_> = segments.iter().map(|segment| corrections(method, segment)).collect();
        self.making += now() - started;
        let size: usize = made.iter().map(|made| made.to_bytes().len()).sum();
        let limit = len as usize / 10;
        let rebuilt = if size > limit {
            self.by_tokens(&segments)
        } else {
            self.by_rule(method, &segments, &made)
        };
        self.wrong += usize::from(rebuilt != bytes[..len as usize]);
        Some(len)
    }

    fn by_rule(&mut self, method: Method, segments: &[Segment], made: &[Corrections]) -> Vec<u8> {
        let rule = method.rule;
        self.rules.push(format!("{:?} {} {}", rule.family(), rule.level(), rule.memory()));
        let started = now();
        let (mut bytes, mut bits) = (Vec::new(), BitWriter::at(0));
        for (segment, made) in segments.iter().zip(made) {
            let made = made.to_bytes();
            self.corrections += made.len();
            let made = Corrections::from_bytes(&made).unwrap();
            rebuild(method, &segment.span(), &made, segment.last, &mut bits).unwrap();
            bytes.extend(bits.take());
        }
        bytes.extend(bits.finish());
        self.predicted += usize::from(made.iter().all(Corrections::is_empty));
        self.rebuilding += now() - started;
        bytes
    }

    fn by_tokens(&mut self, segments: &[Segment]) -> Vec<u8> {
        self.rules.push("tokens".to_owned());
        let forms: Vec<TokenForm> = segments.iter().map(TokenForm::of).collect();
        let started = now();
        let (mut bytes, mut bits) = (Vec::new(), BitWriter::at(0));
        for (segment, form) in segments.iter().zip(&forms) {
            self.corrections += form.matches.len() + form.literals.len() + form.blocks.len();
            form.rebuild(segment.last, &mut bits).unwrap();
            bytes.extend(bits.take());
        }
        bytes.extend(bits.finish());
        self.rebuilding += now() - started;
        bytes
    }

    fn rule(&self) -> String {
        let mut rules = self.rules.clone();
        rules.sort();
        let groups = rules.chunk_by(|a, b| a == b);
        groups.max_by_key(|group| group.len()).map_or("-".to_owned(), |group| group[0].clone())
    }
}

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let table = arguments.first().is_some_and(|argument| argument == "--table");
    for path in arguments.drain(usize::from(table)..) {
        let mut total = Total::default();
        total.archive(&std::fs::read(&path).unwrap());
        let rate = |seconds: f64| total.text as f64 / 1e6 / seconds.max(1e-9);
        let Total { streams, wrong, kept, predicted, corrections, .. } = total;
        if table {
            let rebuilt = rate(total.rebuilding);
            println!("{streams}\t{wrong}\t{kept}\t{}\t{corrections}\t{rebuilt:.1}", total.rule());
            continue;
        }
        println!(
            "{path}: {streams} streams, {wrong} wrong, {kept} kept, {predicted} predicted whole, \
             {}, {corrections} bytes; parse {:.0}, detect {:.0}, make {:.1}, rebuild {:.1} MB/s",
            total.rule(),
            rate(total.parsing),
            rate(total.detecting),
            rate(total.making),
            rate(total.rebuilding),
        );
    }
}
