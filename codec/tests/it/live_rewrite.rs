//! Compares `recode` and `merge` with those of the `xdelta3` 3.0.11 on PATH. Ignored by plain
//! `cargo test`; run it by name.
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::support::case::Case;
use crate::support::inputs;
use crate::support::random::Random;
use deltaglider_vcdiff::encode::DjwLevel;
use deltaglider_vcdiff::inspect::inspect;
use deltaglider_vcdiff::rewrite::{RecodeOptions, merge, recode};
use deltaglider_vcdiff::{
    DecodeLimits, DecodeOptions, EncodeOptions, Level, Secondary, decode, encode,
};

struct WorkDir(PathBuf);

impl WorkDir {
    fn new(name: &str) -> Self {
        let dir =
            std::env::temp_dir().join(format!("vcdiff-rewrite-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    /// Writes the files and returns the output of xdelta3, whose arguments refer to them by name.
    fn xdelta3(&self, arguments: &[&str], files: &[(&str, &[u8])]) -> Vec<u8> {
        files.iter().for_each(|(name, bytes)| fs::write(self.0.join(name), bytes).unwrap());
        let mut command = Command::new("xdelta3");
        command.env_remove("XDELTA").args(arguments).arg("out").current_dir(&self.0);
        assert!(command.status().expect("xdelta3 is on PATH").success(), "{arguments:?}");
        fs::read(self.0.join("out")).unwrap()
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const SECONDARIES: [(&str, Secondary); 4] = [
    ("none", Secondary::None),
    ("lzma", Secondary::Lzma),
    ("djw", Secondary::Djw(DjwLevel::DEFAULT)),
    ("djw9", Secondary::Djw(DjwLevel::BEST)),
];

/// Returns whether a window without a copy window follows one with a copy window.
fn loses_its_copy_window(delta: &[u8]) -> bool {
    let windows = inspect(delta, &DecodeLimits::default()).unwrap();
    let with: Vec<bool> = windows.map(|window| window.unwrap().copy_window().is_some()).collect();
    with.windows(2).any(|pair| pair[0] && !pair[1])
}

#[test]
#[ignore = "needs xdelta3 3.0.11 on PATH"]
fn recoded_deltas_match_xdelta3() {
    let dir = WorkDir::new("recode");
    let (mut compared, mut broken, mut random) = (0, 0, Random::new(number_from("DGTEST_SEED", 1)));
    while compared < number_from("DGTEST_COMPARISONS", 200) {
        let case = Case::new(random.next(), false);
        let Ok(delta) = case.encode(usize::MAX) else { continue };
        let (name, secondary) = *random.pick(&SECONDARIES);
        let mut options = RecodeOptions::default();
        options.secondary = secondary;
        let theirs = dir.xdelta3(&["recode", "-f", "-S", name, "in"], &[("in", &delta)]);
        let ours = recode(&delta, &options).unwrap();
        if ours != theirs {
            // xdelta3 may write a copy window there, from an address in its memory, a different one
            // each time.
            assert!(loses_its_copy_window(&delta), "{:?} to {name}", case.arguments);
            let mut direct = case.clone();
            direct.options.secondary = secondary;
            assert!(ours == direct.encode(usize::MAX).unwrap());
            broken += 1;
        }
        compared += 1;
    }
    println!(
        "{compared} comparisons, 0 differences; {broken} of them with encoding, since xdelta3 breaks \
         the delta"
    );
}

#[test]
#[ignore = "needs xdelta3 3.0.11 on PATH"]
fn merged_deltas_match_xdelta3() {
    let dir = WorkDir::new("merge");
    let (mut compared, mut differences, mut random) =
        (0, 0, Random::new(number_from("DGTEST_SEED", 1)));
    while compared < number_from("DGTEST_COMPARISONS", 200) {
        let versions = random.within(3, 5);
        let len = random.length(60_000);
        let mut files = vec![inputs::bytes(&mut random, len)];
        for _ in 1..versions {
            files.push(inputs::edited(&mut random, files.last().unwrap()));
        }
        let mut options = EncodeOptions::at_level(Level::new(random.below(10) as u8).unwrap());
        options.secondary = SECONDARIES[random.below(4)].1;
        if random.once_in(2) {
            options.window = 1 << 14;
        }
        let deltas: Vec<Vec<u8>> = files
            .windows(2)
            .map(|pair| encode(Some(&pair[0]), &pair[1], &options).unwrap())
            .collect();
        let names = ["d0", "d1", "d2", "d3"];
        let mut arguments = vec!["merge", "-f"];
        let (name, secondary) = *random.pick(&SECONDARIES);
        arguments.extend(["-S", name]);
        let (last, before) = names[..deltas.len()].split_last().unwrap();
        before.iter().for_each(|name| arguments.extend(["-m", name]));
        arguments.push(last);
        let on_disk: Vec<(&str, &[u8])> =
            names.into_iter().zip(deltas.iter().map(Vec::as_slice)).collect();
        let theirs = dir.xdelta3(&arguments, &on_disk);
        let mut options = RecodeOptions::default();
        options.secondary = secondary;
        let slices: Vec<&[u8]> = deltas.iter().map(Vec::as_slice).collect();
        let ours = merge(&slices, &options).unwrap();
        let target = decode(Some(&files[0]), &ours, &DecodeOptions::default()).unwrap();
        assert!(target == *files.last().unwrap());
        compared += 1;
        if ours != theirs {
            differences += 1;
            let theirs_decodes =
                decode(Some(&files[0]), &theirs, &DecodeOptions::default()).is_ok();
            println!(
                "differs: {arguments:?}, {} and {} bytes, theirs right: {theirs_decodes}",
                ours.len(),
                theirs.len()
            );
        }
    }
    println!("{compared} comparisons, {differences} differences");
    assert_eq!(differences, 0);
}

fn number_from(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap())
}
