//! Runs the documents: README.md and docs/*.md do and show what the binary does.
//!
//! A fenced `console` block holds commands, each on a line that begins with `$ `, and under each
//! command the output it prints, standard error included. All blocks of a document run in order,
//! in one shell, in an empty directory with an empty embedded store. A command must succeed, unless
//! the next one is `echo $?`. Two marks elide output that varies:
//!
//! - a line `...` matches any number of lines, none included;
//! - `…` inside a line matches any text.
//!
//! A block that installs something, builds the project or starts containers is an `sh` block. It
//! does not run here; the line after it names the script that runs it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Run, Sandbox, without_machine_output};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A Markdown file of the project.
struct Document {
    /// The path from the root of the project.
    name: String,
    text: String,
}

impl Document {
    fn read(name: impl Into<String>) -> Self {
        let name = name.into();
        let text = fs::read_to_string(root().join(&name)).unwrap();
        Self { name, text }
    }

    /// Returns README.md and docs/*.md.
    fn all() -> Vec<Self> {
        let mut names = vec!["README.md".to_owned()];
        for entry in fs::read_dir(root().join("docs")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".md") {
                names.push(format!("docs/{name}"));
            }
        }
        names.sort();
        names.into_iter().map(Self::read).collect()
    }

    /// Returns the documents whose links are verified.
    fn linked() -> Vec<Self> {
        let others = [
            "CHANGELOG.md",
            "CONTRIBUTING.md",
            "SECURITY.md",
            "tests/README.md",
            "scripts/README.md",
        ];
        Self::all().into_iter().chain(others.map(Self::read)).collect()
    }

    /// Returns the fenced blocks.
    fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::<Block>::new();
        let mut open = None::<Block>;
        for (index, line) in self.text.lines().enumerate() {
            let fence = line.trim_start().strip_prefix("```");
            match (open.take(), fence) {
                (Some(block), Some(_)) => blocks.push(block),
                (Some(mut block), None) => {
                    block.lines.push(line.to_owned());
                    open = Some(block);
                }
                (None, Some(language)) => {
                    let language = language.trim().to_owned();
                    open = Some(Block { line: index + 1, language, lines: vec![], after: None });
                }
                (None, None) if line.trim().is_empty() => {}
                (None, None) => {
                    if let Some(block) = blocks.last_mut() {
                        block.after.get_or_insert_with(|| line.to_owned());
                    }
                }
            }
        }
        assert!(open.is_none(), "{}: a fence is not closed", self.name);
        blocks
    }

    /// Returns the commands of all `console` blocks.
    fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::<Step>::new();
        for block in self.blocks().into_iter().filter(|block| block.language == "console") {
            let mut is_continued = false;
            let mut is_first = true;
            for (index, line) in block.lines.iter().enumerate() {
                let number = block.line + index + 1;
                if is_continued {
                    let command = &mut steps.last_mut().unwrap().command;
                    command.push('\n');
                    command.push_str(line);
                    is_continued = line.ends_with('\\');
                } else if let Some(command) = line.strip_prefix("$ ") {
                    steps.push(Step { line: number, command: command.to_owned(), output: vec![] });
                    is_continued = command.ends_with('\\');
                    is_first = false;
                } else {
                    assert!(!is_first, "{}:{number}: output before the first command", self.name);
                    steps.last_mut().unwrap().output.push(line.clone());
                }
            }
        }
        steps
    }

    /// Returns text and target of each inline link outside fenced blocks.
    fn links(&self) -> Vec<(&str, &str)> {
        let mut links = Vec::new();
        let mut is_fenced = false;
        for line in self.text.lines() {
            if line.trim_start().starts_with("```") {
                is_fenced = !is_fenced;
            }
            let mut rest = if is_fenced { "" } else { line };
            while let Some((before, after)) = rest.split_once("](") {
                let Some((target, others)) = after.split_once(')') else { break };
                links.push((before.rsplit('[').next().unwrap_or_default(), target));
                rest = others;
            }
        }
        links
    }

    /// Returns the anchors of the headings, as GitHub makes them.
    fn anchors(&self) -> BTreeSet<String> {
        let headings = self.text.lines().filter(|line| line.starts_with('#'));
        headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect()
    }
}

/// A fenced block.
struct Block {
    /// The number of the line that opens it.
    line: usize,
    language: String,
    lines: Vec<String>,
    /// The first line after it that is not empty.
    after: Option<String>,
}

/// A command of a `console` block.
struct Step {
    line: usize,
    command: String,
    output: Vec<String>,
}

