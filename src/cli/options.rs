//! What can be typed.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::domain::policy::MaxRatio;

/// Keeps many versions of large files in S3-compatible object storage at the cost of one.
#[derive(Debug, Parser)]
#[command(name = "deltaglider", version, about, after_help = EXIT_CODES, max_term_width = 100)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: GlobalOptions,
    #[command(subcommand)]
    pub(super) command: Command,
}

const EXIT_CODES: &str = "`deltaglider xdelta3 …`, or this binary under the name xdelta3, takes the arguments of xdelta3 and \
    does the same: see `deltaglider xdelta3 -h`.\n\nExit codes: 0 done; 1 something failed or nothing was found; 2 done, with warnings; \
    255 usage, or a local file that does not exist; 128 and the signal's number when interrupted.";

/// Options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct GlobalOptions {
    /// Where the store is: https://…, http://…, or file:PATH for the embedded store in a folder
    ///
    /// Without it, AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL and the profile are asked, in this order; if none names one, the store is
    /// AWS.
    #[arg(long, global = true, value_name = "URL")]
    pub(super) endpoint_url: Option<String>,
    /// The region of the bucket
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) region: Option<String>,
    /// The profile of ~/.aws/config and ~/.aws/credentials to use
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) profile: Option<String>,
    /// Sends requests without credentials
    #[arg(long, global = true)]
    pub(super) no_sign_request: bool,
    /// Trusts the certificates of this file (PEM) instead of the system's
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) ca_bundle: Option<PathBuf>,
    /// Logs every step on standard error
    #[arg(long, global = true)]
    pub(super) debug: bool,
    /// What is logged on standard error
    #[arg(skip = std::env::var("DG_LOG_LEVEL").ok())]
    pub(super) log_level: Option<String>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Copies files into a bucket, as deltas where it saves, and out of it, exact and verified
    Cp(CpArgs),
    /// Lists buckets, or the files of one with the sizes of the originals
    Ls(LsArgs),
    /// Makes a bucket
    Mb(BucketArgs),
    /// Removes a file
    Rm(RmArgs),
    /// Counts what a bucket holds and saves
    Stats(StatsArgs),
    /// Reads files back and compares their SHA-256
    Verify(VerifyArgs),
}

/// Of `cp`.
#[derive(Debug, Args)]
pub(super) struct CpArgs {
    /// A file or folder, - for standard input, or s3://bucket/key
    pub(super) source: OsString,
    /// s3://bucket/key, a file or folder, or - for standard output; with a / at the end, the name stays
    pub(super) destination: OsString,
    /// Copies everything in a folder
    #[arg(short, long)]
    pub(super) recursive: bool,
    /// Stores files as they are
    #[arg(long)]
    pub(super) no_delta: bool,
    /// The share of a file's size that its delta may have, above 0 and at most 1; a file with a larger one is stored whole
    #[arg(long, value_name = "RATIO", env = "DG_MAX_RATIO", default_value_t = MaxRatio::default())]
    pub(super) max_ratio: MaxRatio,
    /// The folder whose references are used and added to, one that the file is stored below [default: its own folder or, if that has no
    /// reference and a digit in its name, the one it is in]
    #[arg(long, value_name = "PREFIX", env = "DG_DELTASPACE")]
    pub(super) deltaspace: Option<String>,
    /// The extensions of files that are kept as deltas, such as .zip,.tar,.whl
    #[arg(long, value_name = "LIST", env = "DG_DELTA_EXTENSIONS")]
    pub(super) delta_extensions: Option<String>,
    /// Gives the bytes that are stored at exactly this key, whatever they are
    #[arg(long, conflicts_with_all = ["recursive", "allow_recompressed"])]
    pub(super) raw: bool,
    /// Gives the unpacked content of a file that an older tool unpacked and that cannot be packed again exactly, as NAME.unpacked
    #[arg(long)]
    pub(super) allow_recompressed: bool,
    /// Says what would be done
    #[arg(long, visible_alias = "dry-run")]
    pub(super) dryrun: bool,
    /// Prints errors only
    #[arg(short, long)]
    pub(super) quiet: bool,
}

/// Of `ls`.
#[derive(Debug, Args)]
pub(super) struct LsArgs {
    /// s3://bucket/prefix; without it, the buckets
    pub(super) uri: Option<String>,
    /// Lists what is in folders too
    #[arg(short, long)]
    pub(super) recursive: bool,
    /// Prints sizes in KiB, MiB, …
    #[arg(long)]
    pub(super) human_readable: bool,
    /// Prints number and size of all files at the end
    #[arg(long)]
    pub(super) summarize: bool,
}

/// Of `mb`.
#[derive(Debug, Args)]
pub(super) struct BucketArgs {
    /// s3://bucket
    pub(super) uri: String,
}

/// Of `rm`.
#[derive(Debug, Args)]
pub(super) struct RmArgs {
    /// s3://bucket/key
    pub(super) uri: String,
    /// Says what would be done
    #[arg(long, visible_alias = "dry-run")]
    pub(super) dryrun: bool,
    /// Prints errors only
    #[arg(short, long)]
    pub(super) quiet: bool,
}

/// Of `stats`.
#[derive(Debug, Args)]
pub(super) struct StatsArgs {
    /// A bucket, or s3://bucket/prefix
    pub(super) bucket: String,
    /// Prints JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Of `verify`.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// s3://bucket/key
    pub(super) uri: String,
    /// Verifies every file in a folder, or in the bucket
    #[arg(short, long)]
    pub(super) recursive: bool,
    /// Prints errors only
    #[arg(short, long)]
    pub(super) quiet: bool,
}
