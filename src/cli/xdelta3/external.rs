//! External programs that unpack inputs and pack outputs, if the environment allows it.
//!
//! xdelta3 runs them by default, and then rarely decodes the file that was encoded: it compresses
//! the content anew.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;

/// The environment variable that allows external programs.
pub(super) const VARIABLE: &str = "DG_XDELTA3_EXTERNAL";

/// Returns whether `DG_XDELTA3_EXTERNAL=1` is set.
pub(super) fn allowed() -> bool {
    std::env::var_os(VARIABLE).is_some_and(|value| value == "1")
}

/// The prefixes of environment variables that may hold secrets.
const SECRETS: [&[u8]; 2] = [b"DG_", b"AWS_"];

/// The number of bytes read to recognise a packed file.
pub(super) const MAGIC_LEN: usize = 3;

/// A compressor known to xdelta3.
#[derive(Debug)]
pub(super) struct Program {
    /// The letter in the application header.
    pub(super) letter: u8,
    /// The name that printhdr prints.
    pub(super) name: &'static str,
    /// The first bytes of its files.
    magic: &'static [u8],
    unpack: [&'static str; 2],
    pack: [&'static str; 2],
}

const PROGRAMS: [Program; 4] = [
    Program {
        letter: b'B',
        name: "bzip2",
        magic: b"BZh",
        unpack: ["bzip2", "-dc"],
        pack: ["bzip2", "-c"],
    },
    Program {
        letter: b'G',
        name: "gzip",
        magic: &[0x1f, 0x8b],
        unpack: ["gzip", "-dc"],
        pack: ["gzip", "-c"],
    },
    Program {
        letter: b'Z',
        name: "compress",
        magic: &[0x1f, 0x9d],
        unpack: ["uncompress", "-c"],
        pack: ["compress", "-c"],
    },
    Program {
        letter: b'Y',
        name: "xz",
        magic: &[0xfd, 0x37],
        unpack: ["xz", "-dc"],
        pack: ["xz", "-c"],
    },
];

impl Program {
    /// Returns the program whose files begin like this.
    pub(super) fn recognising(beginning: &[u8]) -> Option<&'static Self> {
        PROGRAMS.iter().find(|program| beginning.starts_with(program.magic))
    }

    /// Returns the program that an application header names; the level that xdelta3 3.2.0 may add
    /// is ignored.
    pub(super) fn lettered(letters: &[u8]) -> Option<&'static Self> {
        PROGRAMS.iter().find(|program| letters.first() == Some(&program.letter))
    }

    /// Returns the shell command that unpacks a file.
    pub(super) fn unpacking(&self) -> String {
        self.unpack.join(" ")
    }

    /// Returns the shell command that packs into a file.
    pub(super) fn packing(&self) -> String {
        self.pack.join(" ")
    }

    fn start(&self, [name, flag]: [&str; 2], force: bool, out: Stdio) -> io::Result<Child> {
        let mut command = Command::new(name);
        command.arg(flag).args(force.then_some("-f")).stdin(Stdio::piped()).stdout(out);
        // A compressor needs no keys, and its environment can be read by other processes of the
        // user.
        for (name, _) in std::env::vars_os() {
            if SECRETS.iter().any(|prefix| name.as_encoded_bytes().starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        command
            .spawn()
            .map_err(|error| CommandsFailed { program: self.name, why: Why::Start(error) }.into())
    }

    fn ended(&self, status: ExitStatus) -> io::Result<()> {
        if status.success() {
            return Ok(());
        }
        Err(CommandsFailed { program: self.name, why: Why::Ended(status) }.into())
    }
}

/// The error for a program that did not start, or failed.
#[derive(Debug)]
pub(super) struct CommandsFailed {
    program: &'static str,
    why: Why,
}

#[derive(Debug)]
enum Why {
    Start(io::Error),
    Ended(ExitStatus),
}

impl fmt::Display for CommandsFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.why {
            Why::Start(error) => write!(f, "{} cannot be run: {error}", self.program),
            Why::Ended(status) => write!(f, "{} ended with {status}", self.program),
        }
    }
}

impl std::error::Error for CommandsFailed {}

impl From<CommandsFailed> for io::Error {
    fn from(failed: CommandsFailed) -> Self {
        Self::other(failed)
    }
}

/// A reader of the content of a packed file, which ends without an error only if the program
/// succeeds.
#[derive(Debug)]
pub(super) struct Unpacked {
    program: &'static Program,
    child: Child,
    content: ChildStdout,
    feeding: Option<JoinHandle<io::Result<()>>>,
}

impl Unpacked {
    /// Starts the program on `packed`.
    pub(super) fn new(
        program: &'static Program,
        force: bool,
        mut packed: impl Read + Send + 'static,
    ) -> io::Result<Self> {
        let mut child = program.start(program.unpack, force, Stdio::piped())?;
        let (Some(mut to), Some(content)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let feeding = std::thread::spawn(move || match io::copy(&mut packed, &mut to) {
            // The program reads no further; its exit status shows whether it failed.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            copied => copied.map(drop),
        });
        Ok(Self { program, child, content, feeding: Some(feeding) })
    }
}

impl Read for Unpacked {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let got = self.content.read(buf)?;
        if got == 0 && !buf.is_empty() {
            if let Some(Ok(fed)) = self.feeding.take().map(JoinHandle::join) {
                fed?;
            }
            self.program.ended(self.child.wait()?)?;
        }
        Ok(got)
    }
}

/// A running program that packs what is written into a file.
#[derive(Debug)]
pub(super) struct Packing {
    program: &'static Program,
    child: Child,
    input: ChildStdin,
}

impl Packing {
    /// Starts the program with its output in `packed`.
    pub(super) fn new(program: &'static Program, force: bool, packed: File) -> io::Result<Self> {
        let mut child = program.start(program.pack, force, packed.into())?;
        let input = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self { program, child, input })
    }

    /// Writes a piece of the content.
    pub(super) fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        match self.input.write_all(piece) {
            // The program has ended early.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.program.ended(self.child.wait()?)
            }
            written => written,
        }
    }

    /// Waits until the program has packed everything.
    pub(super) fn finish(self) -> io::Result<()> {
        let Self { program, mut child, input } = self;
        drop(input);
        program.ended(child.wait()?)
    }
}
