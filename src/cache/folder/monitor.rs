//! Watches the entries of a shared cache. Reports and counts changes by other programs, and deletes
//! files that are not entries. Reading does not depend on it: every read is authenticated.
//!
//! The cache's own operations, in this process and in others, cause events too. Events arrive late,
//! the kernel merges them, and drops them when its queue overflows. So no event is matched with an
//! operation. An event only names a file to examine; the state found there decides. A removal is
//! reported if an entry that is read here has lost its name: no process of the cache takes the name
//! of an entry that is read, valid and not expired (see [`Changes`](super::layout::Changes)).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::private::FileId;
use crate::cache::key::EntryName;

/// The entries that this process reads, by name.
#[derive(Debug, Default)]
pub(super) struct InUse(Mutex<HashMap<String, Vec<Use>>>);

/// One reader of an entry.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only the monitor reads it"))]
struct Use {
    file: FileId,
    /// Seconds since 1970. From then on every process may replace the entry.
    expires: u64,
    /// `true` if the loss of its name is known: it was reported, or this process deletes the file.
    is_known: bool,
}

impl InUse {
    /// Registers a reader of a file if `in_place` returns that the file has its name. The monitor
    /// waits while `in_place` runs: it sees the file with its name, or no reader.
    pub(super) fn begin<E>(
        &self,
        name: &EntryName,
        file: FileId,
        expires: u64,
        in_place: impl FnOnce() -> Result<bool, E>,
    ) -> Result<bool, E> {
        self.with(|uses| {
            let is_in_place = in_place()?;
            if is_in_place {
                uses.entry(name.to_string()).or_default().push(Use {
                    file,
                    expires,
                    is_known: false,
                });
            }
            Ok(is_in_place)
        })
    }

    /// Removes a reader.
    pub(super) fn end(&self, name: &EntryName, file: FileId) {
        let name = name.to_string();
        self.with(|uses| {
            let Some(readers) = uses.get_mut(&name) else { return };
            if let Some(reader) = readers.iter().position(|reader| reader.file == file) {
                readers.swap_remove(reader);
            }
            if readers.is_empty() {
                uses.remove(&name);
            }
        });
    }

    /// Records that this process deletes a file, even while it is read.
    pub(super) fn expect_removal(&self, name: &str, file: FileId) {
        self.with(|uses| {
            let readers = uses.get_mut(name).into_iter().flatten();
            readers.filter(|reader| reader.file == file).for_each(|reader| reader.is_known = true);
        });
    }

    /// Returns whether an unexpired entry that is read here has lost its name, and records the loss
    /// as known, so that it is reported once. `found` returns the file at the name.
    #[cfg(target_os = "linux")]
    pub(super) fn has_lost(
        &self,
        name: &str,
        found: impl FnOnce() -> Option<FileId>,
        now: u64,
    ) -> bool {
        self.with(|uses| {
            let Some(readers) = uses.get_mut(name) else { return false };
            let found = found();
            let is_lost = |reader: &Use| Some(reader.file) != found && now < reader.expires;
            let mut is_news = false;
            for reader in readers.iter_mut().filter(|reader| is_lost(reader)) {
                is_news |= !reader.is_known;
                reader.is_known = true;
            }
            is_news
        })
    }

    /// Returns the names of all entries that are read here.
    #[cfg(target_os = "linux")]
    pub(super) fn names(&self) -> Vec<String> {
        self.with(|uses| uses.keys().cloned().collect())
    }

