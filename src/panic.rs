//! Turns a panic into an error, where others wait for the thread or task that panicked.

use std::future::{poll_fn, Future};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::pin::pin;
use std::task::Poll;

use crate::error::{Error, Result};

/// Runs `call`, and turns a panic into an `Internal` error. `what` names the work in the error's text.
///
/// # Errors
/// Those of `call`.
pub fn caught<T>(what: &str, call: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| Err(panicked(what)))
}

/// Runs `work` to its end; a panic in it becomes an `Internal` error, and `work` is not polled again. The caller must discard what
/// the panic left half done.
///
/// # Errors
/// `Internal` if `work` panics.
pub async fn caught_async<T>(what: &str, work: impl Future<Output = T>) -> Result<T> {
    let mut work = pin!(work);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
        Ok(poll) => poll.map(Ok),
        Err(_) => Poll::Ready(Err(panicked(what))),
    })
    .await
}

fn panicked(what: &str) -> Error {
    Error::Internal(format!("{what} panicked"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_in_a_call_is_an_error() {
        let error = caught::<()>("the store", || panic!("on purpose")).unwrap_err();
        assert_eq!((error.code(), error.to_string().contains("the store panicked")), ("ERR_HYPER_INTERNAL", true));
        assert_eq!(caught("the store", || Ok(7)).unwrap(), 7);
    }

    #[tokio::test]
    async fn a_panic_in_a_future_is_an_error_and_the_task_goes_on() {
        let error = caught_async("serving a link", async {
            tokio::task::yield_now().await;
            panic!("on purpose");
        });
        assert_eq!(error.await.map(|()| 0).unwrap_err().code(), "ERR_HYPER_INTERNAL");
        assert_eq!(caught_async("serving a link", async { 7 }).await.unwrap(), 7);
    }
}
