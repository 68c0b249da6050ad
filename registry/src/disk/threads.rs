//! Work that waits for a disk, off the runtime's threads.
//!
//! The faces of `blobs` and `catalog` are asynchronous: each question is one hop to a thread that may block. A use case
//! of many questions runs on one such thread as a whole ([`composed`]); its questions then run in place, so that it
//! costs one hop however many it asks.

use std::cell::Cell;
use std::future::ready;
use std::pin::{Pin, pin};

use futures_util::future::Either;
use tokio::runtime::Handle;

use crate::error::Error;

thread_local! {
    /// Whether this thread may block.
    static MAY_BLOCK: Cell<bool> = const { Cell::new(false) };
}

#[cfg(test)]
thread_local! {
    /// Hops to a thread that may block that began on this thread.
    pub(crate) static HOPS: Cell<usize> = const { Cell::new(0) };
}

/// Runs `work` on a thread that may block.
fn hop<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> impl Future<Output = Result<T, Error>> + Send {
    #[cfg(test)]
    HOPS.set(HOPS.get() + 1);
    let task = tokio::task::spawn_blocking(work);
    async {
        match task.await {
            Ok(result) => result,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(Error::Unavailable("it is stopping".into())),
        }
    }
}

/// Marks this thread until it is dropped: the runtime reuses its blocking threads for other work.
struct Marked(bool);

impl Marked {
    fn set() -> Self {
        Self(MAY_BLOCK.replace(true))
    }
}

impl Drop for Marked {
    fn drop(&mut self) {
        MAY_BLOCK.set(self.0);
    }
}

/// Runs what blocks on the disk: in place on a thread that may block, else on one that may. Goes on to its end when the
/// caller is dropped.
pub(crate) fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> impl Future<Output = Result<T, Error>> + Send {
    // Started here, not when it is polled: so `work` is not part of the caller's future, which stays small.
    if MAY_BLOCK.get() {
        return Either::Left(ready(work()));
    }
    Either::Right(hop(move || {
        let _marked = Marked::set();
        work()
    }))
}

/// Runs a whole use case on one thread that may block. Wait before it for what takes longer than a disk (a lock, the index
/// being rebuilt): these threads are few. Goes on to its end when the caller is dropped.
pub(crate) fn composed<T: Send + 'static>(
    use_case: impl AsyncFnOnce() -> Result<T, Error> + Send + 'static,
) -> impl Future<Output = Result<T, Error>> + Send {
    let runtime = Handle::current();
    hop(move || block_on(&runtime, use_case()))
}

/// As [`composed`], for a caller whose thread may block already.
pub(crate) fn block_on<T>(runtime: &Handle, use_case: impl Future<Output = T>) -> T {
    let _marked = Marked::set();
    let mut output = None;
    // One instance of the runtime's code for all use cases: each of its own has some ten kilobytes.
    {
        let run: Pin<&mut dyn Future<Output = ()>> = pin!(async { output = Some(use_case.await) });
        runtime.block_on(run);
    }
    output.expect("the future ran to its end")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn thread() -> Result<std::thread::ThreadId, Error> {
        blocking(|| Ok(std::thread::current().id())).await
    }

    #[tokio::test]
    async fn a_use_case_of_many_questions_is_one_hop() {
        let here = std::thread::current().id();
        let (first, second) = composed(async || Ok((thread().await?, thread().await?))).await.unwrap();
        assert_eq!(first, second);
        assert_ne!(first, here);
        assert_ne!(thread().await.unwrap(), here, "a single question is a hop of its own");
    }

    #[tokio::test]
    async fn a_use_case_that_was_begun_ends_when_its_caller_is_dropped() {
        let (begun, mut has_begun) = tokio::sync::mpsc::channel::<()>(1);
        let (ended, mut has_ended) = tokio::sync::mpsc::channel::<()>(1);
        let use_case = composed(async move || {
            let _ = begun.send(()).await;
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            let _ = ended.send(()).await;
            Ok(())
        });
        let caller = tokio::spawn(use_case);
        has_begun.recv().await.unwrap();
        caller.abort();
        assert!(has_ended.recv().await.is_some());
    }
}
