//! What every adapter of [`Store`] must do: one public suite of named checks, run on memory, on
//! disk and on S3 over HTTP.
//!
//! Each check works in a bucket of its own and removes it afterwards. Stores that are weaker than
//! S3 are exempted from single checks or keys by name and with a reason, see [`Capabilities`]; an
//! exemption that names nothing is a failure itself.
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
use nasty_keys::{
    nasty_keys_are_copied, nasty_keys_live_together_in_byte_order, nasty_keys_one_by_one,
};
use objects::*;

/// Hands the names of all checks, separated by commas, to the macro of the given name: for one test
/// per check.
#[macro_export]
macro_rules! for_each_storage_check {
    ($callback:ident) => {
        $callback! {
            a_bucket_lives_and_dies,
            a_bucket_is_made_once,
            a_bucket_with_an_object_stays,
            a_bucket_goes_with_what_it_holds,
            a_missing_bucket_is_no_missing_key,
            head_tells_a_missing_bucket,
            an_object_comes_back_as_it_was_put,
            head_tells_size_tag_and_time,
            attributes_come_back,
            attributes_belong_to_their_version,
            metadata_of_2_kib_is_taken,
            metadata_over_2_kib_is_refused,
            a_storage_class_comes_back,
            encryption_comes_back,
            tags_are_read_apart,
            more_than_ten_tags_are_refused,
            an_acl_is_taken_and_not_told,
            an_overwrite_replaces_the_content,
            a_deleted_object_is_gone,
            ranges_are_cut_at_the_end,
            a_range_beyond_the_end_is_refused,
            an_empty_object_has_no_range,
            a_body_that_fails_midway_stores_nothing,
            a_short_body_stores_nothing,
            a_long_body_stores_nothing,
            a_put_that_is_dropped_stores_nothing,
            reading_gives_one_version,
            a_copy_has_the_bytes_and_attributes_of_its_source,
            a_copy_replaces_what_was_there,
            a_copy_goes_to_another_bucket,
            a_copy_of_nothing_is_refused,
            a_copy_in_a_missing_bucket_is_refused,
            a_copy_if_match_is_of_the_version_it_names,
            a_copy_onto_itself_is_refused,
            copy_onto_itself_changes_attributes,
            a_copy_keeps_class_encryption_and_tags,
            a_copy_with_other_attributes_has_none_of_its_source,
            if_absent_creates_once,
            if_match_replaces_what_it_names,
            if_match_fails_when_there_is_nothing,
            delete_if_match_removes_what_it_names,
            tags_name_what_they_say,
            a_put_is_dated_after_what_it_replaces,
            racing_creators_have_one_winner,
            racing_replacers_have_one_winner,
            racing_replacer_and_remover_have_one_winner,
            an_empty_bucket_lists_nothing,
            lists_are_in_byte_order,
            listed_objects_are_those_of_head,
            a_prefix_is_a_mere_string,
            a_delimiter_rolls_up_folders,
            a_delimiter_is_any_text,
            start_after_is_exclusive,
            start_after_hides_its_common_prefix,
            pages_show_every_entry_once,
            a_page_has_1000_entries,
            nasty_keys_one_by_one,
            nasty_keys_live_together_in_byte_order,
            nasty_keys_are_copied,
        }
    };
}

/// One thing every store must do.
#[derive(Clone, Copy)]
pub struct Check {
    /// Its name, a sentence.
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

/// How a store failed a check.
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

/// Something a store is known not to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exemption {
    /// The name of a check or of a key of [`nasty_keys::NASTY_KEYS`].
    pub name: &'static str,
    /// Why.
    pub reason: &'static str,
}

/// What a store can do: everything but the named exemptions.
#[derive(Debug, Clone, Default)]
pub struct Capabilities {
    exemptions: Vec<Exemption>,
}

impl Capabilities {
    /// A store that does everything S3 does.
    pub fn full() -> Self {
        Self::default()
    }

    /// Exempts the store from a check or a nasty key.
    #[must_use]
    pub fn without(mut self, name: &'static str, reason: &'static str) -> Self {
        self.exemptions.push(Exemption { name, reason });
        self
    }

    /// The exemption of this name.
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

/// What came of a run.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Checks the store passed.
    pub passed: Vec<&'static str>,
    /// Checks and keys that were left out.
    pub exempted: Vec<Exemption>,
    /// Checks the store failed.
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

/// Runs the check of this name.
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
    /// Runs the check in a bucket of its own, which is made before and removed after it.
    pub async fn run(&self, store: &dyn Store, capabilities: &Capabilities) -> Result<(), Failure> {
        let stage = Stage::set(store, self.name, capabilities).await?;
        let outcome = (self.body)(&stage).await;
        // Also after a failure, which is the one worth telling.
        let cleared = stage.clear().await;
        outcome.and(cleared)
    }
}

/// Compares.
fn same<T: PartialEq + fmt::Debug>(what: &str, got: T, expected: T) -> Outcome {
    if got == expected {
        Ok(())
    } else {
        Err(Failure(format!("{what}: got {got:?}, expected {expected:?}")))
    }
}

/// Requires.
fn holds(what: &str, truth: bool) -> Outcome {
    if truth { Ok(()) } else { Err(Failure(format!("this does not hold: {what}"))) }
}
