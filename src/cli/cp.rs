//! `cp` and `mv`: copy files and directories into a bucket, out of it, and between buckets.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::args::CpArgs;
use super::context::Context;
use super::error::{Exit, Failure, warn};
use super::output::Output;
use super::special_files::{Special, is_descriptor};
use super::transfer::{Transfer, policy};
use crate::domain::S3Uri;
use crate::domain::paths::file_name;
use crate::service::{AllowDelta, Compare, Folder, ServiceError, Step, SyncOptions};

/// The maximum number of bytes of a reference that a get holds in memory.
const HELD_BY_GET: u64 = 128 << 20;
/// The maximum number of bytes of a reference that a put holds in memory: those that the encoder
/// would copy anyway. Its tables take twice as many more.
const HELD_BY_PUT: u64 = 64 << 20;

pub(super) async fn run(
    context: &Context,
    args: CpArgs,
    output: Output,
    moving: bool,
) -> Result<Exit, Failure> {
    let route = route(&args)?;
    if args.range.is_some() && (moving || !matches!(route, Route::Down(..))) {
        return Err(Failure::usage("--range is for copies out of a bucket"));
    }
    if moving && (args.raw || is_special(&route)) {
        return Err(Failure::usage(
            "only whole files can be moved: -, pipes, devices and --raw are for cp",
        ));
    }
    // Invalid options are reported before anything is opened.
    args.attributes.attributes("")?;
    let policy = policy(&args.store);
    let service = match &route {
        _ if args.recursive => context.service(policy).await?,
        Route::Down(..) => context.service_for_one(policy, HELD_BY_GET).await?,
        Route::Up(..) | Route::Across(..) => context.service_for_one(policy, HELD_BY_PUT).await?,
    };
    let output = output.quieted(args.store.quiet).in_json(args.store.json);
    let copy = Copy { transfer: Transfer::of_copy(service, output, &args, moving)?, args };
    match route {
        Route::Up(source, to) if copy.args.recursive => {
            is_folder_of_files(&source)?;
            copy.folder(&Folder::Local(source), &in_bucket(&to), None).await
        }
        Route::Down(from, destination) if copy.args.recursive => {
            copy.folder(&in_bucket(&from), &Folder::Local(destination), Some(&from)).await
        }
        Route::Across(from, to) if copy.args.recursive => {
            copy.folder(&in_bucket(&from), &in_bucket(&to), Some(&from)).await
        }
        Route::Up(source, to) => copy.up(&source, &to).await,
        Route::Down(from, destination) => copy.down(&from, &destination).await,
        Route::Across(from, to) => copy.across(&from, &to).await,
    }
}

/// Returns whether the local side is a stream.
fn is_special(route: &Route) -> bool {
    match route {
        Route::Up(source, _) => Special::source(source).is_some(),
        Route::Down(_, destination) => Special::destination(destination).is_some(),
        Route::Across(..) => false,
    }
}

/// The direction of a copy: which of its two ends are in the store.
pub(super) enum Route {
    Up(PathBuf, S3Uri),
    Down(S3Uri, PathBuf),
    Across(S3Uri, S3Uri),
}

impl Route {
    /// Parses a source and a destination as typed; at least one must be in the store.
    pub(super) fn of(source: &OsStr, destination: &OsStr) -> Result<Self, Failure> {
        let uri = |text: &OsStr| {
            text.to_str().filter(|text| S3Uri::is_meant(text)).map(str::parse::<S3Uri>).transpose()
        };
        match (uri(source)?, uri(destination)?) {
            (None, Some(to)) => Ok(Self::Up(source.into(), to)),
            (Some(from), None) => Ok(Self::Down(from, destination.into())),
            (Some(from), Some(to)) => Ok(Self::Across(from, to)),
            (None, None) => {
                Err(Failure::usage("one of the two must be an S3 URI, such as s3://bucket/key"))
            }
        }
    }

    /// Rejects object options unless the copy is an upload.
    pub(super) fn reject_object_options(&self) -> Result<(), Failure> {
        match self {
            Self::Up(..) => Ok(()),
            Self::Down(from, _) => Err(Failure::usage(format!(
                "{from} is copied out of a bucket; object metadata is for uploads only"
            ))),
            Self::Across(..) => Err(Failure::usage(
                "a copy inside the store has the headers, metadata and class of its source",
            )),
        }
    }
}

