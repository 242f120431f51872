//! Several files at once: how many, and what came of all of them.

use std::future::Future;
use std::pin::pin;

use futures::future::{Either, LocalBoxFuture, select};
use futures::stream::{FuturesUnordered, StreamExt as _};

use super::failure::{Exit, Failure, warn};

/// What came of many files.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) done: u64,
    pub(super) warned: u64,
    /// What was left as it is, with a warning.
    pub(super) skipped: u64,
    pub(super) failed: u64,
}

impl Tally {
    fn add(&mut self, exit: Exit) {
        match exit {
            Exit::Done => self.done += 1,
            Exit::Warned => self.warned += 1,
            Exit::Skipped => self.skipped += 1,
            _ => self.failed += 1,
        }
    }

    pub(super) fn all(&self) -> u64 {
        self.done + self.warned + self.skipped + self.failed
    }

    /// With more that was done.
    pub(super) fn with_changed(mut self, more: u64) -> Self {
        self.done += more;
        self
    }

    /// What was changed.
    pub(super) fn changed(&self) -> u64 {
        self.done + self.warned
    }

    /// Says how many failed.
    pub(super) fn end(&self) -> Exit {
        if self.failed > 0 {
            warn(&format!("{} of {} failed", self.failed, self.all()));
            Exit::Failed
        } else if self.warned > 0 || self.skipped > 0 {
            Exit::Warned
        } else {
            Exit::Done
        }
    }
}

/// Work under way, at most so much at once.
pub(super) struct Parallel<'a> {
    at_once: usize,
    running: FuturesUnordered<LocalBoxFuture<'a, Result<Exit, Failure>>>,
    tally: Tally,
}

impl<'a> Parallel<'a> {
    pub(super) fn new(at_once: u16) -> Self {
        Self { at_once: usize::from(at_once).max(1), running: FuturesUnordered::new(), tally: Tally::default() }
    }

    /// Begins work as soon as there is room for it; an error when the rest has no point.
    pub(super) async fn begin(
        &mut self,
        work: impl Future<Output = Result<Exit, Failure>> + 'a,
    ) -> Result<(), Failure> {
        while self.running.len() >= self.at_once {
            self.wait().await?;
        }
        self.running.push(Box::pin(work));
        Ok(())
    }

    /// Waits for something else while the work goes on.
    pub(super) async fn meanwhile<T>(&mut self, other: impl Future<Output = T>) -> Result<T, Failure> {
        let mut other = pin!(other);
        loop {
            if self.running.is_empty() {
                return Ok(other.await);
            }
            match select(other, self.running.next()).await {
                Either::Left((told, _)) => return Ok(told),
                Either::Right((ended, waiting)) => {
                    if let Some(ended) = ended {
                        self.tally.add(ended?);
                    }
                    other = waiting;
                }
            }
        }
    }

    async fn wait(&mut self) -> Result<(), Failure> {
        if let Some(ended) = self.running.next().await {
            self.tally.add(ended?);
        }
        Ok(())
    }

    /// Waits for all that was begun.
    pub(super) async fn so_far(&mut self) -> Result<&Tally, Failure> {
        while !self.running.is_empty() {
            self.wait().await?;
        }
        Ok(&self.tally)
    }

    /// Waits for all of it.
    pub(super) async fn end(mut self) -> Result<Tally, Failure> {
        self.so_far().await?;
        Ok(self.tally)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;
    use std::cell::Cell;

    #[tokio::test]
    async fn no_more_than_asked_for_runs_at_once_and_all_is_counted() {
        let (running, most) = (Cell::new(0), Cell::new(0));
        let mut parallel = Parallel::new(3);
        for n in 0..10 {
            let exit = if n == 4 { Exit::Failed } else { Exit::Done };
            let (running, most) = (&running, &most);
            let work = async move {
                running.set(running.get() + 1);
                most.set(most.get().max(running.get()));
                tokio::task::yield_now().await;
                running.set(running.get() - 1);
                exit
            };
            parallel.begin(work.map(Ok)).await.unwrap();
            parallel.meanwhile(tokio::task::yield_now()).await.unwrap();
        }
        let tally = parallel.end().await.unwrap();
        assert_eq!((most.get() <= 3, tally.done, tally.failed), (true, 9, 1));
    }
}
