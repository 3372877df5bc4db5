//! A defect that shows with one peer must not take the link's task down in silence.

use std::future::{poll_fn, Future};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::pin::pin;
use std::task::Poll;

use crate::error::{Error, Result};

/// Runs `work`; a panic in it becomes an `Internal` error, and nothing of `work` is polled again.
pub(super) async fn caught<T>(work: impl Future<Output = T>) -> Result<T> {
    let mut work = pin!(work);
    // What the panic may have left half done is the caller's to throw away.
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
        Ok(poll) => poll.map(Ok),
        Err(_) => Poll::Ready(Err(Error::Internal("serving a link panicked".into()))),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_and_the_task_goes_on() {
        let error = caught(async {
            tokio::task::yield_now().await;
            panic!("on purpose");
        });
        assert_eq!(error.await.map(|()| 0).unwrap_err().code(), "ERR_HYPER_INTERNAL");
        assert_eq!(caught(async { 7 }).await.unwrap(), 7);
    }
}
