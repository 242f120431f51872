//! Transfers into a bucket, out of it, or inside the store, and the reports of them.

use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::args::{CpArgs, StoreArgs};
use super::error::{Exit, Failure, print_error, warn};
use super::object_options::ObjectOptionArgs;
use super::output::{Output, human, percent};
use super::special_files::Special;
use super::tally::Tally;
use crate::domain::ObjectName;
use crate::domain::policy::{DeltaExtensions, Policy};
use crate::service::{
    Action, Compared, Completion, DeltaService, GetReport, PutOptions, PutReport, Removed,
    ServiceError, SkipReason, Source, Step, Steps, StoredAs, TransferOptions, Transferred,
};

/// The name of `-` in messages.
const STANDARD_INPUT: &str = "standard input";

/// The service, output and options for all files of one run.
pub(super) struct Transfer {
    pub(super) service: DeltaService,
    pub(super) output: Output,
    pub(super) options: TransferOptions,
    attributes: ObjectOptionArgs,
    /// The maximum length of a stream in bytes, if given.
    expected_size: Option<u64>,
    /// The number of files deleted because they were in the way of other files.
    made_way: Cell<u64>,
}

/// Returns the delta policy that the options set.
pub(super) fn policy(args: &StoreArgs) -> Policy {
    let extensions =
        args.delta_extensions.as_deref().map(DeltaExtensions::parse).unwrap_or_default();
    Policy {
        extensions,
        max_ratio: args.max_ratio,
        deltaspace: args.deltaspace.clone(),
        packing: args.reference_packing.clone(),
    }
}

impl Transfer {
    pub(super) fn new(
        service: &DeltaService,
        output: Output,
        store: &StoreArgs,
        attributes: &ObjectOptionArgs,
    ) -> Result<Self, Failure> {
        // Invalid options are invalid for any name.
        attributes.attributes("")?;
        let by_name = attributes.clone();
        let mut options = TransferOptions {
            delta: !store.no_delta,
            attributes: std::sync::Arc::new(move |name| {
                by_name.attributes(name).unwrap_or_default()
            }),
            dryrun: store.dryrun,
            ..TransferOptions::default()
        };
        options.get.stated = store.stated();
        Ok(Self {
            service: service.clone(),
            output,
            options,
            attributes: attributes.clone(),
            expected_size: None,
            made_way: Cell::default(),
        })
    }

    /// Creates a transfer with the options that only `cp` and `mv` have.
    pub(super) fn of_copy(
        service: &DeltaService,
        output: Output,
        args: &CpArgs,
        moving: bool,
    ) -> Result<Self, Failure> {
        let mut new = Self::new(service, output, &args.store, &args.attributes)?;
        new.expected_size = args.expected_size;
        let get = &mut new.options.get;
        (get.raw, get.allow_recompressed, get.range) =
            (args.raw, args.allow_recompressed, args.range);
        new.options.moving = moving;
        new.options.moved_from = (moving && args.recursive).then(|| PathBuf::from(&args.source));
        Ok(new)
    }

    /// Carries out the steps that make one directory or prefix like another, `at_once` files at a
    /// time, and prints the outcomes.
    pub(super) async fn all(&self, steps: Steps, at_once: u16) -> Result<Done, Failure> {
        let (mut done, mut drafts) = (Done::default(), 0u64);
        let report = |action: Action, outcome: Result<Transferred, ServiceError>| {
            match outcome {
                Ok(Transferred::Unchanged) => done.unchanged += 1,
                Ok(Transferred::Skipped(_, SkipReason::Draft)) => drafts += 1,
                outcome => {
                    let what = failed(&action, outcome.as_ref().err());
                    let exit = outcome.map_err(Failure::from).and_then(|done| self.printed(done));
                    let exit = exit.or_else(|failure| failure.tell_of(&what))?;
                    done.tally.add(exit);
                }
            }
            Ok::<_, Failure>(())
        };
        let completion =
            self.service.transfer(steps, &self.options, usize::from(at_once), report).await;
        if matches!(completion, Ok(Completion::NothingDeleted)) {
            warn("nothing was removed, since not all could be copied");
        }
        match drafts {
            0 => {}
            1 => self.output.note("left out 1 draft of a download (.deltaglider-*.part)"),
            _ => self
                .output
                .note(&format!("left out {drafts} drafts of downloads (.deltaglider-*.part)")),
        }
        done.tally = done.tally.with_changed(self.made_way.take());
        completion.map(|_| done)
    }

