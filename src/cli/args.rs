//! What can be typed.

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::filters::Filters;
use super::object_options::{AttributeArgs, KeyArgument};
use crate::domain::ByteRange;
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

const EXIT_CODES: &str = "`deltaglider xdelta3 …`, or this binary under the name xdelta3, takes the arguments of xdelta3 and \
    does the same: see `deltaglider xdelta3 -h`.\n\nExit codes: 0 done; 1 something failed or nothing was found; 2 done, with warnings; \
    255 usage, or a local file that does not exist; 128 and the signal's number when interrupted.";

/// Options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct GlobalOptions {
    /// Where the store is: https://…, http://…, or file:PATH for the embedded store in a folder
    ///
    /// Without it, AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL and the profile are asked, in this order;
    /// if none names one, the store is AWS.
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
    /// Trusts the certificates of this file (PEM) instead of the system's: authorities, or the very
    /// certificate of the store
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) ca_bundle: Option<PathBuf>,
    /// Accepts every certificate of the store, so that anyone on the way can read and change what
    /// is sent
    #[arg(long, global = true)]
    pub(super) no_verify_ssl: bool,
    /// Which part of a URL holds the name of the bucket: path, virtual (the host), or auto
    /// [default: addressing_style of the profile's s3, else auto: in the host on AWS and where a
    /// store is known to need it]
    #[arg(long, global = true, value_name = "STYLE")]
    pub(super) addressing_style: Option<AddressingStyle>,
    /// Sends a request that goes on failing at most so often [default: AWS_MAX_ATTEMPTS, else 3,
    /// and for five minutes to a store that asks for fewer requests]
    #[arg(long, global = true, value_name = "N")]
    pub(super) max_attempts: Option<NonZeroU32>,
    /// Encrypts what is stored with the key of --sse-c-key, and reads what is encrypted with it
    #[arg(long, global = true, value_name = "AES256", num_args = 0..=1, default_missing_value = "AES256", requires = "sse_c_key")]
    #[arg(value_parser = ["AES256"])]
    pub(super) sse_c: Option<String>,
    /// A key of 32 bytes: fileb://PATH or, for all other users of this machine to see, the bytes
    /// themselves
    #[arg(long, global = true, value_name = "KEY", requires = "sse_c")]
    pub(super) sse_c_key: Option<KeyArgument>,
    /// Logs every step on standard error
    #[arg(long, global = true)]
    pub(super) debug: bool,
    /// What is logged on standard error
    #[arg(skip = std::env::var("DG_LOG_LEVEL").ok().filter(|level| !level.is_empty()))]
    pub(super) log_level: Option<String>,
}

