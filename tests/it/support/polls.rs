//! A future that is given up at a chosen await.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A future that is polled a limited number of times and then given up.
pub(crate) struct Polls<F> {
    future: Pin<Box<F>>,
    left: u32,
}

impl<F> Polls<F> {
    pub(crate) fn of(future: F, left: u32) -> Self {
        Self { future: Box::pin(future), left }
    }
}

impl<F: Future> Future for Polls<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= 1;
        self.future.as_mut().poll(cx).map(Some)
    }
}