    /// Carries out one step for a file that the user named.
    pub(super) async fn one(&self, step: Step) -> Result<Exit, Failure> {
        match self.service.transfer_one(step, &self.options).await? {
            Transferred::Unread(error) => Err(error.into()),
            done => self.printed(done),
        }
    }

    /// Prints the outcome of a step.
    fn printed(&self, done: Transferred) -> Result<Exit, Failure> {
        match done {
            Transferred::Planned(step) => self.planned(step),
            Transferred::Uploaded { path, object, report, source } => {
                let name = path.display().to_string();
                let stored = self.report_stored(self.verb("upload"), &name, &object, &report)?;
                Ok(worse(self.moved_file(&name, source)?, stored))
            }
            Transferred::Downloaded { object, path, report, removed, source } => {
                let name = object.to_string();
                let written = self.report_written(self.verb("download"), &name, &path, &report)?;
                let made_way = self.report_made_way(removed)?;
                Ok(worse(written, worse(made_way, moved_object(&name, source)?)))
            }
            Transferred::Copied { from, to, report, source } => {
                let name = from.to_string();
                let stored = self.report_stored(self.verb("copy"), &name, &to, &report)?;
                Ok(worse(stored, moved_object(&name, source)?))
            }
            Transferred::CreatedDir(_, removed) => self.report_made_way(removed),
            Transferred::DeletedObject(object, deletion) => {
                self.report_removed(&object.to_string())?;
                for warning in &deletion.warnings {
                    print_error("warning", warning);
                }
                Ok(if deletion.warnings.is_empty() { Exit::Done } else { Exit::Warned })
            }
            Transferred::ReplacedObject(object) => {
                warn(&format!("warning: {object} stays: it was replaced since it was listed"));
                Ok(Exit::Skipped)
            }
            Transferred::DeletedFile(path) => self.report_removed(&path.display().to_string()),
            Transferred::Skipped(path, why @ SkipReason::NotAFile) => {
                warn(&format!("warning: skipped {}: {why}", path.display()));
                Ok(Exit::Skipped)
            }
            Transferred::Skipped(path, why) => {
                warn(&format!("warning: {} stays: {why}", path.display()));
                Ok(Exit::Skipped)
            }
            Transferred::Unread(error) => {
                print_error("warning: skipped", &error);
                Ok(Exit::Skipped)
            }
            Transferred::Unchanged => Ok(Exit::Done),
        }
    }

    /// Prints what a step would do.
    fn planned(&self, step: Step) -> Result<Exit, Failure> {
        match step {
            Step::Upload(path, object, _) => {
                self.would(self.verb("upload"), &path.display().to_string(), &object.to_string())
            }
            Step::Download(object, path) => {
                self.would(self.verb("download"), &object.to_string(), &path.display().to_string())
            }
            Step::Copy(from, to, _) => {
                self.would(self.verb("copy"), &from.to_string(), &to.to_string())
            }
            Step::Replace(step, way) => {
                self.planned(*step)?;
                self.report_made_way(Removed { files: way.take_files(), left: None })
            }
            Step::RemoveObject(object, _) => self.report_removed(&object.to_string()),
            Step::RemoveFile(path) => self.report_removed(&path.display().to_string()),
            _ => Ok(Exit::Done),
        }
    }

    fn report_made_way(&self, removed: Removed) -> Result<Exit, Failure> {
        for file in &removed.files {
            self.report_removed(&file.display().to_string())?;
            self.made_way.set(self.made_way.get().saturating_add(1));
        }
        Ok(match removed.left {
            None => Exit::Done,
            Some(error) => {
                print_error("warning: not deleted", &error);
                Exit::Warned
            }
        })
    }

    /// Warns if a local file that was moved is kept.
    fn moved_file(&self, name: &str, source: Source) -> Result<Exit, Failure> {
        match source {
            Source::BehindALink => {
                warn(&format!("warning: {name} stays: {}", SkipReason::BehindALink))
            }
            Source::Replaced => {
                warn(&format!(
                    "warning: {name} was replaced or written to while it was moved; it stays"
                ));
            }
            Source::Failed(error) => return Err(error.into()),
            _ => return Ok(Exit::Done),
        }
        Ok(Exit::Warned)
    }

