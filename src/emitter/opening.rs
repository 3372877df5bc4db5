//! Opening the store. Calls that come before it is open are deferred, and made in their order once it is.

use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::belonging::network_of;
use super::observer::Observer;
use super::request::Request;
use super::{Emitter, Notice};
use crate::error::{Error, Result};
use crate::hyperlog::{Ack, Batch, Demands, Log};
use crate::net::{Dial, Net, NetEvent};
use crate::store::Store;

/// The store's record of stuck logs is written at most this often, because a peer's version of such a log may grow all the time.
const KEEP_STUCK_LOGS_EVERY: Duration = Duration::from_secs(10);

/// A call that may be made before the store is open.
pub(super) enum Call {
    Append(Batch),
    /// Appends that were refused. They are answered when their turn comes.
    RefusedAppends(usize, Error),
    Request(u32, Request),
    Connect {
        host: String,
        port: u16,
        dial: Dial,
    },
    Net(Box<dyn FnOnce(&Net) + Send>),
}

impl Call {
    fn is_append(&self) -> bool {
        matches!(self, Call::Append(_) | Call::RefusedAppends(..))
    }
}

/// Calls that wait for the store.
#[derive(Default)]
pub(super) struct Deferred {
    calls: Vec<Call>,
    /// Bytes of their appends.
    bytes: usize,
}

impl Deferred {
    fn push(&mut self, call: Call, max_pending: usize, closing: bool) {
        let Call::Append(batch) = &call else {
            self.calls.push(call);
            return;
        };
        let pending = self.bytes + batch.cost();
        let refused = if closing {
            Error::Closed("it was closed before its store was open")
        } else if pending > max_pending {
            Error::Backlog { pending, limit: max_pending }
        } else {
            self.bytes = pending;
            self.calls.push(call);
            return;
        };
        self.calls.push(Call::RefusedAppends(batch.acks(), refused));
    }

    /// Its appends, and everything else.
    fn split(self) -> (Vec<Call>, Vec<Call>) {
        self.calls.into_iter().partition(Call::is_append)
    }
}

/// How far opening has come.
enum OpeningState {
    Waiting(Deferred),
    Open,
    Failed(Error),
}

/// What to do with a call.
enum Admission {
    Deferred,
    Now(Call),
    Never(Call, Error),
}

/// The opening of the store.
pub(super) struct Opening(Mutex<OpeningState>);

impl Opening {
    pub(super) fn begun() -> Self {
        Opening(Mutex::new(OpeningState::Waiting(Deferred::default())))
    }

    pub(super) fn failed(error: Error) -> Self {
        Opening(Mutex::new(OpeningState::Failed(error)))
    }

    /// Decides what to do with a call, by the state of opening. This is the only place that decides it.
    fn admit(&self, call: Call, max_pending: usize, closing: impl FnOnce() -> bool) -> Admission {
        match &mut *self.0.lock() {
            OpeningState::Waiting(deferred) => {
                deferred.push(call, max_pending, closing());
                Admission::Deferred
            }
            OpeningState::Open => Admission::Now(call),
            OpeningState::Failed(error) => Admission::Never(call, error.clone()),
        }
    }

    /// Whether one of the deferred appends needs a search.
    pub(super) fn needs_search(&self) -> bool {
        match &*self.0.lock() {
            OpeningState::Waiting(deferred) => deferred.calls.iter().any(|call| match call {
                Call::Append(batch) => batch.demands().is_some_and(Demands::need_search),
                _ => false,
            }),
            OpeningState::Open | OpeningState::Failed(_) => false,
        }
    }

    /// Bytes of deferred appends.
    pub(super) fn pending(&self) -> usize {
        match &*self.0.lock() {
            OpeningState::Waiting(deferred) => deferred.bytes,
            OpeningState::Open | OpeningState::Failed(_) => 0,
        }
    }

    /// Runs `change` under the lock, so that opening cannot succeed or fail meanwhile.
    pub(super) fn while_undecided(&self, change: impl FnOnce()) {
        let _state = self.0.lock();
        change();
    }
}

/// Has the store keep which logs are stuck, whenever that changes. Ends with the runtime.
async fn keep_stuck_logs(log: Arc<Log>) {
    let mut changes = log.watch_stuck_logs();
    while changes.changed().await.is_ok() {
        log.keep_stuck_logs();
        tokio::time::sleep(KEEP_STUCK_LOGS_EVERY).await;
    }
}

