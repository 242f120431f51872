//! `s3-server memory [--ignore-conditions|--conditions KIND]|fs DIR [--port N]`: prints its address
//! when it listens, and serves until it is killed.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use s3_server::{Conditions, Server};

const USAGE: &str = "usage: s3-server memory \
                     [--ignore-conditions | --conditions 501|400|never-match] [--port N]\n       \
                     s3-server fs DIR [--port N]";

fn start(arguments: &[&str]) -> Result<Server, String> {
    let (what, port) = match arguments {
        [what @ .., "--port", port] => {
            (what, port.parse().map_err(|_| format!("{port:?} is no port"))?)
        }
        what => (what, 0),
    };
    match what {
        ["memory"] => {
            Server::memory_at(port, Conditions::Atomic).map_err(|error| error.to_string())
        }
        ["memory", "--ignore-conditions"] => {
            Server::memory_at(port, Conditions::Ignored).map_err(|error| error.to_string())
        }
        ["memory", "--conditions", kind] => {
            let conditions = match *kind {
                "501" => Conditions::NotImplemented,
                "400" => Conditions::InvalidArgument,
                "never-match" => Conditions::NeverMatch,
                _ => return Err(USAGE.to_owned()),
            };
            Server::memory_at(port, conditions).map_err(|error| error.to_string())
        }
        ["fs", folder] => {
            Server::folder_at(Path::new(folder), port).map_err(|error| format!("{folder}: {error}"))
        }
        _ => Err(USAGE.to_owned()),
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let server = match start(&arguments) {
        Ok(server) => server,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    // The starting process may wait for no more than the address.
    if writeln!(std::io::stdout(), "{}", server.url()).is_err() {
        return ExitCode::FAILURE;
    }
    server.run();
    ExitCode::SUCCESS
}
