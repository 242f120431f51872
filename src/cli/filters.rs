//! `--exclude` and `--include`, as in `aws s3`: the last pattern that matches decides, and a file
//! that none matches is included.

use std::sync::Arc;

use clap::{Arg, ArgAction, ArgMatches, Command};
use glob::{MatchOptions, Pattern};

use crate::service::{Filter, Select};

/// Patterns of names relative to the source directory or prefix, in the order typed.
#[derive(Debug, Clone, Default)]
pub(super) struct Filters(Vec<Rule>);

/// A pattern and its effect.
#[derive(Debug, Clone)]
struct Rule {
    /// True for `--include`, false for `--exclude`.
    takes: bool,
    pattern: Glob,
}

/// A pattern, with the patterns of the beginnings of the names it matches.
#[derive(Debug, Clone)]
struct Glob {
    whole: Pattern,
    /// The beginnings of the pattern, up to each of its parts, each with whether more text may
    /// follow a match.
    beginnings: Vec<(Pattern, bool)>,
}

/// The options with which `*` and `?` match a `/` too.
const OPTIONS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: false,
    require_literal_leading_dot: false,
};

const EXCLUDE: &str = "exclude";
const INCLUDE: &str = "include";

impl Filters {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether a file is included.
    pub(super) fn take(&self, name: &str) -> bool {
        let decides = self.0.iter().rev().find(|rule| rule.pattern.matches(name));
        decides.is_none_or(|rule| rule.takes)
    }

    /// Returns whether any file below this directory may be included.
    fn may_take_below(&self, directory: &str) -> bool {
        let directory = format!("{directory}/");
        for rule in self.0.iter().rev() {
            if rule.takes && rule.pattern.may_match_below(&directory) {
                return true;
            }
            if !rule.takes && rule.pattern.matches_all_below(&directory) {
                return false;
            }
        }
        true
    }

    /// Returns the filter in the form that the service takes.
    pub(super) fn to_filter(&self) -> Filter {
        Arc::new(self.clone())
    }
}

impl Select for Filters {
    fn takes(&self, name: &str) -> bool {
        self.take(name)
    }

    fn may_take_below(&self, directory: &str) -> bool {
        self.may_take_below(directory)
    }
}

impl Glob {
    fn matches(&self, name: &str) -> bool {
        self.whole.matches_with(name, OPTIONS)
    }

    /// Returns whether a name that begins with `directory`, which ends with `/`, may match.
    fn may_match_below(&self, directory: &str) -> bool {
        self.beginnings
            .iter()
            .any(|(beginning, goes_on)| *goes_on && beginning.matches_with(directory, OPTIONS))
    }

    /// Returns whether every name that begins with `directory`, which ends with `/`, matches.
    fn matches_all_below(&self, directory: &str) -> bool {
        // `*` matches any text, so whatever follows a match matches too.
        self.whole.as_str().ends_with('*') && self.matches(directory)
    }
}

/// Parses a pattern. A run of `*` counts as one, as in a shell's pattern without directories.
fn pattern(text: &str) -> Result<Glob, glob::PatternError> {
    let mut one_star = String::with_capacity(text.len());
    for c in text.chars() {
        if !(c == '*' && one_star.ends_with('*') && !one_star.ends_with("[*")) {
            one_star.push(c);
        }
    }
    let whole = Pattern::new(&one_star)?;
    // A beginning that ends within `[…]` is not a pattern.
    let ends = one_star.char_indices().map(|(at, c)| at + c.len_utf8());
    let beginnings = ends.filter_map(|end| {
        let beginning = one_star.get(..end)?;
        let goes_on = end < one_star.len() || beginning.ends_with('*');
        Some((Pattern::new(beginning).ok()?, goes_on))
    });
    Ok(Glob { beginnings: beginnings.collect(), whole })
}