impl Emitter {
    /// Handles a call that came while the store may not be open yet: makes it now, defers it, or refuses it.
    pub(super) fn call(self: &Arc<Self>, call: Call) {
        let closing = || self.closing.load(Ordering::SeqCst);
        match self.opening.admit(call, self.options.log.max_pending, closing) {
            Admission::Deferred => {}
            // The store was opened in the meantime, and the thread that opened it has set the log.
            Admission::Now(call) => {
                if let Some(log) = self.log.get() {
                    self.perform(log, call);
                }
            }
            Admission::Never(call, error) => self.refuse(call, &error),
        }
    }

    /// Makes a call on the open store.
    fn perform(self: &Arc<Self>, log: &Arc<Log>, call: Call) {
        match call {
            Call::Append(batch) => log.append(batch),
            Call::RefusedAppends(acks, error) => log.refuse_appends(acks, error),
            Call::Request(id, request) => self.ask(log, id, request),
            Call::Net(call) => {
                if let Some(net) = self.net.get() {
                    call(net);
                }
            }
            Call::Connect { host, port, dial } => match self.net.get() {
                Some(net) => drop(net.dial(host, port, dial)),
                None if log.store().is_read_only() => {
                    self.refuse(Call::Connect { host, port, dial }, &Error::ReadOnly);
                }
                None => {}
            },
        }
    }

    /// Answers a call that will not be made, because opening failed.
    fn refuse(&self, call: Call, error: &Error) {
        match call {
            Call::Append(batch) => self.outbox.push_acks(vec![Ack::failed(error.clone()); batch.acks()]),
            Call::RefusedAppends(acks, own) => self.outbox.push_acks(vec![Ack::failed(own); acks]),
            Call::Request(id, _) => self.outbox.notify(Notice::Answer { id, result: Err(error.clone()) }),
            // No answer is expected, and a stream is closed when it is dropped.
            Call::Net(_) => {}
            Call::Connect { host, port, .. } => {
                let key = format!("{host}:{port}");
                self.outbox.notify(Notice::Net(NetEvent::GaveUp { key, error: error.clone() }));
            }
        }
    }

    /// The store is open, or could not be opened. Makes or answers the calls that have been deferred.
    pub(super) fn opened(self: &Arc<Self>, store: Result<Arc<dyn Store>>) {
        let observer = Arc::new(Observer(Arc::downgrade(self)));
        let given = self.options.net.trust.network.as_deref();
        let opened = store.and_then(|store| {
            let network = network_of(store.as_ref(), given)?;
            let seals = self.options.seals.clone();
            Ok((Log::open_trusting(store, self.options.log, seals, observer.clone())?, network))
        });
        match opened {
            Ok((log, network)) => self.begin(&log, network, observer),
            Err(error) => self.fail(&error),
        }
    }

    fn begin(self: &Arc<Self>, log: &Arc<Log>, network: Option<String>, observer: Arc<Observer>) {
        let mut state = self.opening.0.lock();
        let OpeningState::Waiting(deferred) = std::mem::replace(&mut *state, OpeningState::Open) else { return };
        let (appends, others) = deferred.split();
        self.delivery.lock().start(log.end());
        self.outbox.notify(Notice::Ready { log_id: log.log_id(), change: log.end().change });
        for found in log.store().repairs() {
            self.outbox.notify(Notice::Report(Error::Repaired(found)));
        }
        // Under the lock, and before others find the log: their appends must come after the deferred ones.
        appends.into_iter().for_each(|call| self.perform(log, call));
        if self.closing.load(Ordering::SeqCst) {
            log.close();
        }
        // Peers would have to store what they exchange.
        if let Some(runtime) = self.runtime.lock().as_ref().filter(|_| !log.store().is_read_only()) {
            let mut options = self.options.net.clone();
            options.trust.network = network;
            let net = Net::new(Arc::clone(log), options, observer, runtime.handle().clone());
            // Only this thread sets the net and the log, once.
            let _ = self.net.set(net);
            if !log.store().is_immediate() {
                runtime.spawn(keep_stuck_logs(Arc::clone(log)));
            }
        }
        {
            let early = &mut *self.policy.lock();
            early.take().into_iter().for_each(|policy| log.set_trust(policy));
            let _ = self.log.set(Arc::clone(log));
        }
        drop(state);
        others.into_iter().for_each(|call| self.perform(log, call));
    }

    fn fail(self: &Arc<Self>, error: &Error) {
        let mut state = self.opening.0.lock();
        let OpeningState::Waiting(deferred) = std::mem::replace(&mut *state, OpeningState::Failed(error.clone()))
        else {
            return;
        };
        let (appends, others) = deferred.split();
        // Under the lock: calls that are refused from now on must come after the deferred ones.
        appends.into_iter().for_each(|call| self.refuse(call, error));
        drop(state);
        self.outbox.notify(Notice::Failed(error.clone()));
        others.into_iter().for_each(|call| self.refuse(call, error));
    }
}
