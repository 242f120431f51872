//! The command line: what was typed, what it means, what is done.

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

/// How long work on other threads may go on after the command has ended by itself.
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
        Err(told) => {
            let failed = told.use_stderr();
            if !failed && let Err(failure) = streams::check_output() {
                return failure.tell().into();
            }
            // Nothing can be said where nothing can be printed.
            let _ = told.print();
            return if failed { Exit::Usage.into() } else { Exit::Done.into() };
        }
    };
    let done = log::start(&cli.global).and_then(|()| {
        if cli.command.prints() {
            streams::check_output()?;
        }
        let cache = crate::wiring::cache_settings().map_err(Failure::usage)?;
        if let Command::Cache(args) = cli.command {
            // Nothing has to be taken back, so that a signal may end it where it is.
            return cache::run(args, cache, Output::new());
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(Failure::system)?;
        let session = Context::new(cli.global, cache, cli.command.gives_owner_control(), decorator);
        let (done, patience) = in_order(&runtime, &session, cli.command)?;
        drop(session);
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

/// Makes variables of the environment that are empty count as unset.
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

/// No core dump holds keys or files, and no other process of this user looks into this one.
fn keep_memory_private() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        // The kernel knows this since 2.3; without it the command is still worth running.
        set_dumpable_behavior(DumpableBehavior::NotDumpable).ok();
    }
}

async fn run(session: &Context, command: Command) -> Result<Exit, Failure> {
    let output = Output::new();
    match command {
        // Done before there was a session.
        Command::Cache(_) => Ok(Exit::Done),
        Command::Cp(args) => cp::run(session, *args, output, false).await,
        Command::Mv(args) => cp::run(session, *args, output, true).await,
        Command::Ls(args) => ls::run(session, args, output).await,
        Command::Mb(args) => mb::run(session, args, output).await,
        Command::Migrate(args) => migrate::run(session, *args, output).await,
        Command::Presign(args) => presign::run(session, args, output).await,
        Command::Purge(args) => purge::run(session, args, output).await,
        Command::GetBucketAcl(args) => acl::get(session, args, output).await,
        Command::PutBucketAcl(args) => acl::put(session, args, output).await,
        Command::Rb(args) => rb::run(session, args, output).await,
        Command::Repair(args) => repair::run(session, args, output).await,
        Command::Rm(args) => rm::run(session, args, output).await,
        Command::Sync(args) => sync::run(session, *args, output).await,
        Command::Stats(args) => stats::run(session, args, output).await,
        Command::Verify(args) => verify::run(session, args, output).await,
    }
}

/// Runs a command until it ends or a signal comes, which drops the work: what it had begun is taken
/// back as it goes. Returns how long work on other threads may go on.
#[cfg(unix)]
fn in_order(
    runtime: &tokio::runtime::Runtime,
    session: &Context,
    command: Command,
) -> Result<(Result<Exit, Failure>, Duration), Failure> {
    let mut signals = signals::Signals::watch()?;
    Ok(runtime.block_on(async {
        let (done, patience) = tokio::select! {
            done = run(session, command) => (done, SHUTDOWN_TIMEOUT),
            exit = signals.first() => (Ok(exit), signals::ABORTS_TIMEOUT),
        };
        let mut settled = std::pin::pin!(session.settle());
        if futures::poll!(&mut settled).is_pending() {
            signals.wait_for_aborts();
            // What cannot be taken back in time is left behind.
            let _ = tokio::time::timeout(signals::ABORTS_TIMEOUT, settled).await;
        }
        (done, patience)
    }))
}

/// Runs a command until it ends or is interrupted.
#[cfg(not(unix))]
fn in_order(
    runtime: &tokio::runtime::Runtime,
    session: &Context,
    command: Command,
) -> Result<(Result<Exit, Failure>, Duration), Failure> {
    Ok(runtime.block_on(async {
        let done = tokio::select! {
            done = run(session, command) => done,
            _ = tokio::signal::ctrl_c() => Ok(Exit::Signal(2)),
        };
        let _ = tokio::time::timeout(SHUTDOWN_TIMEOUT, session.settle()).await;
        (done, SHUTDOWN_TIMEOUT)
    }))
}
