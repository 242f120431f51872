//! The specification of a [`Store`]: a public suite of named checks, run on memory, on disk and on
//! S3 over HTTP.
//!
//! Each check works in a bucket of its own and deletes it afterwards. Stores that are weaker than
//! S3 are exempted from single checks or keys by name and with a reason, see [`Capabilities`]; an
//! exemption with an unknown name is itself a failure.
//!
//! ```
//! # #[tokio::main] async fn main() {
//! use deltaglider::storage::{MemoryStore, conformance};
//! let report = conformance::run(&MemoryStore::new(), &conformance::Capabilities::full()).await;
//! assert!(report.failures.is_empty(), "{report}");
//! # }
//! ```

mod attributes;
mod bodies;
mod buckets;
mod conditions;
mod copies;
mod lists;
pub mod nasty_keys;
mod objects;
mod stage;

use std::error::Error;
use std::fmt;

use futures::future::BoxFuture;

use super::Store;
use stage::Stage;

use attributes::*;
use bodies::*;
use buckets::*;
use conditions::*;
use copies::*;
use lists::*;
use nasty_keys::{nasty_keys_are_copied, nasty_keys_coexist_in_order, nasty_keys_one_by_one};
use objects::*;

/// Passes the names of all checks, separated by commas, to the given macro, for one test per check.
#[macro_export]
macro_rules! for_each_storage_check {
    ($callback:ident) => {
        $callback! {
            bucket_is_created_and_deleted,
            a_bucket_is_made_once,
            a_bucket_with_an_object_stays,
            bucket_is_deleted_with_objects,
            missing_bucket_is_reported,
            head_reports_a_missing_bucket,
            object_content_round_trips,
            head_reports_size_tag_and_time,
            attributes_come_back,
            attributes_are_per_version,
            metadata_of_2_kib_is_taken,
            metadata_over_2_kib_is_refused,
            a_storage_class_comes_back,
            encryption_comes_back,
            tags_are_read_apart,
            more_than_ten_tags_are_refused,
            acl_is_write_only,
            overwrite_replaces_content,
            a_deleted_object_is_gone,
            ranges_are_cut_at_the_end,
            range_beyond_end_is_refused,
            an_empty_object_has_no_range,
            failed_body_stores_nothing,
            a_short_body_stores_nothing,
            a_long_body_stores_nothing,
            dropped_put_stores_nothing,
            reading_gives_one_version,
            copy_equals_its_source,
            a_copy_replaces_what_was_there,
            a_copy_goes_to_another_bucket,
            a_copy_of_nothing_is_refused,
            copy_needs_both_buckets,
            copy_if_match_checks_source,
            a_copy_onto_itself_is_refused,
            self_copy_changes_attributes,
            copy_keeps_class_and_tags,
            copy_can_replace_attributes,
            if_absent_creates_once,
            if_match_replaces_its_version,
            if_match_needs_an_object,
            delete_if_match_checks_the_tag,
            tags_name_what_they_say,
            newer_than_dates_the_object,
            racing_creates_have_one_winner,
            racing_updates_have_one_winner,
            racing_put_and_delete_one_wins,
            an_empty_bucket_lists_nothing,
            lists_are_in_byte_order,
            list_and_head_agree,
            a_prefix_is_a_mere_string,
            a_delimiter_rolls_up_folders,
            a_delimiter_is_any_text,
            start_after_is_exclusive,
            start_after_skips_its_prefix,
            pages_show_every_entry_once,
            a_page_has_1000_entries,
            nasty_keys_one_by_one,
            nasty_keys_coexist_in_order,
            nasty_keys_are_copied,
        }
    };
}

/// One requirement for every store.
#[derive(Clone, Copy)]
pub struct Check {
    /// The name, which is also that of its function.
    pub name: &'static str,
    body: for<'a> fn(&'a Stage<'a>) -> BoxFuture<'a, Outcome>,
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

macro_rules! table {
    ($($name:ident,)*) => {
        /// All checks.
        pub const CHECKS: &[Check] =
            &[$(Check { name: stringify!($name), body: |stage| Box::pin($name(stage)) },)*];
    };
}
for_each_storage_check!(table);

type Outcome = Result<(), Failure>;

/// The reason why a store failed a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        Self(text)
    }
}

