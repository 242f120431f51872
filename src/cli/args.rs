//! The command-line arguments; the doc comments of these types are the `--help` texts.

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::filters::Filters;
use super::object_options::{KeyArgument, ObjectOptionArgs};
use crate::domain::ByteRange;
use crate::domain::packing::PackingChoice;
use crate::domain::policy::MaxRatio;
use crate::service::{RepairOptions, StatedChecksums};
use crate::storage::{AddressingStyle, CannedAcl};

/// Keeps many versions of large files in S3-compatible object storage at the cost of one.
#[derive(Debug, Parser)]
#[command(name = "deltaglider", version, about, after_help = EXIT_CODES, max_term_width = 100)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: GlobalOptions,
    #[command(subcommand)]
    pub(super) command: Command,
}

const EXIT_CODES: &str = "\
    `deltaglider xdelta3 …`, or this binary under the name xdelta3, takes the arguments of \
    xdelta3 and does the same: see `deltaglider xdelta3 -h`.\n\n\
    Exit codes: 0 done; 1 something failed or nothing was found; 2 done, with warnings; 255 \
    usage, or a local file that does not exist; 128 and the signal's number when interrupted.";

/// Options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct GlobalOptions {
    /// URL of the store: https://…, http://…, or file:PATH for the embedded store in a directory
    ///
    /// Defaults to the one in AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or the profile, in this order;
    /// if none of them names one, to AWS.
    #[arg(long, global = true, value_name = "URL")]
    pub(super) endpoint_url: Option<String>,
    /// Region of the bucket
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) region: Option<String>,
    /// Profile of ~/.aws/config and ~/.aws/credentials to use
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) profile: Option<String>,
    /// Send requests without credentials
    #[arg(long, global = true)]
    pub(super) no_sign_request: bool,
    /// Trust the certificates in this file (PEM) instead of the system's: those of authorities, or
    /// the store's own
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) ca_bundle: Option<PathBuf>,
    /// Accept any certificate of the store; anyone on the network path can then read and change
    /// the traffic
    #[arg(long, global = true)]
    pub(super) no_verify_ssl: bool,
    /// Part of a URL that holds the bucket's name: path, virtual (the host), or auto [default:
    /// addressing_style of the profile's s3 section, else auto: the host on AWS and where a store
    /// is known to need it]
    #[arg(long, global = true, value_name = "STYLE")]
    pub(super) addressing_style: Option<AddressingStyle>,
    /// Maximum number of attempts per request [default: AWS_MAX_ATTEMPTS, else 3, and for five
    /// minutes to a store that asks for fewer requests]
    #[arg(long, global = true, value_name = "N")]
    pub(super) max_attempts: Option<NonZeroU32>,
    /// Encrypt stored objects with the key of --sse-c-key, and read objects encrypted with it
    #[arg(long, global = true, value_name = "AES256", requires = "sse_c_key")]
    #[arg(num_args = 0..=1, default_missing_value = "AES256", value_parser = ["AES256"])]
    pub(super) sse_c: Option<String>,
    /// Key of 32 bytes: fileb://PATH, or the bytes themselves, which every user of this machine
    /// can see
    #[arg(long, global = true, value_name = "KEY", requires = "sse_c")]
    pub(super) sse_c_key: Option<KeyArgument>,
    /// Log every step on standard error
    #[arg(long, global = true)]
    pub(super) debug: bool,
    /// The level of the log on standard error.
    #[arg(skip = std::env::var("DG_LOG_LEVEL").ok().filter(|level| !level.is_empty()))]
    pub(super) log_level: Option<String>,
}

impl Command {
    /// Returns whether the command gives the bucket's owner full control of what it writes.
    pub(super) fn gives_owner_control(&self) -> bool {
        match self {
            Self::Cp(args) | Self::Mv(args) => args.attributes.gives_owner_control(),
            Self::Sync(args) => args.attributes.gives_owner_control(),
            _ => false,
        }
    }
}