    /// Returns the verb for messages: `move` when moving, else `copying`.
    pub(super) fn verb(&self, copying: &'static str) -> &'static str {
        if self.options.moving { "move" } else { copying }
    }

    /// Prints what would be done.
    pub(super) fn would(&self, verb: &str, from: &str, to: &str) -> Result<Exit, Failure> {
        let text = format!("(dryrun) {verb}: {from} to {to}");
        let event = json!({ "action": verb, "dryrun": true, "source": from, "target": to });
        self.output.event(text, event).map(|()| Exit::Done)
    }

    /// Uploads the content of a stream.
    pub(super) async fn upload_stream(
        &self,
        stream: &Special,
        object: &ObjectName,
    ) -> Result<Exit, Failure> {
        let name = match stream {
            Special::Standard => STANDARD_INPUT.to_owned(),
            Special::Path(path) => path.display().to_string(),
        };
        if self.options.dryrun {
            if *stream == Special::Standard {
                super::streams::input()?;
            }
            return self.would(self.verb("upload"), &name, &object.to_string());
        }
        let source: Box<dyn io::Read + Send> = match stream {
            Special::Standard => Box::new(super::streams::input()?),
            Special::Path(path) => Box::new(Special::read(path).await?),
        };
        let attributes = self.attributes.attributes(object.key.base_name())?;
        let options = PutOptions { delta: self.options.delta, attributes, ..PutOptions::default() };
        let report =
            self.service.put_stream(source, &name, object, &options, self.expected_size).await?;
        self.report_stored(self.verb("upload"), &name, object, &report)
    }

    /// Prints what was written, and warns if it does not match the checksum that the store states;
    /// the source of a move is kept then.
    pub(super) fn report_written(
        &self,
        verb: &str,
        name: &str,
        path: &Path,
        report: &GetReport,
    ) -> Result<Exit, Failure> {
        let size = match self.options.get.range {
            Some(range) => format!("{}, {range}", human(report.size)),
            None => human(report.size),
        };
        let what = match (report.unpacked, report.compared) {
            (Some(compression), _) => {
                format!(
                    "{size}, the content unpacked from {compression}: not the file, and not \
                     verified by SHA-256"
                )
            }
            (None, Compared::Sha256(_)) => format!("{size}, SHA-256 verified"),
            (None, Compared::Stated(checksum)) => {
                format!("{size}, {checksum} of the store verified")
            }
            (None, Compared::ChecksumMismatch(_) | Compared::Nothing) => size,
        };
        let text = format!("{verb}: {name} to {} ({what})", path.display());
        let event = json!({
            "action": verb, "source": name, "target": path.display().to_string(),
            "size": report.size,
            "sha256": report.compared.sha256().map(|digest| digest.to_string()),
            "unpacked": report.unpacked.map(|compression| compression.to_string()),
        });
        self.output.event(text, event)?;
        Ok(self.warn_of_contradiction(name, report))
    }

    fn warn_of_contradiction(&self, name: &str, report: &GetReport) -> Exit {
        let Compared::ChecksumMismatch(checksum) = report.compared else { return Exit::Done };
        let stays = if self.options.moving { "; it stays" } else { "" };
        warn(&format!(
            "warning: {name} was written as received, but the bytes do not match the store's \
             {checksum}, although it sent them twice{stays}; pass --no-verify-etag to skip this \
             check"
        ));
        Exit::Warned
    }

    /// Writes a file to a stream, which is opened before the download begins.
    pub(super) async fn print(
        &self,
        object: &ObjectName,
        stream: &Special,
    ) -> Result<Exit, Failure> {
        let name = match stream {
            Special::Standard => "-".to_owned(),
            Special::Path(path) => path.display().to_string(),
        };
        if self.options.dryrun {
            return self.would("download", &object.to_string(), &name);
        }
        match stream {
            Special::Standard => {
                let (_, report) = self.service.get(object, io::stdout(), &self.options.get).await?;
                Ok(self.warn_of_contradiction(&object.to_string(), &report))
            }
            Special::Path(path) => {
                let (_, report) = self
                    .service
                    .get(object, Special::write(path).await?, &self.options.get)
                    .await?;
                self.report_written("download", &object.to_string(), path, &report)
            }
        }
    }

    pub(super) fn report_removed(&self, name: &str) -> Result<Exit, Failure> {
        let dry = if self.options.dryrun { "(dryrun) " } else { "" };
        let event = json!({ "action": "delete", "dryrun": self.options.dryrun, "target": name });
        self.output.event(format!("{dry}delete: {name}"), event).map(|()| Exit::Done)
    }

    /// Checks in a dry run that an object named by the user exists, since no listing has shown it.
    pub(super) async fn check_source(&self, object: &ObjectName) -> Result<(), Failure> {
        if !self.options.dryrun {
            return Ok(());
        }
        if self.options.get.raw {
            self.service.store().head(object).await?;
        } else {
            self.service.head(object).await?;
        }
        Ok(())
    }

    /// Prints how a file was stored and the space saved.
    fn report_stored(
        &self,
        verb: &str,
        from: &str,
        to: &ObjectName,
        report: &PutReport,
    ) -> Result<Exit, Failure> {
        let (size, stored, name) = (human(report.size), human(report.stored), to.to_string());
        let (saving, stored_as, reason) = match &report.stored_as {
            StoredAs::Reference if report.stored < report.size => {
                let share = percent(report.stored, report.size);
                let stored = human(report.stored);
                (format!("reference: {stored} of {size}, {share}"), "reference", None)
            }
            StoredAs::Reference => (format!("reference: {size}"), "reference", None),
            StoredAs::Delta => (
                format!("delta: {stored} of {size}, {}", percent(report.stored, report.size)),
                "delta",
                None,
            ),
            StoredAs::Direct(reason) => {
                (format!("direct: {size}, {reason}"), "direct", Some(reason.to_string()))
            }
        };
        let event = json!({
            "action": verb, "source": from, "target": name, "stored_as": stored_as,
            "reason": reason, "size": report.size, "stored": report.stored,
            "sha256": report.sha256.map(|digest| digest.to_string()),
        });
        let unknown =
            if report.sha256.is_none() && verb == "upload" { ", without its SHA-256" } else { "" };
        self.output.event(format!("{verb}: {from} to {name} ({saving}{unknown})"), event)?;
        for warning in &report.warnings {
            print_error(&format!("warning: {name}"), warning);
        }
        Ok(if report.warnings.is_empty() { Exit::Done } else { Exit::Warned })
    }
}

/// Returns the exit of a step of two parts: the first that is a warning.
fn worse(first: Exit, second: Exit) -> Exit {
    if first == Exit::Done { second } else { first }
}

/// Warns if an object that was moved is kept.
fn moved_object(name: &str, source: Source) -> Result<Exit, Failure> {
    match source {
        Source::Replaced => {
            warn(&format!("warning: {name} was replaced while it was moved; the new one stays"))
        }
        Source::HasOlder => warn(&format!(
            "warning: {name} was copied, not removed: its name has an older object too, which \
             cannot be removed safely with concurrent writers on this store; `rm` removes both"
        )),
        Source::Unpacked => {
            warn(&format!("warning: {name} stays: what was written is not the file"))
        }
        Source::Failed(error) => return Err(error.into()),
        // A missing verification was reported already.
        _ => return Ok(Exit::Done),
    }
    Ok(Exit::Warned)
}

/// Returns the prefix of the error message of a step.
fn failed(action: &Action, error: Option<&ServiceError>) -> String {
    match action {
        Action::Upload(path) => format!("upload failed: {}", path.display()),
        Action::Download(object) => format!("download failed: {object}"),
        Action::Copy(from) => format!("copy failed: {from}"),
        Action::CreateDir(path) => format!("mkdir failed: {}", path.display()),
        Action::DeleteObject(object) => format!("delete failed: {object}"),
        Action::DeleteFile(path) => format!("delete failed: {}", path.display()),
        Action::Decide(name) => match error {
            // These errors name the file themselves.
            Some(ServiceError::NoPath { .. } | ServiceError::AlsoDirectory { .. }) => {
                "download failed".to_owned()
            }
            Some(ServiceError::NotDeletable { .. } | ServiceError::NotADirectory { .. }) => {
                format!("download failed: {name}")
            }
            Some(ServiceError::NotUtf8(_) | ServiceError::Local { .. }) => {
                "upload failed".to_owned()
            }
            _ => format!("failed: {name}"),
        },
    }
}

/// The outcome of many steps.
#[derive(Default)]
pub(super) struct Done {
    pub(super) tally: Tally,
    pub(super) unchanged: u64,
}
