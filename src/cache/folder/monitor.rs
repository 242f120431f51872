//! Watches the entries of a shared cache. They are immutable and come by a rename alone, so that whatever else happens to them is
//! somebody's doing: it is told, counted, and the entry dropped. Reading depends on none of this: what is read is authenticated anyway.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Place;
use std::sync::{Mutex, PoisonError};

use crate::cache::key::EntryName;

/// Entries that this process reads, by name.
#[derive(Debug, Default)]
pub(super) struct InUse(Mutex<HashMap<String, Use>>);

#[derive(Debug, Default, Clone, Copy)]
struct Use {
    readers: usize,
    /// Removals of our own that were not yet seen as events.
    dropped: usize,
}

impl InUse {
    pub(super) fn begin(&self, name: &EntryName) {
        self.with(|uses| uses.entry(name.to_string()).or_default().readers += 1);
    }

    pub(super) fn end(&self, name: &EntryName) {
        self.with(|uses| {
            if let Place::Occupied(mut entry) = uses.entry(name.to_string()) {
                entry.get_mut().readers -= 1;
                if entry.get().readers == 0 {
                    entry.remove();
                }
            }
        });
    }

    /// Notes that this process removes an entry, if it reads it.
    pub(super) fn drop_own(&self, name: &str) {
        self.with(|uses| {
            if let Some(entry) = uses.get_mut(name) {
                entry.dropped += 1;
            }
        });
    }

    /// Whether an entry that has just gone is read here and was removed by somebody else.
    #[cfg(target_os = "linux")]
    pub(super) fn was_taken(&self, name: &str) -> bool {
        self.with(|uses| match uses.get_mut(name) {
            Some(entry) if entry.dropped > 0 => {
                entry.dropped -= 1;
                false
            }
            Some(_) => true,
            None => false,
        })
    }

