//! Deltas that xdelta3 makes of generated files; both it and the binary print, recode and merge
//! them.

use std::fmt;

use super::Room;
use crate::support::{Run, noise};

/// A generator of the same numbers for the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    /// Returns bytes of one kind: noise, text, few values, or a single value.
    fn piece(&mut self, len: usize) -> Vec<u8> {
        let seed = self.next();
        match self.below(4) {
            0 => noise(len, seed),
            1 => {
                const WORDS: [&str; 8] = [
                    "delta ",
                    "source ",
                    "window ",
                    "of ",
                    "the ",
                    "copies\n",
                    "0123456789 ",
                    "a ",
                ];
                let mut text: Vec<u8> = Vec::new();
                while text.len() < len {
                    text.extend_from_slice(self.pick(&WORDS).as_bytes());
                }
                text.truncate(len);
                text
            }
            2 => noise(len, seed).into_iter().map(|byte| byte.leading_zeros() as u8).collect(),
            _ => vec![seed as u8; len],
        }
    }

    fn file(&mut self) -> Vec<u8> {
        let most = [0, 20, 3_000, 40_000, 200_000][self.below(5)];
        let len = self.below(most + 1);
        let mut file = Vec::new();
        while file.len() < len {
            let piece = 1 + self.below(len - file.len());
            file.append(&mut self.piece(piece));
        }
        file
    }

    /// Returns the next version of a file.
    fn edited(&mut self, file: &[u8]) -> Vec<u8> {
        let mut next = file.to_vec();
        for _ in 0..self.below(6) {
            let at = self.below(next.len() + 1);
            let end = at + self.below((next.len() - at).min(20_000) + 1);
            let most = [9, 300, 30_000][self.below(3)];
            let len = self.below(most);
            let instead = match self.below(4) {
                0 => Vec::new(),
                1 => next[at..end].repeat(2),
                2 => next[at..end].iter().map(|byte| byte ^ 1).collect(),
                _ => self.piece(len),
            };
            next.splice(at..end, instead);
        }
        next
    }

    /// Returns the flags of an encoding.
    fn flags(&mut self) -> String {
        let mut flags = format!("-{}", self.below(10));
        flags += self.pick(&["", " -W 16384", " -W 20000 -B 524288"]);
        flags += self.pick(&["", "", "", " -n", " -N"]);
        flags += self.pick(&["", "", " -A=", " -A=of_one's_own", " -A=t//s/"]);
        let secondary = self.secondary();
        format!("{flags} -S {secondary}")
    }

    fn secondary(&mut self) -> &'static str {
        self.pick(&["none", "lzma", "djw", "djw0", "djw1", "djw5", "djw9", "fgk"])
    }
}

/// The numbers of comparisons, and the cases in which xdelta3 itself fails.
#[derive(Default)]
pub(super) struct Figures {
    pub(super) deltas: usize,
    pub(super) printed: usize,
    pub(super) recoded: usize,
    pub(super) merged: usize,
    pub(super) broken: Vec<String>,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { deltas, printed, recoded, merged, broken } = self;
        for case in broken {
            writeln!(f, "broken by xdelta3: {case}")?;
        }
        write!(
            f,
            "{deltas} deltas: {printed} texts, {recoded} recoded and {merged} merged deltas \
             compared, 0 differences; {} more are broken by xdelta3 itself",
            broken.len()
        )
    }
}

/// A chain of versions `v0`, `v1`, … with the deltas `d1`, `d2`, … between them.
struct Chain<'a> {
    room: &'a Room,
    /// The flags of each delta.
    made_by: Vec<String>,
    figures: &'a mut Figures,
}

/// Compares what both programs make of `count` deltas.
pub(super) fn compare(seed: u64, count: usize) -> Figures {
    let (room, mut random, mut figures) = (Room::new(), Random(seed), Figures::default());
    while figures.deltas < count {
        let mut file = random.file();
        room.write("v0", &file);
        let mut chain = Chain { room: &room, made_by: Vec::new(), figures: &mut figures };
        let len = (2 + random.below(2)).min(count - chain.figures.deltas);
        let mut all_readable = true;
        for index in 1..=len {
            file = if random.once_in(8) { random.file() } else { random.edited(&file) };
            room.write(&format!("v{index}"), &file);
            let flags = random.flags() + if random.once_in(8) { "" } else { " -s" };
            chain.made_by.push(flags);
            chain.make(index);
            chain.figures.deltas += 1;
            let readable = chain.prints(index);
            all_readable &= readable;
            if readable {
                for secondary in [random.secondary(), random.secondary()] {
                    chain.recodes(index, secondary);
                }
            }
        }
        if len > 1 && all_readable {
            chain.merges(random.secondary());
        }
    }
    figures
}