/// Returns the anchor of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// Runs the commands in one shell. Returns the output and the exit code of each.
fn run(sandbox: &Sandbox, steps: &[Step]) -> Vec<(String, i32)> {
    let mut script = "exec 2>&1\nend_of_step=0\n".to_owned();
    for step in steps {
        // The subshell sets `$?` to the exit code of the command before.
        script.push_str("(exit \"$end_of_step\")\n");
        script.push_str(&step.command);
        script.push_str("\nend_of_step=$?\nprintf '\\001%s\\n' \"$end_of_step\"\n");
    }
    let binary = Path::new(env!("CARGO_BIN_EXE_deltaglider"));
    let mut path = vec![binary.parent().unwrap().to_owned()];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let mut shell = sandbox.command_of(Path::new("sh"));
    shell.env("PATH", std::env::join_paths(path).unwrap()).env("LC_ALL", "C").env("TZ", "UTC");
    shell.env_remove("XDELTA");
    let run = Run::of(shell.arg("-c").arg(&script));

    let mut pieces = run.out.split('\u{1}');
    let mut output = pieces.next().unwrap().to_owned();
    let mut ends = Vec::new();
    for piece in pieces {
        let (code, next) = piece.split_once('\n').unwrap();
        ends.push((std::mem::replace(&mut output, next.to_owned()), code.parse().unwrap()));
    }
    assert_eq!(ends.len(), steps.len(), "the shell ended early: {run:?}");
    ends
}

/// Returns the lines without blanks at their ends and without empty lines at the end.
fn lines<'a>(text: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut lines: Vec<&str> = text.map(str::trim_end).collect();
    while lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    lines
}

/// Returns whether the output is the one that a block shows.
fn is_output(shown: &[&str], printed: &[&str]) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((&"...", rest)) => {
            (0..=printed.len()).any(|skipped| is_output(rest, &printed[skipped..]))
        }
        Some((line, rest)) => printed
            .split_first()
            .is_some_and(|(first, others)| is_line(line, first) && is_output(rest, others)),
    }
}