    fn with<T>(&self, change: impl FnOnce(&mut HashMap<String, Vec<Use>>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(target_os = "linux")]
pub(super) use linux::Monitor;
#[cfg(all(test, target_os = "linux"))]
pub(super) use linux::Watch;

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::VecDeque;
    use std::ffi::{OsStr, OsString};
    use std::io;
    use std::mem::MaybeUninit;
    use std::os::fd::OwnedFd;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::net::UnixStream;
    use std::sync::{Arc, Weak};

    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
    use rustix::io::Errno;

    use super::super::layout::CacheDirs;
    use super::super::maintenance::{Depth, State};
    use super::super::{Inner, Place, now};

    const WATCHED: WatchFlags = WatchFlags::MODIFY
        .union(WatchFlags::ATTRIB)
        .union(WatchFlags::CREATE)
        .union(WatchFlags::MOVED_TO)
        .union(WatchFlags::MOVED_FROM)
        .union(WatchFlags::DELETE)
        .union(WatchFlags::DELETE_SELF)
        .union(WatchFlags::MOVE_SELF)
        .union(WatchFlags::ONLYDIR);

    /// Bytes of the buffer for events that are read at once, each with a name of 64 bytes or more.
    const BUFFER: usize = 4096;

    /// The maximum number of pending events: as many as the kernel queues by default.
    const MAX_PENDING: usize = 16_384;

    /// The events of a file that gets a name among the entries.
    const ARRIVAL: ReadFlags = ReadFlags::CREATE.union(ReadFlags::MOVED_TO);

    /// A thread that watches the entries until this is dropped.
    #[derive(Debug)]
    pub(in crate::cache::folder) struct Monitor {
        /// Closed on drop, which ends the thread.
        _alive: UnixStream,
    }

    impl Monitor {
        /// Begins to watch the entries of a shared cache.
        pub(in crate::cache::folder) fn start(
            dirs: Arc<CacheDirs>,
            cache: Weak<Inner>,
        ) -> io::Result<Self> {
            let watch = Watch::new(dirs, cache)?;
            let (alive, end) = UnixStream::pair()?;
            std::thread::Builder::new()
                .name("cache-monitor".to_owned())
                .spawn(move || watch.run(&end))?;
            Ok(Self { _alive: alive })
        }
    }

    /// The event queue of a shared cache's entries and its reader.
    pub(in crate::cache::folder) struct Watch {
        events: OwnedFd,
        dirs: Arc<CacheDirs>,
        cache: Weak<Inner>,
        /// Events received and not yet handled.
        pending: VecDeque<(ReadFlags, Option<OsString>)>,
        /// The event reported last: one write of a file causes many.
        last: Option<(OsString, &'static str)>,
    }

    impl Watch {
        /// Creates the queue; the kernel fills it from now on.
        pub(in crate::cache::folder) fn new(
            dirs: Arc<CacheDirs>,
            cache: Weak<Inner>,
        ) -> io::Result<Self> {
            let events = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
            // Watches the verified directory, whatever its path leads to now.
            inotify::add_watch(&events, dirs.entries.path_of_descriptor(), WATCHED)?;
            Ok(Self { events, dirs, cache, pending: VecDeque::new(), last: None })
        }

        /// Handles events until the monitor is dropped.
        fn run(mut self, end: &UnixStream) {
            loop {
                let mut ready =
                    [PollFd::new(&self.events, PollFlags::IN), PollFd::new(end, PollFlags::IN)];
                match poll(&mut ready, None) {
                    Err(Errno::INTR) => continue,
                    Err(_) => return,
                    Ok(_) => {}
                }
                let is_over = !ready[1].revents().is_empty();
                self.catch_up();
                if is_over || self.cache.strong_count() == 0 {
                    return;
                }
            }
        }

        /// Handles events until none is queued.
        pub(in crate::cache::folder) fn catch_up(&mut self) {
            loop {
                self.receive();
                if self.pending.is_empty() {
                    return;
                }
                while let Some((flags, name)) = self.pending.pop_front() {
                    let Some(cache) = self.cache.upgrade() else { return };
                    self.see(&cache, flags, name);
                }
            }
        }

        /// Receives the queued events, until [`MAX_PENDING`] or a few more are pending.
        fn receive(&mut self) {
            let mut buffer = [MaybeUninit::uninit(); BUFFER];
            let mut reader = Reader::new(&self.events, &mut buffer);
            while (self.pending.len() < MAX_PENDING || !reader.is_buffer_empty())
                && let Ok(event) = reader.next()
            {
                let name =
                    event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()).to_owned());
                self.pending.push_back((event.events(), name));
            }
        }

        fn see(&mut self, cache: &Inner, flags: ReadFlags, name: Option<OsString>) {
            let Some(name) = name else { return self.see_folder(cache, flags) };
            if flags.intersects(ReadFlags::MODIFY | ReadFlags::ATTRIB) {
                self.report(cache, &name, "it was changed");
                self.discard_changed(cache, &name);
                self.has_lost(cache, &name);
            } else if flags.intersects(ARRIVAL) {
                self.last = None;
                self.see_arrival(cache, &name);
            } else if flags.intersects(ReadFlags::MOVED_FROM) {
                self.report(cache, &name, "it was moved away");
                self.has_lost(cache, &name);
            } else if flags.intersects(ReadFlags::DELETE) {
                self.see_removal(cache, &name);
            }
        }

        /// Authenticates the header of a new entry; reading authenticates its chunks.
        fn see_arrival(&mut self, cache: &Inner, name: &OsStr) {
            if let Some(State::InvalidEntry(_, file)) =
                cache.examine(&self.dirs, name, Depth::Header)
            {
                self.report(cache, name, "it was not written by this cache");
                cache.discard(&self.dirs, name, file.as_ref().map(|file| file.id)).ok();
                self.has_lost(cache, name);
            }
        }

        fn see_removal(&mut self, cache: &Inner, name: &OsStr) {
            if self.has_lost(cache, name) {
                self.report(cache, name, "it was removed while being read");
            }
        }

        /// Returns whether an entry that is read here has lost its name since the last call.
        fn has_lost(&self, cache: &Inner, name: &OsStr) -> bool {
            let found = || self.dirs.entries.file_id(name).ok();
            cache.in_use.has_lost(&name.to_string_lossy(), found, now())
        }

        /// Deletes an entry that was changed, but not a valid one that has got its name since.
        fn discard_changed(&mut self, cache: &Inner, name: &OsStr) {
            let dirs = self.dirs.clone();
            let Ok(changes) = dirs.change() else { return };
            // No process publishes while the lock is held; earlier arrivals are in the queue.
            self.receive();
            let arrives = |flags: &ReadFlags, other: Option<&OsStr>| {
                flags.intersects(ReadFlags::QUEUE_OVERFLOW)
                    || flags.intersects(ARRIVAL) && other == Some(name)
            };
            let may_be_new = self.pending.len() >= MAX_PENDING
                || self.pending.iter().any(|(flags, other)| arrives(flags, other.as_deref()));
            if !may_be_new {
                cache.discard_now(&dirs, &changes, name).ok();
                return;
            }
            drop(changes);
            if let Some(State::InvalidEntry(_, file)) = cache.examine(&dirs, name, Depth::Whole) {
                cache.discard(&dirs, name, file.as_ref().map(|file| file.id)).ok();
            }
        }

        fn see_folder(&mut self, cache: &Inner, flags: ReadFlags) {
            if flags.intersects(ReadFlags::QUEUE_OVERFLOW) {
                // Any event may be among the lost ones.
                self.last = None;
                for name in self.dirs.entries.names().unwrap_or_default() {
                    self.see_arrival(cache, &name);
                }
                for name in cache.in_use.names() {
                    self.see_removal(cache, name.as_ref());
                }
            } else if flags.intersects(ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF) {
                self.report_folder(cache, "it was moved or removed");
            } else if flags.intersects(ReadFlags::ATTRIB)
                && matches!(self.dirs.entries.restrict_mode(), Ok(true))
            {
                self.report_folder(cache, "other users had access; access was revoked");
            }
        }

        /// Counts and logs an event, unless it is the last one again.
        fn report(&mut self, cache: &Inner, name: &OsStr, what: &'static str) {
            if self.last.as_ref().is_some_and(|(last, reported)| last == name && *reported == what)
            {
                return;
            }
            cache.counters.events.add_one();
            tracing::warn!(
                entry = ?name,
                "security event in the reference cache: {what}; the entry is deleted"
            );
            self.last = Some((name.to_owned(), what));
        }

        fn report_folder(&self, cache: &Inner, what: &'static str) {
            cache.counters.events.add_one();
            let folder = self.dirs.entries.path().display();
            tracing::warn!(%folder, "security event in the reference cache: {what}");
        }
    }

    impl Inner {
        /// Begins to watch a shared cache. Where that fails, for lack of descriptors, entries are
        /// still verified at use.
        pub(in crate::cache::folder) fn watch(self: &Arc<Self>) {
            let Place::Persistent(dirs) = &self.place else { return };
            match Monitor::start(dirs.clone(), Arc::downgrade(self)) {
                Ok(monitor) => drop(self.monitor.set(monitor)),
                Err(error) => tracing::debug!(%error, "the shared cache is not watched"),
            }
        }
    }
}