/// A command.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Inspect, verify and clean the cache of references
    Cache(CacheArgs),
    /// Copy files into a bucket, as deltas where that saves space, out of it, exact and verified,
    /// or between buckets
    Cp(Box<CpArgs>),
    /// List buckets, or the files of one with their original sizes
    Ls(LsArgs),
    /// Create a bucket
    Mb(BucketArgs),
    /// Copy a bucket into another as cp -r does, skipping files whose content is already there, so
    /// that it can be run again; or re-encode old deltas
    Migrate(Box<MigrateArgs>),
    /// Delete a bucket without files
    Rb(RbArgs),
    /// Copy files as cp does, then delete the copied files
    Mv(Box<CpArgs>),
    /// Create a presigned URL
    Presign(PresignArgs),
    /// Delete the temporary copies of files whose presigned URLs have expired
    Purge(PurgeArgs),
    /// Print the access control list of a bucket as JSON
    GetBucketAcl(GetBucketAclArgs),
    /// Set the access control list of a bucket
    PutBucketAcl(PutBucketAclArgs),
    /// Find what is wrong in a bucket, and repair it on request
    ///
    /// Looks at every delta and reads every reference that a delta needs. Finds references that are
    /// missing, differ from what deltas expect or are not needed, names with two objects, damaged
    /// deltas, uploads that never ended, and lifecycle rules that would remove or archive a
    /// reference. Never deletes what a delta may need, nor the last copy of a file: a reference
    /// that no delta has needed for the grace period gets a tombstone, and is deleted after another
    /// grace period.
    Repair(RepairArgs),
    /// Delete a file, or all files under a prefix
    Rm(RmArgs),
    /// Make one directory or prefix like another, copying only what differs
    ///
    /// Skips a file if the sizes match and, on upload, the object is not older than the file; on
    /// download, the file's modification time equals that of the object, as a download sets it.
    Sync(Box<SyncArgs>),
    /// Count the files in a bucket and the space that deltas save
    Stats(StatsArgs),
    /// Read files back and compare their SHA-256
    Verify(VerifyArgs),
}

/// The arguments of `cache`.
#[derive(Debug, Args)]
pub(super) struct CacheArgs {
    #[command(subcommand)]
    pub(super) command: CacheCommand,
}

/// A command of `cache`.
#[derive(Debug, Subcommand)]
pub(super) enum CacheCommand {
    /// Show what the cache holds and where it is, and what other keys, processes and tools left
    Info(CacheInfoArgs),
    /// Authenticate every entry of a shared cache to its last byte, and delete those that fail
    Verify(CacheInfoArgs),
    /// Delete entries that are not in use, and the caches of processes that have ended
    Clean(CacheCleanArgs),
}

