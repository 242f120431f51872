//! `cp`: files and folders into a bucket and out of it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::destination::{file_name, folder, is_folder, relative_key, relative_path};
use super::failure::{Exit, Failure, complain, warn};
use super::options::CpArgs;
use super::output::{Output, human, on_one_line, percent};
use super::session::Session;
use crate::domain::policy::{DeltaExtensions, Policy};
use crate::domain::{ObjectName, S3Uri};
use crate::service::{DeltaService, GetOptions, Input, PutOptions, PutReport, ServiceError, StoredAs};

/// What `-` is called in messages.
const STANDARD_INPUT: &str = "standard input";

pub(super) async fn run(session: &Session, args: CpArgs, output: Output) -> Result<Exit, Failure> {
    let route = route(&args)?;
    let extensions = args.delta_extensions.as_deref().map(DeltaExtensions::parse).unwrap_or_default();
    let service =
        session.service(Policy { extensions, max_ratio: args.max_ratio, deltaspace: args.deltaspace.clone() }).await?;
    let copy = Copy { service: service.clone(), output: output.quieted(args.quiet), args };
    match route {
        Route::Up(source, to) if copy.args.recursive => copy.folder_up(&source, &to).await,
        Route::Up(source, to) => copy.up(&source, &to).await,
        Route::Down(from, destination) if copy.args.recursive => copy.folder_down(&from, &destination).await,
        Route::Down(from, destination) => copy.down(&from, &destination).await,
    }
}

/// Which of the two is in the store.
enum Route {
    Up(PathBuf, S3Uri),
    Down(S3Uri, PathBuf),
}

fn route(args: &CpArgs) -> Result<Route, Failure> {
    let uri = |text: &OsStr| text.to_str().filter(|text| S3Uri::is_meant(text)).map(str::parse::<S3Uri>).transpose();
    match (uri(&args.source)?, uri(&args.destination)?) {
        (None, Some(to)) => {
            if args.raw || args.allow_recompressed {
                return Err(Failure::usage("--raw and --allow-recompressed are for copies out of a bucket"));
            }
            if args.recursive && args.source == "-" {
                return Err(Failure::usage("standard input is no folder: --recursive makes no sense"));
            }
            Ok(Route::Up(args.source.clone().into(), to))
        }
        (Some(from), None) if args.recursive && args.destination == "-" => {
            Err(Failure::usage(format!("{from}: a folder cannot be copied to standard output")))
        }
        (Some(from), None) => Ok(Route::Down(from, args.destination.clone().into())),
        (Some(_), Some(_)) => Err(Failure::usage("one of the two must be a file, a folder or -, not an S3 URI")),
        (None, None) => Err(Failure::usage("one of the two must be an S3 URI, such as s3://bucket/key")),
    }
}

/// One run of the command.
struct Copy {
    service: DeltaService,
    output: Output,
    args: CpArgs,
}

/// What came of a folder's files.
#[derive(Default)]
struct Tally {
    done: u64,
    warned: u64,
    failed: u64,
}

impl Tally {
    fn add(&mut self, exit: Exit) {
        match exit {
            Exit::Done => self.done += 1,
            Exit::Warned => self.warned += 1,
            _ => self.failed += 1,
        }
    }

    fn end(&self) -> Exit {
        if self.failed > 0 {
            warn(&format!("{} of {} failed", self.failed, self.done + self.warned + self.failed));
            Exit::Failed
        } else if self.warned > 0 {
            Exit::Warned
        } else {
            Exit::Done
        }
    }
}

impl Copy {
    async fn up(&self, source: &Path, to: &S3Uri) -> Result<Exit, Failure> {
        let standard_input = source.as_os_str() == "-";
        if !standard_input && source.is_dir() {
            return Err(Failure::usage(format!("{} is a folder; --recursive copies it", source.display())));
        }
        let object = if !to.path.is_empty() && !to.path.ends_with('/') {
            to.object()?
        } else if standard_input {
            return Err(Failure::usage(format!("standard input has no name; {to} needs one at its end")));
        } else {
            let name = source.file_name().and_then(OsStr::to_str);
            let name = name.ok_or_else(|| Failure::usage(format!("{} has no name in UTF-8", source.display())))?;
            S3Uri { bucket: to.bucket.clone(), path: format!("{}{name}", to.path) }.object()?
        };
        if self.args.dryrun {
            if !standard_input {
                Input::open(source).await?;
            }
            self.output.line(format!("(dryrun) upload: {} to {object}", source.display()))?;
            return Ok(Exit::Done);
        }
        self.upload(source, &object).await
    }

    /// Uploads a file, or standard input, and tells what became of it.
    async fn upload(&self, source: &Path, object: &ObjectName) -> Result<Exit, Failure> {
        let file = if source.as_os_str() == "-" {
            Input::spool(std::io::stdin(), STANDARD_INPUT, &std::env::temp_dir()).await?
        } else {
            Input::open(source).await?
        };
        let report = self.service.put(&file, object, &PutOptions { delta: !self.args.no_delta }).await?;
        let name = on_one_line(&object.to_string());
        self.output.line(format!("upload: {} to {name} ({})", on_one_line(file.name()), saving(&report)))?;
        for warning in &report.warnings {
            complain(&format!("warning: {name}"), warning);
        }
        Ok(if report.warnings.is_empty() { Exit::Done } else { Exit::Warned })
    }