/// Returns whether a printed line is the one that a block shows.
fn is_line(shown: &str, printed: &str) -> bool {
    let parts: Vec<&str> = shown.split('…').collect();
    let [first, middle @ .., last] = parts.as_slice() else { return shown == printed };
    let Some(mut rest) = printed.strip_prefix(*first) else { return false };
    for part in middle {
        let Some(at) = rest.find(*part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(*last)
}

#[test]
fn console_blocks_show_real_output() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for document in Document::all() {
        let steps = document.steps();
        if steps.is_empty() {
            continue;
        }
        count += steps.len();
        let sandbox = Sandbox::new();
        // The documents make their buckets themselves.
        sandbox.run(["rb", "s3://buc"]).succeeds();
        let ends = run(&sandbox, &steps);
        for (index, (step, (output, code))) in steps.iter().zip(ends).enumerate() {
            let place = format!("{}:{}: {}", document.name, step.line, step.command);
            let is_shown = steps.get(index + 1).is_some_and(|next| next.command == "echo $?");
            if code != 0 && !is_shown {
                wrong.push(format!("{place}\nends with {code}:\n{output}"));
            }
            let output = without_machine_output(&output);
            let shown = lines(step.output.iter().map(String::as_str));
            if !is_output(&shown, &lines(output.lines())) {
                wrong.push(format!("{place}\nprints:\n{output}\nand not:\n{}", shown.join("\n")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(count > 0, "the documents have no console block");
}

#[test]
fn elided_output_matches_only_there() {
    let cases: [(&[&str], &[&str], bool); 12] = [
        (&[], &[], true),
        (&[], &["a"], false),
        (&["a"], &[], false),
        (&["a", "b"], &["a", "b"], true),
        (&["a", "b"], &["b", "a"], false),
        (&["..."], &[], true),
        (&["...", "b"], &["a", "a", "b"], true),
        (&["...", "b"], &["a", "b", "c"], false),
        (&["a", "..."], &["b"], false),
        (&["at … of … bytes"], &["at 7 of 9 bytes"], true),
        (&["at … of … bytes"], &["at 7 bytes"], false),
        (&["a…"], &["ab", "c"], false),
    ];
    for (shown, printed, expected) in cases {
        assert_eq!(is_output(shown, printed), expected, "{shown:?} and {printed:?}");
    }
}

/// Returns the paths in a text that begin with one of these.
fn paths_in<'a>(text: &'a str, beginnings: &[&str]) -> Vec<&'a str> {
    let is_of_path = |c: char| c.is_ascii_alphanumeric() || "./_-".contains(c);
    let words = text.split(|c: char| !is_of_path(c)).map(|word| word.trim_end_matches('.'));
    words.filter(|word| beginnings.iter().any(|beginning| word.starts_with(beginning))).collect()
}

#[test]
fn shell_blocks_name_their_script() {
    let mut wrong = Vec::new();
    for document in Document::all() {
        for block in document.blocks().into_iter().filter(|block| block.language == "sh") {
            let after = block.after.unwrap_or_default();
            let named = paths_in(&after, &["scripts/", ".ci/run", ".github/"]);
            if !named.iter().any(|path| root().join(path).is_file()) {
                wrong.push(format!("{}:{}", document.name, block.line));
            }
        }
    }
    assert!(wrong.is_empty(), "no script is named after these blocks: {wrong:?}");
}

#[test]
fn named_paths_exist() {
    let beginnings =
        ["scripts/", "src/", "tests/", "codec/", "docs/", "examples/", "fuzz/", "aead/", "stdio/"];
    let mut wrong = Vec::new();
    for document in Document::linked() {
        for path in paths_in(&document.text, &beginnings) {
            if !root().join(path).exists() {
                wrong.push(format!("{}: {path}", document.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A link whose text is a name in backticks and whose target is a Rust file cites a test.
#[test]
fn links_lead_to_files_headings_and_tests() {
    let mut wrong = Vec::new();
    for document in Document::linked() {
        let folder = Path::new(&document.name).parent().unwrap().to_owned();
        for (text, target) in document.links() {
            if target.starts_with("https://") || target.starts_with("mailto:") {
                continue;
            }
            let (path, heading) = target.split_once('#').unwrap_or((target, ""));
            let place = match path {
                "" => PathBuf::from(&document.name),
                path => folder.join(path),
            };
            let is_found = if !root().join(&place).exists() {
                false
            } else if !heading.is_empty() {
                Document::read(place.to_str().unwrap()).anchors().contains(heading)
            } else if let (Some(name), true) = (name_in_backticks(text), path.ends_with(".rs")) {
                let source = fs::read_to_string(root().join(&place)).unwrap();
                source.contains(&format!("fn {name}("))
            } else {
                true
            };
            if !is_found {
                wrong.push(format!("{}: [{text}]({target})", document.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Returns the name of a function that is all of a text but its backticks.
fn name_in_backticks(text: &str) -> Option<&str> {
    let name = text.strip_prefix('`')?.strip_suffix('`')?;
    name.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '_')).then_some(name)
}

/// Returns the long flags in a text.
fn flags_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'));
    let flags =
        words.filter(|word| word.starts_with("--") && word.len() > 2 && !word.starts_with("---"));
    flags.map(|flag| flag.trim_end_matches('-').to_owned()).collect()
}

/// Adds the flags that the help of a command and of its subcommands shows.
fn collect_flags(sandbox: &Sandbox, command: &[String], flags: &mut BTreeSet<String>) {
    let help = sandbox.run(command.iter().map(String::as_str).chain(["--help"])).succeeds().out;
    flags.extend(flags_in(&help));
    let commands = help.split("\nCommands:\n").nth(1).and_then(|rest| rest.split("\n\n").next());
    for line in commands.unwrap_or_default().lines() {
        let Some(rest) = line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')) else {
            continue;
        };
        let name = rest.split_whitespace().next().unwrap_or_default();
        if !name.is_empty() && name != "help" {
            let mut command = command.to_vec();
            command.push(name.to_owned());
            collect_flags(sandbox, &command, flags);
        }
    }
}

#[test]
fn every_flag_is_documented() {
    let mut flags = BTreeSet::new();
    collect_flags(&Sandbox::new(), &[], &mut flags);
    assert!(flags.contains("--recursive") && flags.contains("--legacy"), "{flags:?}");
    let documented = flags_in(&Document::read("docs/configuration.md").text);
    let missing: Vec<&String> = flags.difference(&documented).collect();
    assert!(missing.is_empty(), "not in docs/configuration.md: {missing:?}");
}

/// Adds the names of variables that Rust files below a directory hold as texts.
fn collect_variables(directory: &Path, variables: &mut BTreeSet<String>) {
    for entry in walkdir::WalkDir::new(directory).into_iter().map(Result::unwrap) {
        if entry.path().extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        for part in fs::read_to_string(entry.path()).unwrap().split('"') {
            let is_ours = ["DG_", "AWS_"]
                .iter()
                .any(|prefix| part.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty()));
            let is_name =
                part.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
            if is_ours && is_name {
                variables.insert(part.to_owned());
            }
        }
    }
}

#[test]
fn every_variable_is_documented() {
    let mut variables = BTreeSet::new();
    collect_variables(&root().join("src"), &mut variables);
    assert!(
        variables.contains("DG_MAX_RATIO") && variables.contains("AWS_PROFILE"),
        "{variables:?}"
    );
    let text = Document::read("docs/configuration.md").text;
    let missing: Vec<&String> =
        variables.iter().filter(|name| !text.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "not in docs/configuration.md: {missing:?}");
}