/// The arguments of `cache info` and `cache verify`.
#[derive(Debug, Args)]
pub(super) struct CacheInfoArgs {
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// The arguments of `cache clean`.
#[derive(Debug, Args)]
pub(super) struct CacheCleanArgs {
    /// Also delete entries of other keys than DG_CACHE_ENCRYPTION_KEY
    #[arg(long, conflicts_with = "legacy")]
    pub(super) all: bool,
    /// Delete instead the plain-text caches that the Python tool left in TMPDIR and /tmp, after a
    /// confirmation; the Python tool must not run at the same time
    #[arg(long)]
    pub(super) legacy: bool,
    /// Skip the confirmation
    #[arg(short, long, requires = "legacy")]
    pub(super) yes: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// The arguments of `cp` and `mv`.
#[derive(Debug, Args)]
pub(super) struct CpArgs {
    /// File or directory, - for standard input, or s3://bucket/key
    pub(super) source: OsString,
    /// s3://bucket/key, a file or directory, or - for standard output; with a / at the end, the
    /// source's name is kept
    pub(super) destination: OsString,
    /// Copy everything in a directory or under a prefix
    #[arg(short, long)]
    pub(super) recursive: bool,
    #[command(flatten)]
    pub(super) store: StoreArgs,
    #[command(flatten)]
    pub(super) filters: Filters,
    #[command(flatten)]
    pub(super) attributes: ObjectOptionArgs,
    /// Copy the bytes stored at exactly this key, whatever they are
    #[arg(long, conflicts_with_all = ["recursive", "allow_recompressed"])]
    pub(super) raw: bool,
    /// Maximum size of standard input in bytes, from which the size of upload parts is chosen
    #[arg(long, value_name = "BYTES")]
    pub(super) expected_size: Option<u64>,
    /// Copy only these bytes of a file: bytes=FIRST-LAST, bytes=FIRST- or bytes=-COUNT
    #[arg(long, conflicts_with_all = ["recursive", "allow_recompressed"])]
    pub(super) range: Option<ByteRange>,
    /// Write as NAME.unpacked the unpacked content of a file that an older tool unpacked and that
    /// cannot be packed again exactly
    #[arg(long)]
    pub(super) allow_recompressed: bool,
}

/// The arguments of `sync`.
#[derive(Debug, Args)]
pub(super) struct SyncArgs {
    /// Directory, or s3://bucket/prefix
    pub(super) source: OsString,
    /// Directory or prefix to make like the source; one of the two must be in a bucket
    pub(super) destination: OsString,
    /// Delete files that do not exist in the source
    #[arg(long)]
    pub(super) delete: bool,
    /// Compare files by SHA-256; equal files are not copied, whatever their times
    #[arg(long, conflicts_with = "size_only")]
    pub(super) checksum: bool,
    /// Compare sizes only
    #[arg(long)]
    pub(super) size_only: bool,
    #[command(flatten)]
    pub(super) store: StoreArgs,
    #[command(flatten)]
    pub(super) filters: Filters,
    #[command(flatten)]
    pub(super) attributes: ObjectOptionArgs,
}

/// The options of commands that store many files.
#[derive(Debug, Clone, Args)]
pub(super) struct StoreArgs {
    /// Store files as they are
    #[arg(long)]
    pub(super) no_delta: bool,
    /// Maximum size of a delta as a share of its file's size, above 0 and at most 1; a file with a
    /// larger delta is stored whole
    #[arg(long, value_name = "RATIO", env = "DG_MAX_RATIO", default_value_t = MaxRatio::default())]
    pub(super) max_ratio: MaxRatio,
    /// Prefix whose references are used and added to; the file must be stored below it [default:
    /// the file's own prefix or, if that has no reference and a digit in its name, the one it is
    /// in]
    #[arg(long, value_name = "PREFIX", env = "DG_DELTASPACE")]
    pub(super) deltaspace: Option<String>,
    /// Extensions of files to store as deltas, such as .zip,.tar,.whl
    #[arg(long, value_name = "LIST", env = "DG_DELTA_EXTENSIONS")]
    pub(super) delta_extensions: Option<String>,
    /// Compression of new references where it saves a tenth: auto (gzip), none, gzip or xz; also by
    /// prefix, such as auto,s3://bucket/raw/=none
    #[arg(long, value_name = "FORM", env = "DG_REFERENCE_PACKING", default_value = "auto")]
    #[arg(hide_default_value = true)]
    pub(super) reference_packing: PackingChoice,
    #[command(flatten)]
    pub(super) stated: StatedArgs,
    /// Number of files transferred at once
    #[arg(long, value_name = "N", env = "DG_CONCURRENCY", default_value_t = 8)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(super) concurrency: u16,
    /// Print events as JSON, one object per line
    #[arg(long)]
    pub(super) json: bool,
    /// Print what would be done, without doing it
    #[arg(long, visible_alias = "dry-run")]
    pub(super) dryrun: bool,
    /// Print errors only
    #[arg(short, long)]
    pub(super) quiet: bool,
}

impl StoreArgs {
    /// Returns the treatment of checksums that the store states.
    pub(super) fn stated(&self) -> StatedChecksums {
        self.stated.or(StatedChecksums::Compare)
    }
}

/// The options of commands that read files which may have no SHA-256.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct StatedArgs {
    /// Do not compare files of other tools with their ETags and the store's checksums
    #[arg(long)]
    no_verify_etag: bool,
}

impl StatedArgs {
    /// Returns `Ignore` with `--no-verify-etag`, else `otherwise`.
    pub(super) fn or(self, otherwise: StatedChecksums) -> StatedChecksums {
        if self.no_verify_etag { StatedChecksums::Ignore } else { otherwise }
    }
}

/// The arguments of `ls`.
#[derive(Debug, Args)]
pub(super) struct LsArgs {
    /// s3://bucket/prefix; without it, buckets are listed
    pub(super) uri: Option<String>,
    /// List all files below the prefix
    #[arg(short, long)]
    pub(super) recursive: bool,
    /// Print sizes in KiB, MiB, …
    #[arg(long)]
    pub(super) human_readable: bool,
    /// Print the number and the total size of all files at the end
    #[arg(long)]
    pub(super) summarize: bool,
    /// Sizes to print: of the original files, or of the stored objects, which takes one listing and
    /// no request per object
    #[arg(long, value_name = "WHICH", default_value = "original")]
    pub(super) sizes: Sizes,
}

/// The sizes that `ls` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Sizes {
    Original,
    Stored,
}

