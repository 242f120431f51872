//! One file on its way: into a bucket, out of it, or inside the store; and what is told of it.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::attributes::AttributeArgs;
use super::failure::{Exit, Failure, complain, warn};
use super::options::{CpArgs, StoreArgs};
use super::output::{Output, human, percent};
use super::parallel::Parallel;
use super::special_files::Special;
use crate::domain::ObjectName;
use crate::domain::policy::{DeltaExtensions, Policy};
use crate::service::{
    Compared, DeltaService, GetOptions, GetReport, Head, Input, ListedWrite, MayBeDelta, Moved, Passed, Phase,
    PutOptions, PutReport, PutWarning, ServiceError, Step, Steps, StoredAs, is_behind_a_link,
};

/// What `-` is called in messages.
const STANDARD_INPUT: &str = "standard input";

/// What holds for every file of one run.
pub(super) struct Transfer {
    pub(super) service: DeltaService,
    pub(super) output: Output,
    /// Whether files may be kept as deltas.
    pub(super) delta: bool,
    pub(super) attributes: AttributeArgs,
    pub(super) get: GetOptions,
    pub(super) dryrun: bool,
    /// Whether what was copied is removed.
    pub(super) moving: bool,
    /// The local directory whose files are moved.
    pub(super) moved_from: Option<PathBuf>,
    /// The length that a stream may have.
    pub(super) expected_size: Option<u64>,
    /// Files that were deleted since they were in the way of others.
    pub(super) made_way: Cell<u64>,
}

/// What options say about what is kept as a delta.
pub(super) fn policy(args: &StoreArgs) -> Policy {
    let extensions = args.delta_extensions.as_deref().map(DeltaExtensions::parse).unwrap_or_default();
    Policy { extensions, max_ratio: args.max_ratio, deltaspace: args.deltaspace.clone() }
}

impl Transfer {
    pub(super) fn new(service: &DeltaService, output: Output, store: &StoreArgs, attributes: &AttributeArgs) -> Self {
        Self {
            service: service.clone(),
            output,
            delta: !store.no_delta,
            attributes: attributes.clone(),
            get: GetOptions { stated: store.stated(), ..GetOptions::default() },
            dryrun: store.dryrun,
            moving: false,
            moved_from: None,
            expected_size: None,
            made_way: Cell::default(),
        }
    }

    /// With what only `cp` and `mv` know.
    pub(super) fn of_copy(service: &DeltaService, output: Output, args: &CpArgs, moving: bool) -> Self {
        let CpArgs { raw, allow_recompressed, range, expected_size, .. } = *args;
        let new = Self::new(service, output, &args.store, &args.attributes);
        let get = GetOptions { raw, allow_recompressed, range, ..new.get };
        let moved_from = (moving && args.recursive).then(|| PathBuf::from(&args.source));
        Self { get, moving, moved_from, expected_size, ..new }
    }