/// A requirement that a store is known not to meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exemption {
    /// The name of a check or of a key of [`nasty_keys::NASTY_KEYS`].
    pub name: &'static str,
    /// The reason.
    pub reason: &'static str,
}

/// The capabilities of a store: everything but the named exemptions.
#[derive(Debug, Clone, Default)]
pub struct Capabilities {
    exemptions: Vec<Exemption>,
}

impl Capabilities {
    /// Returns the capabilities of S3, without exemptions.
    pub fn full() -> Self {
        Self::default()
    }

    /// Exempts the store from a check or a nasty key.
    #[must_use]
    pub fn without(mut self, name: &'static str, reason: &'static str) -> Self {
        self.exemptions.push(Exemption { name, reason });
        self
    }

    /// Returns the exemption with this name.
    pub fn exemption(&self, name: &str) -> Option<Exemption> {
        self.exemptions.iter().find(|exemption| exemption.name == name).copied()
    }

    fn unknown(&self) -> impl Iterator<Item = &Exemption> {
        let checks = CHECKS.iter().map(|check| check.name);
        let known: Vec<&str> =
            checks.chain(nasty_keys::NASTY_KEYS.iter().map(|key| key.name)).collect();
        self.exemptions.iter().filter(move |exemption| !known.contains(&exemption.name))
    }
}

/// The result of a run.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The checks that the store passed.
    pub passed: Vec<&'static str>,
    /// The checks and keys that were skipped.
    pub exempted: Vec<Exemption>,
    /// The checks that the store failed.
    pub failures: Vec<(&'static str, Failure)>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, exempted, failures } = self;
        writeln!(
            f,
            "{} passed, {} exempted, {} failed",
            passed.len(),
            exempted.len(),
            failures.len()
        )?;
        for Exemption { name, reason } in exempted {
            writeln!(f, "exempted {name}: {reason}")?;
        }
        for (name, failure) in failures {
            writeln!(f, "FAILED {name}: {failure}")?;
        }
        Ok(())
    }
}

/// Runs all checks, one after the other.
pub async fn run(store: &dyn Store, capabilities: &Capabilities) -> Report {
    let mut report = Report { exempted: capabilities.exemptions.clone(), ..Report::default() };
    for exemption in capabilities.unknown() {
        report.failures.push((
            exemption.name,
            Failure("an exemption that names no check and no key".to_owned()),
        ));
    }
    for check in CHECKS.iter().filter(|check| capabilities.exemption(check.name).is_none()) {
        match check.run(store, capabilities).await {
            Ok(()) => report.passed.push(check.name),
            Err(failure) => report.failures.push((check.name, failure)),
        }
    }
    report
}

/// Runs the check with this name.
pub async fn run_one(
    name: &str,
    store: &dyn Store,
    capabilities: &Capabilities,
) -> Result<(), Failure> {
    let named = CHECKS.iter().find(|check| check.name == name);
    named
        .ok_or_else(|| Failure(format!("there is no check {name}")))?
        .run(store, capabilities)
        .await
}

impl Check {
    /// Runs the check in a bucket of its own, which is created before and deleted after it.
    pub async fn run(&self, store: &dyn Store, capabilities: &Capabilities) -> Result<(), Failure> {
        let stage = Stage::set(store, self.name, capabilities).await?;
        let outcome = (self.body)(&stage).await;
        // Clears up also after a failure, whose outcome takes precedence.
        let cleared = stage.clear().await;
        outcome.and(cleared)
    }
}

/// Requires that two values are equal.
fn same<T: PartialEq + fmt::Debug>(what: &str, got: T, expected: T) -> Outcome {
    if got == expected {
        Ok(())
    } else {
        Err(Failure(format!("{what}: got {got:?}, expected {expected:?}")))
    }
}

/// Requires a condition.
fn holds(what: &str, truth: bool) -> Outcome {
    if truth { Ok(()) } else { Err(Failure(format!("this does not hold: {what}"))) }
}
