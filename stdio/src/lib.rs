//! Detects which standard streams of a process were usable when it started.
//!
//! Rust's runtime opens `/dev/null` in place of standard streams that are closed, and its `Stdin`
//! and `Stdout` treat `EBADF` as success. A program that then reads standard input finds it empty,
//! and its output is lost without an error. This crate checks the descriptors before the runtime
//! does, by a constructor (`.init_array`), which needs the one `unsafe` attribute of the workspace;
//! hence a separate crate.

use std::io;

/// A standard stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard input.
    Input,
    /// Standard output.
    Output,
}

impl Stream {
    /// Returns an error if the process was started without this stream, or with one that is open
    /// the other way only.
    ///
    /// # Errors
    ///
    /// Fails with an error that states the reason if the stream is not usable. On systems other
    /// than Unix every stream counts as usable.
    ///
    /// # Examples
    ///
    /// ```
    /// deltaglider_stdio::Stream::Output.check()?;
    /// println!("not lost");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn check(self) -> io::Result<()> {
        if at_start::is_usable(self) {
            return Ok(());
        }
        Err(io::Error::other(match self {
            Self::Input => "it is closed, or not open for reading",
            Self::Output => "it is closed, or not open for writing",
        }))
    }
}

#[cfg(unix)]
mod at_start {
    use std::sync::atomic::{AtomicBool, Ordering};

    use rustix::fs::{OFlags, fcntl_getfl};

    use super::Stream;

    static INPUT: AtomicBool = AtomicBool::new(true);
    static OUTPUT: AtomicBool = AtomicBool::new(true);

    /// Runs `look` before `main`, and so before the runtime.
    #[used]
    #[cfg_attr(
        not(target_vendor = "apple"),
        expect(
            unsafe_code,
            reason = "`look` makes two system calls, and uses nothing that the runtime sets up"
        ),
        unsafe(link_section = ".init_array")
    )]
    #[cfg_attr(
        target_vendor = "apple",
        expect(
            unsafe_code,
            reason = "`look` makes two system calls, and uses nothing that the runtime sets up"
        ),
        unsafe(link_section = "__DATA,__mod_init_func")
    )]
    static LOOK: extern "C" fn() = look;

    extern "C" fn look() {
        let mode = |flags: rustix::io::Result<OFlags>| match flags {
            Ok(flags) if flags.contains(OFlags::PATH) => None,
            Ok(flags) => Some(flags & OFlags::RWMODE),
            Err(_) => None,
        };
        let input = mode(fcntl_getfl(rustix::stdio::stdin()));
        let output = mode(fcntl_getfl(rustix::stdio::stdout()));
        INPUT.store(matches!(input, Some(OFlags::RDONLY | OFlags::RDWR)), Ordering::Relaxed);
        OUTPUT.store(matches!(output, Some(OFlags::WRONLY | OFlags::RDWR)), Ordering::Relaxed);
    }

    pub(super) fn is_usable(stream: Stream) -> bool {
        match stream {
            Stream::Input => INPUT.load(Ordering::Relaxed),
            Stream::Output => OUTPUT.load(Ordering::Relaxed),
        }
    }
}

#[cfg(not(unix))]
mod at_start {
    pub(super) fn is_usable(_: super::Stream) -> bool {
        true
    }
}
