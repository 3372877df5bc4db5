//! Whose turn it is to send.
//!
//! A link whose peer lacks the whole log, and takes bytes fast, uses the network's thread all the time: each of its turns reads the
//! log, encodes and writes. All links have their turns one after the other, so many such links would leave little to others.
//! Therefore, as long as there are links of several address prefixes, only one link of each prefix sends at a time, and the other
//! links of the prefix wait in line. So all links of a prefix together get no more than one link of another prefix.
//!
//! Links never wait if all have the same prefix, nor does the only link of its prefix.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use super::address_prefix::AddressPrefix;

/// The lines of all prefixes that have links.
#[derive(Default)]
pub(super) struct SendTurns {
    prefixes: HashMap<AddressPrefix, Line>,
}

struct Line {
    links: usize,
    /// One permit, which is given to those who wait in the order in which they came.
    turn: Arc<Semaphore>,
}

impl SendTurns {
    /// Whether the prefix has several links, and links of other prefixes would suffer if they all sent.
    fn are_needed(&self, prefix: AddressPrefix) -> bool {
        self.prefixes.len() > 1 && self.prefixes.get(&prefix).is_some_and(|line| line.links > 1)
    }
}

type Acquiring = Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send>>;

/// The place of one link.
pub(super) struct SendTurn<'a> {
    turns: &'a Mutex<SendTurns>,
    prefix: AddressPrefix,
    turn: Arc<Semaphore>,
    has_turn: Option<OwnedSemaphorePermit>,
    in_line: Option<Acquiring>,
}

impl<'a> SendTurn<'a> {
    pub(super) fn open(turns: &'a Mutex<SendTurns>, prefix: AddressPrefix) -> Self {
        let mut lines = turns.lock();
        let line = lines.prefixes.entry(prefix).or_insert_with(|| Line { links: 0, turn: Arc::new(Semaphore::new(1)) });
        line.links += 1;
        SendTurn { turns, prefix, turn: Arc::clone(&line.turn), has_turn: None, in_line: None }
    }

    /// Whether the link may send now. If not, it is in line from now on, and [`SendTurn::comes`] says when it may.
    pub(super) fn begin(&mut self) -> bool {
        if self.has_turn.is_some() {
            return true;
        }
        if self.in_line.is_some() {
            return false;
        }
        if !self.turns.lock().are_needed(self.prefix) {
            return true;
        }
        match Arc::clone(&self.turn).try_acquire_owned() {
            Ok(turn) => self.has_turn = Some(turn),
            Err(_) => self.in_line = Some(Box::pin(Arc::clone(&self.turn).acquire_owned())),
        }
        self.has_turn.is_some()
    }

    /// Whether it waits in line.
    pub(super) fn waits(&self) -> bool {
        self.in_line.is_some()
    }

    /// Waits until the link has its turn; for ever if it is not in line. Cancellation-safe.
    pub(super) async fn comes(&mut self) {
        let Some(in_line) = &mut self.in_line else { return std::future::pending().await };
        let turn = in_line.await;
        self.in_line = None;
        self.has_turn = turn.ok();
    }

    /// Whether it has its turn, so that others of its prefix wait.
    pub(super) fn is_on(&self) -> bool {
        self.has_turn.is_some()
    }

    /// Its turn is over, if it had one. The next link of its prefix has it now. To be called after the other tasks of the thread could
    /// run: a link sends within one step of its task, so otherwise nobody would ever find the turn taken.
    pub(super) fn end(&mut self) {
        self.has_turn = None;
    }
}

impl Drop for SendTurn<'_> {
    fn drop(&mut self) {
        let lines = &mut self.turns.lock().prefixes;
        if let Some(line) = lines.get_mut(&self.prefix) {
            line.links -= 1;
            if line.links == 0 {
                lines.remove(&self.prefix);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    const HERE: AddressPrefix = AddressPrefix::V4([10, 0, 0, 1]);
    const THERE: AddressPrefix = AddressPrefix::V4([10, 0, 0, 2]);

    /// A link that always has something to send, and counts its turns.
    async fn send(turns: Arc<Mutex<SendTurns>>, prefix: AddressPrefix, count: Arc<AtomicU64>, most: u64) {
        let mut turn = SendTurn::open(&turns, prefix);
        for _ in 0..most {
            while !turn.begin() {
                turn.comes().await;
            }
            count.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            turn.end();
        }
    }

    fn run(test: impl Future<Output = ()> + Send + 'static) {
        // As an emitter has it: all tasks on one thread.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        runtime.block_on(async { tokio::spawn(test).await.unwrap() });
        runtime.shutdown_background();
    }

    #[test]
    fn many_links_of_a_prefix_have_as_many_turns_together_as_one_of_another() {
        run(async {
            let (turns, theirs, ours) = <(Arc<Mutex<SendTurns>>, Arc<AtomicU64>, Arc<AtomicU64>)>::default();
            for _ in 0..64 {
                tokio::spawn(send(Arc::clone(&turns), THERE, Arc::clone(&theirs), u64::MAX));
            }
            // By now all of them have begun.
            while theirs.load(Ordering::Relaxed) < 1000 {
                tokio::task::yield_now().await;
            }
            let before = theirs.load(Ordering::Relaxed);
            send(turns, HERE, Arc::clone(&ours), 1000).await;
            let meanwhile = theirs.load(Ordering::Relaxed) - before;
            assert!(meanwhile <= 1000 + 2 * 64, "{meanwhile} turns of others in 1,000 of ours");
            assert!(meanwhile >= 500, "{meanwhile}: they have their share, too");
        });
    }

    #[test]
    fn links_of_one_prefix_alone_never_wait_and_turns_go_round() {
        let turns = Mutex::default();
        let (mut first, mut second) = (SendTurn::open(&turns, HERE), SendTurn::open(&turns, HERE));
        assert!(first.begin() && second.begin());
        let mut other = SendTurn::open(&turns, THERE);
        assert!(first.begin() && !second.begin() && second.waits());
        assert!(other.begin(), "another prefix has a line of its own");
        first.end();
        drop((second, other));
        assert!(first.begin() && !first.is_on(), "it is alone again");
        drop(first);
        assert!(turns.lock().prefixes.is_empty());
    }
}