    /// Carries out what makes one folder like another, several files at once. What is to be removed goes when all that was to be copied
    /// is there: what has only another name now is never gone under both.
    pub(super) async fn all(&self, mut steps: Steps, at_once: u16) -> Result<Done, Failure> {
        let mut parallel = Parallel::new(at_once);
        let (mut unchanged, mut drafts, mut phase) = (0, 0u64, Phase::Copy);
        let ended = loop {
            match parallel.meanwhile(steps.next()).await? {
                Ok(Some(Step::Unchanged)) => unchanged += 1,
                Ok(Some(Step::MakeFolder(path))) if path.is_dir() => unchanged += 1,
                Ok(Some(Step::Passed(_, Passed::Draft))) => drafts += 1,
                Ok(Some(step)) => {
                    if step.phase() > phase {
                        phase = step.phase();
                        if parallel.so_far().await?.failed > 0 {
                            warn("nothing was removed, since not all could be copied");
                            break None;
                        }
                    }
                    parallel.begin(self.step(step)).await?;
                }
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        // What was begun is worth ending, also when nothing new can be.
        let tally = parallel.end().await?;
        match drafts {
            0 => {}
            1 => self.output.note("left out 1 draft of a download (.deltaglider-*.part)"),
            _ => self.output.note(&format!("left out {drafts} drafts of downloads (.deltaglider-*.part)")),
        }
        match ended {
            Some(error) => Err(error.into()),
            None => Ok(Done { tally: tally.with_changed(self.made_way.take()), unchanged }),
        }
    }

    async fn step(&self, step: Step) -> Result<Exit, Failure> {
        let Step::Either(first, second) = step else { return self.tell_end(self.attempt(step).await) };
        let (what, done) = self.attempt(*first).await;
        match done {
            Err(failure) if failure.is_no_file() => match self.attempt(*second).await {
                // Neither is there: it was removed since it was listed.
                (_, Err(other)) if other.is_absent() => failure.tell_of(&what),
                ended => self.tell_end(ended),
            },
            done => self.tell_end((what, done)),
        }
    }

    fn tell_end(&self, (what, done): (String, Result<Exit, Failure>)) -> Result<Exit, Failure> {
        done.or_else(|failure| failure.tell_of(&what))
    }

    /// Carries out a step; with what to say if it fails.
    async fn attempt(&self, step: Step) -> (String, Result<Exit, Failure>) {
        match step {
            Step::Upload(path, object, may_be_delta) => {
                let name = path.display().to_string();
                let uploaded = match Input::open(&path).await {
                    Err(error) if error.is_unreadable_file() => {
                        complain("warning: skipped", &error);
                        Ok(Exit::Skipped)
                    }
                    Err(error) => Err(error.into()),
                    Ok(file) => self.upload_opened(&file, &path, &object, may_be_delta).await,
                };
                (format!("upload failed: {name}"), uploaded)
            }
            Step::Download(object, path) => (format!("download failed: {object}"), self.download(&object, &path).await),
            Step::Copy(from, to, may_be_delta) => {
                let name = from.to_string();
                (format!("copy failed: {name}"), self.copy(&from, &to, may_be_delta).await)
            }
            Step::MakeFolder(path) => {
                let made = if self.dryrun { Ok(()) } else { std::fs::create_dir_all(&path) };
                let made =
                    made.map_err(|error| ServiceError::Local { what: path.display().to_string(), source: error });
                (format!("no folder: {}", path.display()), made.map(|()| Exit::Done).map_err(Failure::from))
            }
            Step::Replace(step, way) => self.replace(*step, &way).await,
            Step::RemoveObject(object, listed) => {
                let what = format!("delete failed: {}", &object.to_string());
                (what, self.remove_object(&object, &listed).await)
            }
            Step::RemoveFile(path) => (format!("delete failed: {}", path.display()), self.remove_file(&path)),
            Step::Passed(path, why @ Passed::NotAFile) => {
                warn(&format!("warning: skipped {}: {why}", path.display()));
                (String::new(), Ok(Exit::Skipped))
            }
            Step::Passed(path, why) => {
                warn(&format!("warning: {} stays: {why}", path.display()));
                (String::new(), Ok(Exit::Skipped))
            }
            Step::Unread(error) => {
                complain("warning: skipped", &error);
                (String::new(), Ok(Exit::Skipped))
            }
            // It says itself what it is about.
            Step::Failed(_, error @ (ServiceError::NoPath { .. } | ServiceError::AlsoDirectory { .. })) => {
                ("download failed".to_owned(), Err(error.into()))
            }
            Step::Failed(what, error @ (ServiceError::MustStay { .. } | ServiceError::NotADirectory { .. })) => {
                (format!("download failed: {what}"), Err(error.into()))
            }
            Step::Failed(_, error @ (ServiceError::NotUtf8(_) | ServiceError::Local { .. })) => {
                ("upload failed".to_owned(), Err(error.into()))
            }
            Step::Failed(what, error) => (format!("failed: {}", &what), Err(error.into())),
            _ => (String::new(), Ok(Exit::Done)),
        }
    }

    /// What is done, in words.
    pub(super) fn verb(&self, copying: &'static str) -> &'static str {
        if self.moving { "move" } else { copying }
    }

    /// Says what would be done.
    pub(super) fn would(&self, verb: &str, from: &str, to: &str) -> Result<Exit, Failure> {
        let text = format!("(dryrun) {verb}: {from} to {to}");
        let told = json!({ "action": verb, "dryrun": true, "source": from, "target": to });
        self.output.event(text, told).map(|()| Exit::Done)
    }

    /// Uploads a file.
    pub(super) async fn upload(
        &self,
        source: &Path,
        object: &ObjectName,
        may_be_delta: MayBeDelta,
    ) -> Result<Exit, Failure> {
        self.upload_opened(&Input::open(source).await?, source, object, may_be_delta).await
    }

    /// Uploads what a stream gives.
    pub(super) async fn upload_stream(&self, stream: &Special, object: &ObjectName) -> Result<Exit, Failure> {
        let name = match stream {
            Special::Standard => STANDARD_INPUT.to_owned(),
            Special::Path(path) => path.display().to_string(),
        };
        if self.dryrun {
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
        let options = PutOptions { delta: self.delta, attributes, ..PutOptions::default() };
        let report = self.service.put_stream(source, &name, object, &options, self.expected_size).await?;
        self.tell_stored(self.verb("upload"), &name, object, &report)
    }

    async fn upload_opened(
        &self,
        file: &Input,
        source: &Path,
        object: &ObjectName,
        MayBeDelta(may_be_delta): MayBeDelta,
    ) -> Result<Exit, Failure> {
        let verb = self.verb("upload");
        if self.dryrun {
            return self.would(verb, &source.display().to_string(), &object.to_string());
        }
        let own_name = source.file_name().and_then(OsStr::to_str);
        let attributes = self.attributes.attributes(own_name.unwrap_or(object.key.base_name()))?;
        let delta = self.delta && may_be_delta;
        let options = PutOptions { delta, attributes, status: file.status(), ..PutOptions::default() };
        let report = self.service.put(file, object, &options).await?;
        let done = self.tell_stored(verb, file.name(), object, &report)?;
        if self.moving { Ok(self.remove_stored(file, source)?.unwrap_or(done)) } else { Ok(done) }
    }

    /// Removes a file that was stored, if its path still leads to what was read. Between this look and the removal a few
    /// microseconds remain in which a file that replaces it by rename is removed in its place.
    fn remove_stored(&self, file: &Input, source: &Path) -> Result<Option<Exit>, Failure> {
        let mut known = BTreeSet::new();
        if self.moved_from.as_ref().is_some_and(|folder| is_behind_a_link(folder, source, &mut known)) {
            warn(&format!("warning: {} stays: {}", source.display(), Passed::BehindALink));
            return Ok(Some(Exit::Warned));
        }
        let removed = match file.is_still_at(source) {
            Ok(true) => std::fs::remove_file(source),
            Ok(false) => {
                let name = source.display();
                warn(&format!("warning: {name} was replaced or written to while it was moved; it stays"));
                return Ok(Some(Exit::Warned));
            }
            Err(error) => Err(error),
        };
        match removed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            removed => removed.map(|()| None).map_err(|error| ServiceError::local(source.display())(error).into()),
        }
    }

    /// Downloads a file.
    pub(super) async fn download(&self, object: &ObjectName, path: &Path) -> Result<Exit, Failure> {
        let (name, verb) = (object.to_string(), self.verb("download"));
        if self.dryrun {
            return self.would(verb, &name, &path.display().to_string());
        }
        let seen = self.seen(object).await?;
        let unpacked_stays = seen.is_some() && self.get.allow_recompressed;
        let (path, report) = self.service.get_to_file(object, path, &self.get).await?;
        if self.tell_written(verb, &name, &path, &report)? == Exit::Warned {
            return Ok(Exit::Warned);
        }
        if unpacked_stays && report.unpacked.is_some() {
            warn(&format!("warning: {name} stays: what was written is not the file"));
            return Ok(Exit::Warned);
        }
        self.remove_moved(object, seen).await
    }

    /// Says what was written, and warns if the store states another checksum of it; then what is moved stays.
    pub(super) fn tell_written(
        &self,
        verb: &str,
        name: &str,
        path: &Path,
        report: &GetReport,
    ) -> Result<Exit, Failure> {
        let size = match self.get.range {
            Some(range) => format!("{}, {range}", human(report.size)),
            None => human(report.size),
        };
        let what = match (report.unpacked, report.compared) {
            (Some(compression), _) => {
                format!("{size}, the content unpacked from {compression}: not the file, and not verified by SHA-256")
            }
            (None, Compared::Sha256(_)) => format!("{size}, SHA-256 verified"),
            (None, Compared::Stated(checksum)) => format!("{size}, {checksum} of the store verified"),
            (None, Compared::Contradicted(_) | Compared::Nothing) => size,
        };
        let text = format!("{verb}: {name} to {} ({what})", path.display());
        let told = json!({
            "action": verb, "source": name, "target": path.display().to_string(), "size": report.size,
            "sha256": report.compared.sha256().map(|digest| digest.to_string()),
            "unpacked": report.unpacked.map(|compression| compression.to_string()),
        });
        self.output.event(text, told)?;
        Ok(self.warn_of_contradiction(name, report))
    }

    fn warn_of_contradiction(&self, name: &str, report: &GetReport) -> Exit {
        let Compared::Contradicted(checksum) = report.compared else { return Exit::Done };
        let stays = if self.moving { "; it stays" } else { "" };
        warn(&format!(
            "warning: {name} was written as the store sent it, twice alike, but the store states the {checksum} of other bytes{stays}; \
             --no-verify-etag compares nothing"
        ));
        Exit::Warned
    }

    /// Writes a file to a stream, which is opened before anything is fetched.
    pub(super) async fn print(&self, object: &ObjectName, stream: &Special) -> Result<Exit, Failure> {
        let name = match stream {
            Special::Standard => "-".to_owned(),
            Special::Path(path) => path.display().to_string(),
        };
        if self.dryrun {
            return self.would("download", &object.to_string(), &name);
        }
        match stream {
            Special::Standard => {
                let (_, report) = self.service.get(object, io::stdout(), &self.get).await?;
                Ok(self.warn_of_contradiction(&object.to_string(), &report))
            }
            Special::Path(path) => {
                let (_, report) = self.service.get(object, Special::write(path).await?, &self.get).await?;
                self.tell_written("download", &object.to_string(), path, &report)
            }
        }
    }

    /// Copies a file inside the store.
    pub(super) async fn copy(
        &self,
        from: &ObjectName,
        to: &ObjectName,
        MayBeDelta(may_be_delta): MayBeDelta,
    ) -> Result<Exit, Failure> {
        let verb = self.verb("copy");
        if self.dryrun {
            return self.would(verb, &from.to_string(), &to.to_string());
        }
        let seen = self.seen(from).await?;
        let delta = self.delta && may_be_delta;
        let report = self.service.copy_comparing(from, to, delta, self.get.stated).await?;
        let done = self.tell_stored(verb, &from.to_string(), to, &report)?;
        if report.warnings.iter().any(|warning| matches!(warning, PutWarning::Contradicted(_))) {
            return Ok(done);
        }
        let removed = self.remove_moved(from, seen).await?;
        Ok(if done == Exit::Done { removed } else { done })
    }

    async fn remove_object(&self, object: &ObjectName, listed: &ListedWrite) -> Result<Exit, Failure> {
        let name = object.to_string();
        if self.dryrun {
            return self.tell_removed(&name);
        }
        let Some(deletion) = self.service.delete_listed(object, listed).await? else {
            warn(&format!("warning: {} stays: it was replaced since it was listed", &name));
            return Ok(Exit::Skipped);
        };
        self.tell_removed(&name)?;
        for warning in &deletion.warnings {
            complain("warning", warning);
        }
        Ok(if deletion.warnings.is_empty() { Exit::Done } else { Exit::Warned })
    }

    fn remove_file(&self, path: &Path) -> Result<Exit, Failure> {
        if !self.dryrun {
            std::fs::remove_file(path).map_err(ServiceError::local(path.display()))?;
        }
        self.tell_removed(&path.display().to_string())
    }

    pub(super) fn tell_removed(&self, name: &str) -> Result<Exit, Failure> {
        let dry = if self.dryrun { "(dryrun) " } else { "" };
        let told = json!({ "action": "delete", "dryrun": self.dryrun, "target": name });
        self.output.event(format!("{dry}delete: {name}"), told).map(|()| Exit::Done)
    }

    /// Of what no listing has shown, also a dry run says so where it is absent.
    pub(super) async fn check_source(&self, object: &ObjectName) -> Result<(), Failure> {
        if !self.dryrun {
            return Ok(());
        }
        if self.get.raw {
            self.service.store().head(object).await?;
        } else {
            self.service.head(object).await?;
        }
        Ok(())
    }

    /// What is to be moved, as it is before.
    async fn seen(&self, object: &ObjectName) -> Result<Option<Head>, Failure> {
        Ok(if self.moving { Some(self.service.head(object).await?) } else { None })
    }

    /// Removes what was moved.
    async fn remove_moved(&self, object: &ObjectName, seen: Option<Head>) -> Result<Exit, Failure> {
        let Some(seen) = seen else { return Ok(Exit::Done) };
        match self.service.delete_moved(object, &seen).await? {
            Moved::Removed => return Ok(Exit::Done),
            Moved::Replaced => warn(&format!("warning: {object} was replaced while it was moved; the new one stays")),
            Moved::HasOlder => warn(&format!(
                "warning: {object} was copied, not removed: its name has an older object too, which cannot be removed \
                 safely beside other writers on this store; `rm` removes both"
            )),
        }
        Ok(Exit::Warned)
    }

    /// How a file was stored and what that saves.
    fn tell_stored(&self, verb: &str, from: &str, to: &ObjectName, report: &PutReport) -> Result<Exit, Failure> {
        let (size, stored, name) = (human(report.size), human(report.stored), to.to_string());
        let (saving, stored_as, reason) = match &report.stored_as {
            StoredAs::Reference => (format!("reference: {size}"), "reference", None),
            StoredAs::Delta => {
                (format!("delta: {stored} of {size}, {}", percent(report.stored, report.size)), "delta", None)
            }
            StoredAs::Direct(reason) => (format!("direct: {size}, {reason}"), "direct", Some(reason.to_string())),
        };
        let told = json!({
            "action": verb, "source": from, "target": name, "stored_as": stored_as, "reason": reason, "size": report.size,
            "stored": report.stored, "sha256": report.sha256.map(|digest| digest.to_string()),
        });
        let unknown = if report.sha256.is_none() && verb == "upload" { ", without its SHA-256" } else { "" };
        self.output.event(format!("{verb}: {from} to {name} ({saving}{unknown})"), told)?;
        for warning in &report.warnings {
            complain(&format!("warning: {name}"), warning);
        }
        Ok(if report.warnings.is_empty() { Exit::Done } else { Exit::Warned })
    }
}

/// What came of a folder.
pub(super) struct Done {
    pub(super) tally: super::parallel::Tally,
    pub(super) unchanged: u64,
}