fn route(args: &CpArgs) -> Result<Route, Failure> {
    let route = Route::of(&args.source, &args.destination)?;
    if !matches!(route, Route::Down(..)) && (args.raw || args.allow_recompressed) {
        return Err(Failure::usage(
            "--raw and --allow-recompressed are for copies out of a bucket",
        ));
    }
    if !args.attributes.is_empty() {
        route.reject_object_options()?;
    }
    if !args.recursive && !args.filters.is_empty() {
        return Err(Failure::usage("--exclude and --include need --recursive"));
    }
    match &route {
        Route::Up(..) if args.recursive && args.source == "-" => {
            Err(Failure::usage("standard input is not a directory; drop --recursive"))
        }
        Route::Down(from, destination)
            if args.recursive && Special::destination(destination).is_some() =>
        {
            let name = if args.destination == "-" {
                "standard output".into()
            } else {
                destination.to_string_lossy()
            };
            Err(Failure::usage(format!("{from}: a directory cannot be copied to {name}")))
        }
        _ => Ok(route),
    }
}

/// Returns the prefix that a URI names.
pub(super) fn in_bucket(uri: &S3Uri) -> Folder {
    Folder::in_bucket(&uri.bucket, &uri.path)
}

/// Returns an error if `path` is not a directory.
pub(super) fn is_folder_of_files(path: &Path) -> Result<(), Failure> {
    if std::fs::metadata(path).map_err(ServiceError::local(path.display()))?.is_dir() {
        return Ok(());
    }
    Err(Failure::usage(format!("{} is not a directory", path.display())))
}

/// A run of the command.
struct Copy {
    transfer: Transfer,
    args: CpArgs,
}

impl Copy {
    async fn folder(
        &self,
        from: &Folder,
        to: &Folder,
        asked: Option<&S3Uri>,
    ) -> Result<Exit, Failure> {
        let options = SyncOptions {
            compare: Compare::Never,
            remove: false,
            filter: self.args.filters.to_filter(),
            dryrun: self.args.store.dryrun,
        };
        let steps = self.transfer.service.sync(from, to, options).await?;
        let done = self.transfer.all(steps, self.args.store.concurrency).await?;
        if let Some(asked) = asked.filter(|_| done.tally.all() + done.unchanged == 0) {
            warn(&format!("nothing is stored under {asked}"));
            return Ok(Exit::Failed);
        }
        Ok(done.tally.end())
    }

    async fn up(&self, source: &Path, to: &S3Uri) -> Result<Exit, Failure> {
        let special = Special::source(source);
        let nameless = special == Some(Special::Standard) || is_descriptor(source);
        if special.is_none() && source.is_dir() {
            return Err(Failure::usage(format!(
                "{} is a directory; pass --recursive to copy it",
                source.display()
            )));
        }
        let object = if !to.path.is_empty() && !to.path.ends_with('/') {
            to.object()?
        } else if nameless {
            let name = if special == Some(Special::Standard) {
                "standard input".into()
            } else {
                source.to_string_lossy()
            };
            return Err(Failure::usage(format!("{name} has no name; add one at the end of {to}")));
        } else {
            let name = source.file_name().and_then(OsStr::to_str);
            let name = name.ok_or_else(|| {
                Failure::usage(format!("{} has no name in UTF-8", source.display()))
            })?;
            S3Uri { bucket: to.bucket.clone(), path: format!("{}{name}", to.path) }.object()?
        };
        match special {
            Some(special) => self.transfer.upload_stream(&special, &object).await,
            None => {
                self.transfer.one(Step::Upload(source.to_owned(), object, AllowDelta(true))).await
            }
        }
    }

    async fn down(&self, from: &S3Uri, destination: &Path) -> Result<Exit, Failure> {
        let object = from.object()?;
        self.transfer.check_source(&object).await?;
        if let Some(special) = Special::destination(destination) {
            if self.args.allow_recompressed {
                return Err(Failure::usage(
                    "--allow-recompressed writes NAME.unpacked; pass a file or a directory",
                ));
            }
            return self.transfer.print(&object, &special).await;
        }
        let path = if is_folder(destination) {
            let name = file_name(object.key.base_name())
                .map_err(|error| Failure::usage(format!("{object}: {error}")))?;
            destination.join(name)
        } else {
            destination.to_owned()
        };
        self.transfer.one(Step::Download(object, path)).await
    }

    async fn across(&self, from: &S3Uri, to: &S3Uri) -> Result<Exit, Failure> {
        let from = from.object()?;
        self.transfer.check_source(&from).await?;
        let to = if to.path.is_empty() || to.path.ends_with('/') {
            S3Uri {
                bucket: to.bucket.clone(),
                path: format!("{}{}", to.path, from.key.base_name()),
            }
            .object()?
        } else {
            to.object()?
        };
        self.transfer.one(Step::Copy(from, to, AllowDelta(true))).await
    }
}

/// Returns whether a path means "into this directory".
fn is_folder(path: &Path) -> bool {
    let text = path.as_os_str().as_encoded_bytes();
    text.ends_with(b"/") || cfg!(windows) && text.ends_with(b"\\") || path.is_dir()
}