    async fn folder_up(&self, source: &Path, to: &S3Uri) -> Result<Exit, Failure> {
        let local = ServiceError::local(source.display());
        if !std::fs::metadata(source).map_err(local)?.is_dir() {
            return Err(Failure::usage(format!("{} is no folder; --recursive copies folders", source.display())));
        }
        let mut tally = Tally::default();
        // In the order of their names, so that it does not depend on the file system which file becomes the reference.
        for entry in walkdir::WalkDir::new(source).follow_links(true).sort_by_file_name() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    complain("upload failed", &error);
                    tally.add(Exit::Failed);
                    continue;
                }
            };
            if entry.file_type().is_dir() {
                continue;
            }
            if !entry.file_type().is_file() {
                warn(&format!("warning: skipped {}: it is not a regular file", entry.path().display()));
                tally.add(Exit::Warned);
                continue;
            }
            let exit = self
                .upload_below(source, entry.path(), to)
                .await
                .or_else(|failure| failure.tell_of(&format!("upload failed: {}", entry.path().display())))?;
            tally.add(exit);
        }
        Ok(tally.end())
    }

    async fn upload_below(&self, folder_path: &Path, path: &Path, to: &S3Uri) -> Result<Exit, Failure> {
        let relative = path.strip_prefix(folder_path).unwrap_or(path);
        let key = relative_key(relative)
            .ok_or_else(|| Failure::usage(format!("{} is not UTF-8, as keys are", path.display())))?;
        let object = S3Uri { bucket: to.bucket.clone(), path: folder(&to.path) + &key }.object()?;
        if self.args.dryrun {
            self.output.line(format!("(dryrun) upload: {} to {object}", path.display()))?;
            return Ok(Exit::Done);
        }
        self.upload(path, &object).await
    }

    async fn down(&self, from: &S3Uri, destination: &Path) -> Result<Exit, Failure> {
        let object = from.object()?;
        if destination.as_os_str() == "-" {
            if self.args.allow_recompressed {
                return Err(Failure::usage(
                    "--allow-recompressed needs a file, whose name says that its content is unpacked",
                ));
            }
            if self.args.dryrun {
                self.head(&object).await?;
                return self.output.line(format!("(dryrun) download: {object} to -")).map(|()| Exit::Done);
            }
            self.service.get(&object, std::io::stdout(), &self.get_options()).await?;
            return Ok(Exit::Done);
        }
        let path = if is_folder(destination) {
            let name =
                file_name(object.key.base_name()).map_err(|error| Failure::usage(format!("{object}: {error}")))?;
            destination.join(name)
        } else {
            destination.to_owned()
        };
        self.download(&object, &path).await
    }

    async fn head(&self, object: &ObjectName) -> Result<(), Failure> {
        if self.args.raw {
            self.service.store().head(object).await?;
        } else {
            self.service.head(object).await?;
        }
        Ok(())
    }

    fn get_options(&self) -> GetOptions {
        GetOptions { raw: self.args.raw, allow_recompressed: self.args.allow_recompressed, ..GetOptions::default() }
    }

    /// Downloads a file and tells where it is.
    async fn download(&self, object: &ObjectName, path: &Path) -> Result<Exit, Failure> {
        let name = on_one_line(&object.to_string());
        if self.args.dryrun {
            self.head(object).await?;
            self.output.line(format!("(dryrun) download: {name} to {}", path.display()))?;
            return Ok(Exit::Done);
        }
        let (path, report) = self.service.get_to_file(object, path, &self.get_options()).await?;
        let size = human(report.size);
        self.output.line(match (report.unpacked, report.sha256) {
            (Some(compression), _) => format!(
                "download: {name} to {} ({size}, the content unpacked from {compression}: not the file, and not verified by SHA-256)",
                path.display()
            ),
            (None, Some(_)) => format!("download: {name} to {} ({size}, SHA-256 verified)", path.display()),
            (None, None) => format!("download: {name} to {} ({size})", path.display()),
        })?;
        Ok(Exit::Done)
    }

    async fn folder_down(&self, from: &S3Uri, destination: &Path) -> Result<Exit, Failure> {
        let prefix = folder(&from.path);
        let mut listing = self.service.list(&from.bucket, &prefix, None);
        let (mut tally, mut found) = (Tally::default(), false);
        while let Some(page) = listing.next().await? {
            for file in page.files.iter().filter(|file| file.is_shown()) {
                found = true;
                let object = ObjectName::new(from.bucket.clone(), file.key.clone());
                let exit = self.download_below(&prefix, &object, file.size, destination).await.or_else(|failure| {
                    failure.tell_of(&format!("download failed: {}", on_one_line(&object.to_string())))
                })?;
                tally.add(exit);
            }
        }
        if !found {
            warn(&format!("nothing is stored under {from}"));
            return Ok(Exit::Failed);
        }
        Ok(tally.end())
    }

    async fn download_below(
        &self,
        prefix: &str,
        object: &ObjectName,
        size: u64,
        destination: &Path,
    ) -> Result<Exit, Failure> {
        let key = object.key.as_str();
        let relative = key.strip_prefix(prefix).unwrap_or(key);
        if relative.is_empty() && size == 0 {
            // The marker of the folder itself.
            return Ok(Exit::Done);
        }
        if let Some(marked) = relative.strip_suffix('/').filter(|_| size == 0) {
            let path = destination.join(relative_path(marked).map_err(Failure::usage)?);
            if !self.args.dryrun {
                std::fs::create_dir_all(&path).map_err(ServiceError::local(path.display()))?;
            }
            return Ok(Exit::Done);
        }
        let path = destination.join(relative_path(relative).map_err(Failure::usage)?);
        self.download(object, &path).await
    }
}

/// How a file was stored and what that saves.
fn saving(report: &PutReport) -> String {
    let (size, stored) = (human(report.size), human(report.stored));
    match &report.stored_as {
        StoredAs::Reference => format!("reference: {size}"),
        StoredAs::Delta => format!("delta: {stored} of {size}, {}", percent(report.stored, report.size)),
        StoredAs::Direct(reason) => format!("direct: {size}, {reason}"),
    }
}