/// The arguments of `mb`.
#[derive(Debug, Args)]
pub(super) struct BucketArgs {
    /// s3://bucket
    pub(super) uri: String,
}

/// The arguments of `rb`.
#[derive(Debug, Args)]
pub(super) struct RbArgs {
    /// s3://bucket
    pub(super) uri: String,
    /// Delete every file in it first
    #[arg(long)]
    pub(super) force: bool,
}

/// The arguments of `rm`.
#[derive(Debug, Args)]
pub(super) struct RmArgs {
    /// s3://bucket/key; with --recursive, a prefix
    pub(super) uri: String,
    /// Delete every file under the prefix, or in the bucket
    #[arg(short, long)]
    pub(super) recursive: bool,
    /// Print what would be done, without doing it
    #[arg(long, visible_alias = "dry-run")]
    pub(super) dryrun: bool,
    /// Print errors only
    #[arg(short, long)]
    pub(super) quiet: bool,
}

/// The arguments of `migrate`.
#[derive(Debug, Args)]
pub(super) struct MigrateArgs {
    /// Bucket or prefix to copy, s3://bucket/prefix; with --rebase, the one whose deltas are
    /// re-encoded
    pub(super) source: String,
    /// Bucket or prefix to copy to
    #[arg(required_unless_present = "rebase", conflicts_with = "rebase")]
    pub(super) destination: Option<String>,
    /// Leave out the last part of the source prefix, which is otherwise kept in the new keys
    #[arg(long, conflicts_with = "rebase")]
    pub(super) no_preserve_prefix: bool,
    /// Re-encode the deltas of old versions against later references, if that saves a tenth of
    /// their size
    #[arg(long)]
    pub(super) rebase: bool,
    /// Skip the confirmation
    #[arg(short, long)]
    pub(super) yes: bool,
    #[command(flatten)]
    pub(super) store: StoreArgs,
    #[command(flatten)]
    pub(super) filters: Filters,
}

/// The arguments of `presign`.
#[derive(Debug, Args)]
pub(super) struct PresignArgs {
    /// s3://bucket/key
    pub(super) uri: String,
    /// Lifetime of the URL in seconds, at most 604800 (a week)
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    pub(super) expires_in: u64,
    /// Access that the URL grants
    #[arg(long, value_enum, default_value_t = Method::Get)]
    pub(super) method: Method,
    /// For a delta, store a temporary copy of the file for the lifetime of the URL
    #[arg(long)]
    pub(super) rehydrate: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// The access that a presigned URL grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Method {
    /// Read the file
    Get,
    /// Write a file, which is stored as it is
    Put,
}

impl Method {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Put => "put",
        }
    }
}