impl clap::Args for Filters {
    fn augment_args(command: Command) -> Command {
        let arg = |name, help| {
            Arg::new(name)
                .long(name)
                .value_name("PATTERN")
                .action(ArgAction::Append)
                .value_parser(pattern)
                .help(help)
                .help_heading("Filters")
        };
        command
            .arg(arg(
                EXCLUDE,
                "Leave out files whose name below the source matches: * any text, ? one character, \
                 [abc] one of these, [!abc] none of these; / has no special meaning. Of several \
                 --exclude and --include, the last that matches decides",
            ))
            .arg(arg(
                INCLUDE,
                "Include files that match, even if an earlier --exclude leaves them out",
            ))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Filters {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let of = |name, takes| {
            let at = matches.indices_of(name).into_iter().flatten();
            let patterns = matches.get_many::<Glob>(name).into_iter().flatten();
            at.zip(patterns)
                .map(move |(at, pattern)| (at, takes, pattern.clone()))
                .collect::<Vec<_>>()
        };
        let mut typed = of(EXCLUDE, false);
        typed.extend(of(INCLUDE, true));
        typed.sort_by_key(|(at, ..)| *at);
        Ok(Self(typed.into_iter().map(|(_, takes, pattern)| Rule { takes, pattern }).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = <Self as clap::FromArgMatches>::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Typed {
        #[command(flatten)]
        filters: Filters,
    }

    fn taken<'a>(typed: &[&str], names: &[&'a str]) -> Vec<&'a str> {
        let typed = Typed::try_parse_from(["test"].iter().chain(typed)).unwrap();
        names.iter().copied().filter(|name| typed.filters.take(name)).collect()
    }

    #[test]
    fn last_matching_pattern_decides() {
        let names = ["a.zip", "x/b.zip", "x/c.txt"];
        assert_eq!(taken(&[], &names), names);
        assert_eq!(taken(&["--exclude", "*", "--include", "*.zip"], &names), ["a.zip", "x/b.zip"]);
        assert_eq!(taken(&["--include", "*.zip", "--exclude", "*"], &names), Vec::<&str>::new());
        assert_eq!(
            taken(&["--exclude", "x/*", "--include", "*b.zip", "--exclude", "a*"], &names),
            ["x/b.zip"]
        );
        assert_eq!(taken(&["--exclude", "**/[!b].*"], &names), ["a.zip", "x/b.zip"]);
        assert_eq!(taken(&["--exclude", "?.zip"], &names), ["x/b.zip", "x/c.txt"]);
    }

    fn entered<'a>(typed: &[&str], names: &[&'a str]) -> Vec<&'a str> {
        let typed = Typed::try_parse_from(["test"].iter().chain(typed)).unwrap();
        names.iter().copied().filter(|name| typed.filters.may_take_below(name)).collect()
    }

    #[test]
    fn unreachable_dirs_are_skipped() {
        let names = ["a", "a/b", "ab", "lost+found"];
        assert_eq!(entered(&[], &names), names);
        assert_eq!(entered(&["--exclude", "*"], &names), [""; 0]);
        assert_eq!(entered(&["--exclude", "a/*"], &names), ["ab", "lost+found"]);
        assert_eq!(entered(&["--exclude", "a*"], &names), ["lost+found"]);
        assert_eq!(entered(&["--exclude", "lost+found"], &names), names);
        assert_eq!(entered(&["--exclude", "a/*.txt"], &names), names);
        assert_eq!(entered(&["--exclude", "a/[*]"], &names), names);
        assert_eq!(entered(&["--exclude", "*", "--include", "*.zip"], &names), names);
        assert_eq!(entered(&["--exclude", "*", "--include", "a/b/c.zip"], &names), ["a", "a/b"]);
        assert_eq!(entered(&["--exclude", "*", "--include", "a"], &names), [""; 0]);
        assert_eq!(entered(&["--exclude", "*", "--include", "a/"], &names), [""; 0]);
        assert_eq!(entered(&["--exclude", "*", "--include", "[!l]b/x"], &names), ["ab"]);
        assert_eq!(
            entered(&["--include", "a/b/*", "--exclude", "a/*"], &names),
            ["ab", "lost+found"]
        );
        assert_eq!(entered(&["--exclude", "*", "--include", "[a/]b/*"], &names), ["ab"]);
    }

    /// Compares the directories that patterns enter with a search of all short names.
    #[test]
    fn skipped_dirs_hold_no_match() {
        let letters = ["a", "b", "/"];
        let names: Vec<String> = (0..5).fold(vec![String::new()], |names, _| {
            let longer =
                names.iter().flat_map(|name| letters.map(|letter| format!("{name}{letter}")));
            let mut all: Vec<String> = longer.collect();
            all.extend(names);
            all.sort();
            all.dedup();
            all
        });
        let texts =
            ["*", "a*", "a/*", "*/b", "?/b", "[ab]/*", "[!a]*", "a/b", "a?b*", "*a/", "[a*]/?"];
        for exclude in texts {
            for include in texts {
                let typed =
                    Typed::try_parse_from(["test", "--exclude", exclude, "--include", include])
                        .unwrap();
                for directory in ["a", "b", "a/a", "a/b", "b/a"] {
                    let below = format!("{directory}/");
                    let mut below = names
                        .iter()
                        .filter(|name| name.len() > below.len() && name.starts_with(&below));
                    let any = below.any(|name| typed.filters.take(name));
                    let enters = typed.filters.may_take_below(directory);
                    assert!(enters || !any, "{directory} by {exclude} and {include}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        assert!(Typed::try_parse_from(["test", "--exclude", "[a"]).is_err());
    }
}
