//! `--exclude` and `--include`, as `aws s3` has them: the last pattern that matches decides, and without one a file takes part.

use std::sync::Arc;

use clap::{Arg, ArgAction, ArgMatches, Command};
use glob::{MatchOptions, Pattern};

use crate::service::Filter;

/// Patterns of names, from the folder on, in the order they were typed; whether what matches takes part.
#[derive(Debug, Clone, Default)]
pub(super) struct Filters(Vec<(bool, Pattern)>);

/// `*` and `?` stand for a `/` too.
const OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: false, require_literal_leading_dot: false };

const EXCLUDE: &str = "exclude";
const INCLUDE: &str = "include";

impl Filters {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a file takes part.
    pub(super) fn take(&self, name: &str) -> bool {
        let decides = self.0.iter().rev().find(|(_, pattern)| pattern.matches_with(name, OPTIONS));
        decides.is_none_or(|(takes, _)| *takes)
    }

    /// The same for the service.
    pub(super) fn to_filter(&self) -> Filter {
        let filters = self.clone();
        Arc::new(move |name| filters.take(name))
    }
}

/// Any run of `*` is one, as it is in a shell's pattern without folders.
fn pattern(text: &str) -> Result<Pattern, glob::PatternError> {
    let mut one_star = String::with_capacity(text.len());
    for c in text.chars() {
        if !(c == '*' && one_star.ends_with('*') && !one_star.ends_with("[*")) {
            one_star.push(c);
        }
    }
    Pattern::new(&one_star)
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
                .help_heading("Which files")
        };
        command
            .arg(arg(
                EXCLUDE,
                "Leaves out files whose name, from the folder on, matches: * any text, ? one character, [abc] one of these, [!abc] none \
                 of these; / is a character like others. Of several --exclude and --include the last that matches decides",
            ))
            .arg(arg(INCLUDE, "Takes files that match and that an --exclude before it leaves out"))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Filters {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let of = |name, takes| {
            let at = matches.indices_of(name).into_iter().flatten();
            let patterns = matches.get_many::<Pattern>(name).into_iter().flatten();
            at.zip(patterns).map(move |(at, pattern)| (at, takes, pattern.clone())).collect::<Vec<_>>()
        };
        let mut typed = of(EXCLUDE, false);
        typed.extend(of(INCLUDE, true));
        typed.sort_by_key(|(at, ..)| *at);
        Ok(Self(typed.into_iter().map(|(_, takes, pattern)| (takes, pattern)).collect()))
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
    fn the_last_pattern_that_matches_decides() {
        let names = ["a.zip", "x/b.zip", "x/c.txt"];
        assert_eq!(taken(&[], &names), names);
        assert_eq!(taken(&["--exclude", "*", "--include", "*.zip"], &names), ["a.zip", "x/b.zip"]);
        assert_eq!(taken(&["--include", "*.zip", "--exclude", "*"], &names), Vec::<&str>::new());
        assert_eq!(taken(&["--exclude", "x/*", "--include", "*b.zip", "--exclude", "a*"], &names), ["x/b.zip"]);
        assert_eq!(taken(&["--exclude", "**/[!b].*"], &names), ["a.zip", "x/b.zip"]);
        assert_eq!(taken(&["--exclude", "?.zip"], &names), ["x/b.zip", "x/c.txt"]);
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        assert!(Typed::try_parse_from(["test", "--exclude", "[a"]).is_err());
    }
}