    fn with<T>(&self, change: impl FnOnce(&mut HashMap<String, Use>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(target_os = "linux")]
pub(super) use linux::Monitor;

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

    use super::super::rooms::Rooms;
    use super::super::upkeep::{Depth, State};
    use super::super::{Inner, Place};
    use crate::weakened::leaves_out;

    const WATCHED: WatchFlags = WatchFlags::MODIFY
        .union(WatchFlags::ATTRIB)
        .union(WatchFlags::CREATE)
        .union(WatchFlags::MOVED_TO)
        .union(WatchFlags::MOVED_FROM)
        .union(WatchFlags::DELETE)
        .union(WatchFlags::DELETE_SELF)
        .union(WatchFlags::MOVE_SELF)
        .union(WatchFlags::ONLYDIR);

    /// Room for the events that are read at once, each with a name of 64 bytes or more.
    const BUFFER: usize = 4096;

    /// Events that are received before the first of them is handled: as many as the kernel queues by default.
    const MAX_PENDING: usize = 16_384;

    /// A thread that watches as long as this lives.
    #[derive(Debug)]
    pub(in crate::cache::folder) struct Monitor {
        /// Closed with it, which ends the thread.
        _alive: UnixStream,
    }

    impl Monitor {
        /// Begins to watch the entries of a shared cache.
        pub(in crate::cache::folder) fn start(rooms: Arc<Rooms>, cache: Weak<Inner>) -> io::Result<Self> {
            let watch = Watch::new(rooms, cache)?;
            let (alive, end) = UnixStream::pair()?;
            std::thread::Builder::new().name("cache-monitor".to_owned()).spawn(move || watch.run(&end))?;
            Ok(Self { _alive: alive })
        }
    }

    /// The event queue of a shared cache's entries and its reader.
    struct Watch {
        events: OwnedFd,
        rooms: Arc<Rooms>,
        cache: Weak<Inner>,
        /// Events received and not yet handled.
        pending: VecDeque<(ReadFlags, Option<OsString>)>,
        /// What was told last: writing a file is many events.
        last: Option<(OsString, &'static str)>,
    }

    impl Watch {
        /// Creates the queue; the kernel fills it from now on.
        fn new(rooms: Arc<Rooms>, cache: Weak<Inner>) -> io::Result<Self> {
            let events = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
            // The folder that was verified, whatever its path leads to now.
            inotify::add_watch(&events, rooms.entries.path_of_descriptor(), WATCHED)?;
            Ok(Self { events, rooms, cache, pending: VecDeque::new(), last: None })
        }

        /// Handles events until the monitor is dropped.
        fn run(mut self, end: &UnixStream) {
            loop {
                let mut ready = [PollFd::new(&self.events, PollFlags::IN), PollFd::new(end, PollFlags::IN)];
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
        fn catch_up(&mut self) {
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

        /// Receives the events that are queued, as long as at most about [`MAX_PENDING`] are pending.
        fn receive(&mut self) {
            let mut buffer = [MaybeUninit::uninit(); BUFFER];
            let mut reader = Reader::new(&self.events, &mut buffer);
            while (self.pending.len() < MAX_PENDING || !reader.is_buffer_empty())
                && let Ok(event) = reader.next()
            {
                let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()).to_owned());
                self.pending.push_back((event.events(), name));
            }
        }

        fn see(&mut self, cache: &Inner, flags: ReadFlags, name: Option<OsString>) {
            if leaves_out("monitor") {
                return;
            }
            let Some(name) = name else { return self.see_folder(cache, flags) };
            if flags.intersects(ReadFlags::MODIFY | ReadFlags::ATTRIB) {
                self.tell(cache, &name, "it was changed");
            } else if flags.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO) {
                self.last = None;
                self.see_arrival(cache, &name);
            } else if flags.intersects(ReadFlags::MOVED_FROM) {
                self.tell(cache, &name, "it was moved away");
            } else if flags.intersects(ReadFlags::DELETE) && cache.in_use.was_taken(&name.to_string_lossy()) {
                self.tell(cache, &name, "it was removed while it is read");
            }
        }

        /// What is authenticated of it here is its header; chunks are when they are read.
        fn see_arrival(&mut self, cache: &Inner, name: &OsStr) {
            if let Some(State::Unsound(_)) = cache.examine(&self.rooms, name, Depth::Header) {
                self.tell(cache, name, "it came by other ways than ours");
            }
        }

        fn see_folder(&mut self, cache: &Inner, flags: ReadFlags) {
            if flags.intersects(ReadFlags::QUEUE_OVERFLOW) {
                for name in self.rooms.entries.names().unwrap_or_default() {
                    self.see_arrival(cache, &name);
                }
            } else if flags.intersects(ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF) {
                self.tell_of_folder(cache, "it was moved or removed");
            } else if flags.intersects(ReadFlags::ATTRIB) && matches!(self.rooms.entries.put_right(), Ok(true)) {
                self.tell_of_folder(cache, "others were let in; put right");
            }
        }

        /// Drops the entry.
        fn tell(&mut self, cache: &Inner, name: &OsStr, what: &'static str) {
            if self.last.as_ref().is_some_and(|(last, told)| last == name && *told == what) {
                cache.discard(&self.rooms, name).ok();
                return;
            }
            cache.counters.events.add_one();
            tracing::warn!(entry = ?name, "security event in the reference cache: {what}; the entry is dropped");
            cache.discard(&self.rooms, name).ok();
            self.last = Some((name.to_owned(), what));
        }

        fn tell_of_folder(&self, cache: &Inner, what: &'static str) {
            cache.counters.events.add_one();
            let folder = self.rooms.entries.path().display();
            tracing::warn!(%folder, "security event in the reference cache: {what}");
        }
    }

    impl Inner {
        /// Watches a shared cache. Where that cannot be, for want of descriptors, entries are verified at their use all the same.
        pub(in crate::cache::folder) fn watch(self: &Arc<Self>) {
            let Place::Persistent(rooms) = &self.place else { return };
            match Monitor::start(rooms.clone(), Arc::downgrade(self)) {
                Ok(monitor) => drop(self.monitor.set(monitor)),
                Err(error) => tracing::debug!(%error, "the shared cache is not watched"),
            }
        }
    }
}