impl Chain<'_> {
    fn theirs(&self, line: &str) -> Run {
        Run::of(self.room.command("xdelta3").args(line.split_terminator(' ')))
    }

    fn make(&self, index: usize) {
        let line = self.encoding(index, &self.made_by[index - 1], &format!("d{index}"));
        self.theirs(&line).succeeds();
    }

    fn encoding(&self, index: usize, flags: &str, out: &str) -> String {
        let source = if flags.ends_with("-s") { format!(" v{}", index - 1) } else { String::new() };
        format!("-e -f {flags}{source} v{index} {out}")
    }

    /// Compares the printed texts and returns whether xdelta3 can read the delta; it cannot read
    /// all that it makes.
    fn prints(&mut self, index: usize) -> bool {
        let case = format!("d{index} of {:?}", self.made_by);
        let mut readable = true;
        for command in ["printdelta", "printhdr", "printhdrs"] {
            let line = format!("{command} d{index}");
            let (theirs, ours) = (self.theirs(&line), self.room.run(&line));
            if theirs.code == Some(0) {
                assert_eq!(ours.code, Some(0), "{command} {case}: {ours:?}");
                assert!(
                    theirs.stdout == ours.stdout,
                    "{command} {case}:\n{}\n{}",
                    theirs.out,
                    ours.out
                );
                self.figures.printed += 1;
                continue;
            }
            // xdelta3 cannot decode it either, and prints no less of it than we do.
            assert_eq!(
                self.theirs(&format!("{} d{index} back", self.decoding(index))).code,
                Some(1),
                "{command} {case}"
            );
            assert!(command != "printdelta" || ours.code == Some(1), "{command} {case}: {ours:?}");
            assert!(
                theirs.stdout.starts_with(&ours.stdout),
                "{command} {case}:\n{}\n{}",
                theirs.out,
                ours.out
            );
            self.figures.broken.push(format!("{command} {case}"));
            readable = false;
        }
        readable
    }

    fn recodes(&mut self, index: usize, secondary: &str) {
        let case = format!("recode -S {secondary} d{index} of {:?}", self.made_by);
        let equal = self.rewritten(&format!("recode -f -S {secondary} d{index}"), &case);
        let decoding = self.decoding(index);
        if equal == Some(true) {
            self.figures.recoded += 1;
        } else if equal == Some(false) && self.loses_its_copy_window(index) {
            // xdelta3 may write a copy window there, at an address in its memory. Ours equals a
            // delta encoded directly with these flags.
            let (flags, _) = self.made_by[index - 1].split_once(" -S ").unwrap();
            let source = if self.made_by[index - 1].ends_with(" -s") { " -s" } else { "" };
            let line = self.encoding(index, &format!("{flags} -S {secondary}{source}"), "direct");
            self.theirs(&line).succeeds();
            assert!(self.room.read("ours") == self.room.read("direct"), "{case}");
            self.figures.broken.push(case);
        } else {
            self.only_theirs_is_broken(&decoding, index, &case);
        }
    }

    /// Returns whether a window without a copy window follows one with a copy window.
    fn loses_its_copy_window(&self, index: usize) -> bool {
        let headers = self.theirs(&format!("printhdrs d{index}")).succeeds().out;
        let windows = headers.lines().filter(|line| line.starts_with("VCDIFF window indicator:"));
        let with: Vec<bool> = windows.map(|line| line.contains("VCD_SOURCE")).collect();
        with.windows(2).any(|pair| pair[0] && !pair[1])
    }

    fn merges(&mut self, secondary: &str) {
        let len = self.made_by.len();
        let before: Vec<String> = (1..len).map(|index| format!("-m d{index}")).collect();
        let case = format!("merge -S {secondary} of {:?}", self.made_by);
        let line = format!("merge -f -S {secondary} {} d{len}", before.join(" "));
        let equal = self.rewritten(&line, &case);
        if equal == Some(true) {
            self.figures.merged += 1;
        } else {
            self.only_theirs_is_broken(&self.decoding(1), len, &case);
        }
    }

    /// Returns whether both programs write the same delta; `None` if one of them fails.
    fn rewritten(&self, line: &str, case: &str) -> Option<bool> {
        for name in ["theirs", "ours"] {
            self.room.write(name, b"");
        }
        let (theirs, ours) =
            (self.theirs(&format!("{line} theirs")), self.room.run(&format!("{line} ours")));
        let both = theirs.code == Some(0) && ours.code == Some(0);
        assert!(
            ours.code == Some(0) || ours.err.contains("that cannot be decoded"),
            "{case}: {ours:?}"
        );
        both.then(|| self.room.read("theirs") == self.room.read("ours"))
    }

    /// Returns the command that decodes a delta against the source of the `first` delta.
    fn decoding(&self, first: usize) -> String {
        let with_source = self.made_by[first - 1].ends_with("-s");
        if with_source { format!("-d -f -s v{}", first - 1) } else { "-d -f".to_owned() }
    }

    fn only_theirs_is_broken(&mut self, decoding: &str, version: usize, case: &str) {
        let right = self.room.read(&format!("v{version}"));
        let gives = |delta: &str| {
            let run = self.theirs(&format!("{decoding} {delta} back"));
            run.code == Some(0) && self.room.read("back") == right
        };
        assert!(!gives("theirs"), "{case}: theirs is another one, and right");
        assert!(self.room.read("ours").is_empty() || gives("ours"), "{case}: ours is wrong");
        self.figures.broken.push(case.to_owned());
    }
}