/// The arguments of `purge`.
#[derive(Debug, Args)]
pub(super) struct PurgeArgs {
    /// A bucket, or s3://bucket
    pub(super) bucket: String,
    /// Print what would be done, without doing it
    #[arg(long, visible_alias = "dry-run")]
    pub(super) dryrun: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// The arguments of `get-bucket-acl`.
#[derive(Debug, Args)]
pub(super) struct GetBucketAclArgs {
    /// A bucket, or s3://bucket
    pub(super) bucket: String,
}

/// The arguments of `put-bucket-acl`.
#[derive(Debug, Args)]
pub(super) struct PutBucketAclArgs {
    /// A bucket, or s3://bucket
    pub(super) bucket: String,
    /// Canned ACL: private, public-read, public-read-write or authenticated-read
    #[arg(long, value_name = "CANNED-ACL")]
    pub(super) acl: Option<CannedAcl>,
    /// Grantees with full control: id=…, emailAddress=… or uri=…, separated by commas
    #[arg(long, value_name = "GRANTEES")]
    pub(super) grant_full_control: Option<String>,
    /// Grantees who may list the bucket
    #[arg(long, value_name = "GRANTEES")]
    pub(super) grant_read: Option<String>,
    /// Grantees who may read this access control list
    #[arg(long, value_name = "GRANTEES")]
    pub(super) grant_read_acp: Option<String>,
    /// Grantees who may write objects
    #[arg(long, value_name = "GRANTEES")]
    pub(super) grant_write: Option<String>,
    /// Grantees who may change this access control list
    #[arg(long, value_name = "GRANTEES")]
    pub(super) grant_write_acp: Option<String>,
    /// Whole access control list as JSON, in the form of get-bucket-acl
    #[arg(long, value_name = "JSON")]
    pub(super) access_control_policy: Option<String>,
    /// Print what would be done, without doing it
    #[arg(long, visible_alias = "dry-run")]
    pub(super) dryrun: bool,
}

/// The arguments of `repair`.
#[derive(Debug, Args)]
pub(super) struct RepairArgs {
    /// A bucket, or s3://bucket
    pub(super) bucket: String,
    /// Repair what can be repaired
    #[arg(long, alias = "mend", conflicts_with = "dryrun")]
    pub(super) fix: bool,
    /// Grace period in days before something unneeded is deleted; 0 is safe only while nothing else
    /// writes to the bucket
    #[arg(long, value_name = "DAYS")]
    #[arg(default_value_t = RepairOptions::GRACE.as_secs() / (24 * 60 * 60))]
    pub(super) grace_days: u64,
    /// Only report what is wrong, as without --fix
    #[arg(long, visible_alias = "dry-run")]
    pub(super) dryrun: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// The arguments of `stats`.
#[derive(Debug, Args)]
pub(super) struct StatsArgs {
    /// A bucket, or s3://bucket/prefix
    pub(super) bucket: String,
    /// Use the listing alone: deltas are recognised by their keys, and original sizes stay unknown
    #[arg(long, conflicts_with_all = ["sampled", "detailed"])]
    pub(super) quick: bool,
    /// Estimate the original size from 1,000 deltas
    #[arg(long, conflicts_with = "detailed")]
    pub(super) sampled: bool,
    /// Count everything (the default)
    #[arg(long)]
    pub(super) detailed: bool,
    /// Count again even if the bucket is unchanged, and store the result
    #[arg(long, conflicts_with = "no_cache")]
    pub(super) refresh: bool,
    /// Neither read nor store a result
    #[arg(long)]
    pub(super) no_cache: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// The arguments of `verify`.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// s3://bucket/key
    pub(super) uri: String,
    /// Verify every file under the prefix, or in the bucket
    #[arg(short, long)]
    pub(super) recursive: bool,
    #[command(flatten)]
    pub(super) stated: StatedArgs,
    /// Print errors only
    #[arg(short, long)]
    pub(super) quiet: bool,
}