impl Command {
    /// Whether the owner of the bucket gets everything that the command writes.
    pub(super) fn gives_owner_control(&self) -> bool {
        match self {
            Self::Cp(args) | Self::Mv(args) => args.attributes.gives_owner_control(),
            Self::Sync(args) => args.attributes.gives_owner_control(),
            _ => false,
        }
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Looks after the cache of references
    Cache(CacheArgs),
    /// Copies files into a bucket, as deltas where it saves, out of it, exact and verified, and
    /// between buckets
    Cp(Box<CpArgs>),
    /// Lists buckets, or the files of one with the sizes of the originals
    Ls(LsArgs),
    /// Makes a bucket
    Mb(BucketArgs),
    /// Copies a bucket into another as cp -r does, passes over files whose content is there
    /// already, and so can be run again; or makes old deltas again
    Migrate(Box<MigrateArgs>),
    /// Removes a bucket without files
    Rb(RbArgs),
    /// Copies as cp does, and removes what was copied
    Mv(Box<CpArgs>),
    /// Makes a URL for somebody without keys of the store
    Presign(PresignArgs),
    /// Removes the copies of files that were made for URLs that have expired
    Purge(PurgeArgs),
    /// Shows who may do what with a bucket, as JSON
    GetBucketAcl(GetBucketAclArgs),
    /// Says who may do what with a bucket
    PutBucketAcl(PutBucketAclArgs),
    /// Finds what is wrong in a bucket, and mends it on request
    ///
    /// Looks at every delta and reads every reference that one needs. Found are references that are
    /// missing, differ from what deltas expect or that nobody needs, names with two objects,
    /// damaged deltas, uploads that never ended, and lifecycle rules that would remove or archive a
    /// reference. Nothing is removed that a delta may need, or that is the last copy of a file: a
    /// reference that nobody has needed for the grace period is marked, and goes when it has been
    /// marked for another.
    Repair(RepairArgs),
    /// Removes a file, or all in a folder
    Rm(RmArgs),
    /// Makes one folder like another, and copies only what differs
    ///
    /// Files are the same if they have the same size and what is stored is not older than the file,
    /// or what is on the disk has the time of what is stored, as a download gives it.
    Sync(Box<SyncArgs>),
    /// Counts what a bucket holds and saves
    Stats(StatsArgs),
    /// Reads files back and compares their SHA-256
    Verify(VerifyArgs),
}

/// Of `cache`.
#[derive(Debug, Args)]
pub(super) struct CacheArgs {
    #[command(subcommand)]
    pub(super) command: CacheCommand,
}

/// What can be done to the cache.
#[derive(Debug, Subcommand)]
pub(super) enum CacheCommand {
    /// Shows where it is and what is in it, and what others left
    Info(CacheInfoArgs),
    /// Authenticates every entry of a shared cache to its last byte, and removes those that do not
    Verify(CacheInfoArgs),
    /// Removes entries that nobody reads, and the caches of processes that are gone
    Clean(CacheCleanArgs),
}

/// Of `cache info` and `cache verify`.
#[derive(Debug, Args)]
pub(super) struct CacheInfoArgs {
    /// Prints JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Of `cache clean`.
#[derive(Debug, Args)]
pub(super) struct CacheCleanArgs {
    /// Removes entries of other keys than that of DG_CACHE_ENCRYPTION_KEY too
    #[arg(long, conflicts_with = "legacy")]
    pub(super) all: bool,
    /// Removes, in place of our own, the caches in plain text that the Python tool left in TMPDIR
    /// and /tmp, after a question; let no Python tool run meanwhile
    #[arg(long)]
    pub(super) legacy: bool,
    /// Asks no question
    #[arg(short, long, requires = "legacy")]
    pub(super) yes: bool,
    /// Prints JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Of `cp` and `mv`.
#[derive(Debug, Args)]
pub(super) struct CpArgs {
    /// A file or folder, - for standard input, or s3://bucket/key
    pub(super) source: OsString,
    /// s3://bucket/key, a file or folder, or - for standard output; with a / at the end, the name
    /// stays
    pub(super) destination: OsString,
    /// Copies everything in a folder
    #[arg(short, long)]
    pub(super) recursive: bool,
    #[command(flatten)]
    pub(super) store: StoreArgs,
    #[command(flatten)]
    pub(super) filters: Filters,
    #[command(flatten)]
    pub(super) attributes: AttributeArgs,
    /// Gives the bytes that are stored at exactly this key, whatever they are
    #[arg(long, conflicts_with_all = ["recursive", "allow_recompressed"])]
    pub(super) raw: bool,
    /// Tells how many bytes standard input may have, so that parts of a fitting size are sent
    #[arg(long, value_name = "BYTES")]
    pub(super) expected_size: Option<u64>,
    /// Gives these bytes of a file only: bytes=FIRST-LAST, bytes=FIRST- or bytes=-COUNT
    #[arg(long, conflicts_with_all = ["recursive", "allow_recompressed"])]
    pub(super) range: Option<ByteRange>,
    /// Gives the unpacked content of a file that an older tool unpacked and that cannot be packed
    /// again exactly, as NAME.unpacked
    #[arg(long)]
    pub(super) allow_recompressed: bool,
}

/// Of `sync`.
#[derive(Debug, Args)]
pub(super) struct SyncArgs {
    /// A folder, or s3://bucket/folder
    pub(super) source: OsString,
    /// The folder that becomes like it, one of the two in a bucket
    pub(super) destination: OsString,
    /// Removes files that the source has not
    #[arg(long)]
    pub(super) delete: bool,
    /// Compares files by SHA-256: what is the same is not copied, whatever its time
    #[arg(long, conflicts_with = "size_only")]
    pub(super) checksum: bool,
    /// Compares sizes only
    #[arg(long)]
    pub(super) size_only: bool,
    #[command(flatten)]
    pub(super) store: StoreArgs,
    #[command(flatten)]
    pub(super) filters: Filters,
    #[command(flatten)]
    pub(super) attributes: AttributeArgs,
}

/// Of commands that store many files.
#[derive(Debug, Clone, Args)]
pub(super) struct StoreArgs {
    /// Stores files as they are
    #[arg(long)]
    pub(super) no_delta: bool,
    /// The share of a file's size that its delta may have, above 0 and at most 1; a file with a
    /// larger one is stored whole
    #[arg(long, value_name = "RATIO", env = "DG_MAX_RATIO", default_value_t = MaxRatio::default())]
    pub(super) max_ratio: MaxRatio,
    /// The folder whose references are used and added to, one that the file is stored below
    /// [default: its own folder or, if that has no reference and a digit in its name, the one it is
    /// in]
    #[arg(long, value_name = "PREFIX", env = "DG_DELTASPACE")]
    pub(super) deltaspace: Option<String>,
    /// The extensions of files that are kept as deltas, such as .zip,.tar,.whl
    #[arg(long, value_name = "LIST", env = "DG_DELTA_EXTENSIONS")]
    pub(super) delta_extensions: Option<String>,
    #[command(flatten)]
    pub(super) stated: StatedArgs,
    /// How many files are on their way at once
    #[arg(long, value_name = "N", env = "DG_CONCURRENCY", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(super) concurrency: u16,
    /// Prints what happened as JSON, one object on each line
    #[arg(long)]
    pub(super) json: bool,
    /// Says what would be done
    #[arg(long, visible_alias = "dry-run")]
    pub(super) dryrun: bool,
    /// Prints errors only
    #[arg(short, long)]
    pub(super) quiet: bool,
}

impl StoreArgs {
    /// What is done with checksums that the store states.
    pub(super) fn stated(&self) -> StatedChecksums {
        self.stated.or(StatedChecksums::Compare)
    }
}

/// Of commands that read files which may have no SHA-256.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct StatedArgs {
    /// Do not compare files of other tools with their tags and the store's checksums
    #[arg(long)]
    no_verify_etag: bool,
}

impl StatedArgs {
    /// Returns `otherwise` unless nothing is to be compared.
    pub(super) fn or(self, otherwise: StatedChecksums) -> StatedChecksums {
        if self.no_verify_etag { StatedChecksums::Ignore } else { otherwise }
    }
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
    /// Which sizes are printed: those of the originals, or those of what is stored, by one listing
    /// and no look at any object
    #[arg(long, value_name = "WHICH", default_value = "original")]
    pub(super) sizes: Sizes,
}

/// Of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Sizes {
    Original,
    Stored,
}

/// Of `mb`.
#[derive(Debug, Args)]
pub(super) struct BucketArgs {
    /// s3://bucket
    pub(super) uri: String,
}

/// Of `rb`.
#[derive(Debug, Args)]
pub(super) struct RbArgs {
    /// s3://bucket
    pub(super) uri: String,
    /// Removes every file in it first
    #[arg(long)]
    pub(super) force: bool,
}

/// Of `rm`.
#[derive(Debug, Args)]
pub(super) struct RmArgs {
    /// s3://bucket/key; with --recursive, a folder
    pub(super) uri: String,
    /// Removes every file in the folder, or in the bucket
    #[arg(short, long)]
    pub(super) recursive: bool,
    /// Says what would be done
    #[arg(long, visible_alias = "dry-run")]
    pub(super) dryrun: bool,
    /// Prints errors only
    #[arg(short, long)]
    pub(super) quiet: bool,
}

/// Of `migrate`.
#[derive(Debug, Args)]
pub(super) struct MigrateArgs {
    /// The bucket or folder to copy, s3://bucket/folder; with --rebase, the one whose deltas are
    /// looked at
    pub(super) source: String,
    /// Where to
    #[arg(required_unless_present = "rebase", conflicts_with = "rebase")]
    pub(super) destination: Option<String>,
    /// Copies what is in the folder; without it the folder goes along, under its own name
    #[arg(long, conflicts_with = "rebase")]
    pub(super) no_preserve_prefix: bool,
    /// Makes the deltas of old versions again, against references that came later, if that saves a
    /// tenth of them
    #[arg(long)]
    pub(super) rebase: bool,
    /// Does not ask whether to go on
    #[arg(short, long)]
    pub(super) yes: bool,
    #[command(flatten)]
    pub(super) store: StoreArgs,
    #[command(flatten)]
    pub(super) filters: Filters,
}

/// Of `presign`.
#[derive(Debug, Args)]
pub(super) struct PresignArgs {
    /// s3://bucket/key
    pub(super) uri: String,
    /// Seconds that the URL lasts, at most 604800, a week
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    pub(super) expires_in: u64,
    /// What the URL allows
    #[arg(long, value_enum, default_value_t = Method::Get)]
    pub(super) method: Method,
    /// Of a delta, stores the file itself for as long as the URL lasts
    #[arg(long)]
    pub(super) rehydrate: bool,
    /// Prints JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// What a URL allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Method {
    /// To read the file
    Get,
    /// To write a file, which is stored as it is
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

/// Of `purge`.
#[derive(Debug, Args)]
pub(super) struct PurgeArgs {
    /// A bucket, or s3://bucket
    pub(super) bucket: String,
    /// Says what would be done
    #[arg(long, visible_alias = "dry-run")]
    pub(super) dryrun: bool,
    /// Prints JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Of `get-bucket-acl`.
#[derive(Debug, Args)]
pub(super) struct GetBucketAclArgs {
    /// A bucket, or s3://bucket
    pub(super) bucket: String,
}

/// Of `put-bucket-acl`.
#[derive(Debug, Args)]
pub(super) struct PutBucketAclArgs {
    /// A bucket, or s3://bucket
    pub(super) bucket: String,
    /// private, public-read, public-read-write or authenticated-read
    #[arg(long, value_name = "CANNED-ACL")]
    pub(super) acl: Option<CannedAcl>,
    /// Who may do everything: id=…, emailAddress=… or uri=…, separated by commas
    #[arg(long, value_name = "GRANTEES")]
    pub(super) grant_full_control: Option<String>,
    /// Who may list the bucket
    #[arg(long, value_name = "GRANTEES")]
    pub(super) grant_read: Option<String>,
    /// Who may read this list
    #[arg(long, value_name = "GRANTEES")]
    pub(super) grant_read_acp: Option<String>,
    /// Who may write objects
    #[arg(long, value_name = "GRANTEES")]
    pub(super) grant_write: Option<String>,
    /// Who may change this list
    #[arg(long, value_name = "GRANTEES")]
    pub(super) grant_write_acp: Option<String>,
    /// The whole list as JSON, in the form of get-bucket-acl
    #[arg(long, value_name = "JSON")]
    pub(super) access_control_policy: Option<String>,
    /// Says what would be done
    #[arg(long, visible_alias = "dry-run")]
    pub(super) dryrun: bool,
}

/// Of `repair`.
#[derive(Debug, Args)]
pub(super) struct RepairArgs {
    /// A bucket, or s3://bucket
    pub(super) bucket: String,
    /// Mends what can be mended
    #[arg(long, conflicts_with = "dryrun")]
    pub(super) mend: bool,
    /// Days that something must have been needed by nobody before it goes; 0 is safe only while
    /// nothing else writes to the bucket
    #[arg(long, value_name = "DAYS", default_value_t = RepairOptions::GRACE.as_secs() / (24 * 60 * 60))]
    pub(super) grace_days: u64,
    /// Only says what is wrong, as it does without --mend
    #[arg(long, visible_alias = "dry-run")]
    pub(super) dryrun: bool,
    /// Prints JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Of `stats`.
#[derive(Debug, Args)]
pub(super) struct StatsArgs {
    /// A bucket, or s3://bucket/prefix
    pub(super) bucket: String,
    /// Goes by the listing alone: keys tell what is a delta, and sizes of originals stay unknown
    #[arg(long, conflicts_with_all = ["sampled", "detailed"])]
    pub(super) quick: bool,
    /// Estimates the size of the originals from 1,000 deltas
    #[arg(long, conflicts_with = "detailed")]
    pub(super) sampled: bool,
    /// Counts everything, as it does without these three
    #[arg(long)]
    pub(super) detailed: bool,
    /// Counts anew even if the bucket is as it was, and keeps the result
    #[arg(long, conflicts_with = "no_cache")]
    pub(super) refresh: bool,
    /// Neither reads nor keeps a result
    #[arg(long)]
    pub(super) no_cache: bool,
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
    #[command(flatten)]
    pub(super) stated: StatedArgs,
    /// Prints errors only
    #[arg(short, long)]
    pub(super) quiet: bool,
}
