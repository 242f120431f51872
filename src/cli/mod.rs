//! The command line: parses the arguments and runs the command.

mod acl;
mod args;
mod bucket;
mod cache;
mod confirm;
mod context;
mod cp;
mod error;
mod filters;
mod log;
mod ls;
mod mb;
mod migrate;
mod object_options;
mod output;
mod presign;
mod printable;
mod purge;
mod rb;
mod repair;
mod rm;
#[cfg(unix)]
mod signals;
mod special_files;
mod stats;
mod streams;
mod sync;
mod tally;
mod threads;
mod transfer;
mod verify;
mod xdelta3;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, FromArgMatches as _};

use crate::service::Drafts;
use crate::wiring::StoreDecorator;
use args::{Cli, Command};
use context::Context;
use error::{Exit, Failure};
use output::Output;

/// The time that work on other threads may take after the command has ended by itself.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs a command line and returns its exit code.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    main_with(arguments, StoreDecorator::default())
}

/// Runs a command line on a store that `decorator` wraps and returns its exit code.
pub fn main_with(arguments: impl Iterator<Item = OsString>, decorator: StoreDecorator) -> ExitCode {
    keep_memory_private();
    let arguments: Vec<OsString> = arguments.collect();
    if let Some(arguments) = xdelta3::arguments(&arguments) {
        return xdelta3::main(arguments);
    }
    let cli = match parse(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let failed = error.use_stderr();
            if !failed && let Err(failure) = streams::check_output() {
                return failure.tell().into();
            }
            // A failure to print cannot be reported.
            let _ = error.print();
            return if failed { Exit::Usage.into() } else { Exit::Done.into() };
        }
    };
    let done = log::start(&cli.global).and_then(|()| {
        if cli.command.prints() {
            streams::check_output()?;
        }
        let cache = crate::wiring::cache_settings().map_err(Failure::usage)?;
        if let Command::Cache(args) = cli.command {
            // It leaves nothing to clean up, so a signal may end it at any point.
            return cache::run(args, cache, Output::new());
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(Failure::system)?;
        let context = Context::new(cli.global, cache, cli.command.gives_owner_control(), decorator);
        let (done, patience) = in_order(&runtime, &context, cli.command)?;
        drop(context);
        runtime.shutdown_timeout(patience);
        done
    });
    match done {
        Ok(exit) => exit.into(),
        Err(failure) => failure.tell().into(),
    }
}

fn parse(arguments: Vec<OsString>) -> Result<Cli, clap::Error> {
    let matches = without_empty_variables(Cli::command()).try_get_matches_from(arguments)?;
    Cli::from_arg_matches(&matches)
}

/// Makes empty environment variables count as unset.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    let is_empty = |argument: &clap::Arg| {
        argument
            .get_env()
            .is_some_and(|name| std::env::var_os(name).is_some_and(|value| value.is_empty()))
    };
    let unset = |argument: clap::Arg| {
        if is_empty(&argument) { argument.env(clap::builder::Resettable::Reset) } else { argument }
    };
    command.mut_args(unset).mut_subcommands(without_empty_variables)
}

/// Prevents core dumps, and the access of other processes of this user, which would expose keys.
fn keep_memory_private() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        // The kernel has this since 2.3; the command runs without it too.
        set_dumpable_behavior(DumpableBehavior::NotDumpable).ok();
    }
}

async fn run(context: &Context, command: Command) -> Result<Exit, Failure> {
    let output = Output::new();
    match command {
        // Handled in `main_with`, before the context is created.
        Command::Cache(_) => Ok(Exit::Done),
        Command::Cp(args) => cp::run(context, *args, output, false).await,
        Command::Mv(args) => cp::run(context, *args, output, true).await,
        Command::Ls(args) => ls::run(context, args, output).await,
        Command::Mb(args) => mb::run(context, args, output).await,
        Command::Migrate(args) => migrate::run(context, *args, output).await,
        Command::Presign(args) => presign::run(context, args, output).await,
        Command::Purge(args) => purge::run(context, args, output).await,
        Command::GetBucketAcl(args) => acl::get(context, args, output).await,
        Command::PutBucketAcl(args) => acl::put(context, args, output).await,
        Command::Rb(args) => rb::run(context, args, output).await,
        Command::Repair(args) => repair::run(context, args, output).await,
        Command::Rm(args) => rm::run(context, args, output).await,
        Command::Sync(args) => sync::run(context, *args, output).await,
        Command::Stats(args) => stats::run(context, args, output).await,
        Command::Verify(args) => verify::run(context, args, output).await,
    }
}

/// Runs a command until it ends or a signal arrives, which drops the work and cleans up what it had
/// begun. Returns how long work on other threads may continue.
#[cfg(unix)]
fn in_order(
    runtime: &tokio::runtime::Runtime,
    context: &Context,
    command: Command,
) -> Result<(Result<Exit, Failure>, Duration), Failure> {
    let mut signals = signals::Signals::watch()?;
    Ok(runtime.block_on(async {
        let (done, patience) = tokio::select! {
            done = run(context, command) => (done, SHUTDOWN_TIMEOUT),
            exit = signals.first() => (Ok(exit), signals::ABORTS_TIMEOUT),
        };
        let mut settled = std::pin::pin!(context.settle());
        if futures::poll!(&mut settled).is_pending() {
            signals.wait_for_aborts();
            // What cannot be aborted in time is left behind.
            let _ = tokio::time::timeout(signals::ABORTS_TIMEOUT, settled).await;
        }
        (done, patience)
    }))
}

/// Runs a command until it ends or is interrupted. Returns how long other threads may continue.
#[cfg(not(unix))]
fn in_order(
    runtime: &tokio::runtime::Runtime,
    context: &Context,
    command: Command,
) -> Result<(Result<Exit, Failure>, Duration), Failure> {
    Ok(runtime.block_on(async {
        let done = tokio::select! {
            done = run(context, command) => done,
            _ = tokio::signal::ctrl_c() => Ok(Exit::Signal(2)),
        };
        let _ = tokio::time::timeout(SHUTDOWN_TIMEOUT, context.settle()).await;
        (done, SHUTDOWN_TIMEOUT)
    }))
}
