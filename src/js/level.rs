//! From Rust threads to a Level database in JavaScript, and back: numbered requests go out through a threadsafe function,
//! numbered answers come in through a call. lib/stores/level/handle.js is the other end.

use std::collections::HashMap;
use std::sync::mpsc::{sync_channel, Receiver, SyncSender};
use std::sync::Arc;
use std::thread::ThreadId;

use bytes::Bytes;
use napi::bindgen_prelude::{Buffer, FnArgs, Function};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::Status;
use napi_derive::napi;
use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::store::level::packing;
use crate::store::level::{LevelBridge, LevelReply, LevelRequest};

/// The number, in place of a [`packing::Kind`], that asks JavaScript to close the database.
const CLOSE: u32 = 3;

/// Id, kind and packed request.
type Request = (u32, u32, Vec<u8>);

/// Weak, so that an idle database does not keep the process alive. Unbounded, because every caller waits for its answer, so
/// that there are never more requests than threads.
type Caller = ThreadsafeFunction<Request, (), FnArgs<(u32, u32, Buffer)>, Status, false, true, 0>;

#[derive(Default)]
struct Waiting {
    /// Why requests can no longer be answered; `None` while they can.
    gone: Option<&'static str>,
    next: u32,
    callers: HashMap<u32, SyncSender<Result<Bytes>>>,
}

/// A Level database in the JavaScript environment that made it.
pub struct JsBridge {
    /// `None` once the environment or the emitter has gone. Held while calling, so that nobody calls after
    /// [`JsBridge::abort`] has returned.
    caller: Mutex<Option<Caller>>,
    waiting: Mutex<Waiting>,
    javascript: ThreadId,
}

impl JsBridge {
    /// Sends a request. [`JsBridge::answer_of`] waits for its answer.
    fn ask(&self, kind: u32, packed: Vec<u8>) -> Result<Receiver<Result<Bytes>>> {
        let (sender, receiver) = sync_channel(1);
        let id = {
            let mut waiting = self.waiting.lock();
            if let Some(reason) = waiting.gone {
                return Err(Error::Closed(reason));
            }
            if std::thread::current().id() == self.javascript {
                // Waiting for JavaScript on its own thread would be a deadlock.
                debug_assert!(false, "a Level store was asked on the JavaScript thread");
                return Err(Error::Internal("a Level store was asked on the JavaScript thread".into()));
            }
            let id = waiting.next;
            waiting.next = id.wrapping_add(1);
            waiting.callers.insert(id, sender);
            id
        };
        let status = match &*self.caller.lock() {
            Some(caller) => caller.call((id, kind, packed), ThreadsafeFunctionCallMode::NonBlocking),
            None => Status::Closing,
        };
        if status != Status::Ok {
            self.abort("its JavaScript environment has ended");
        }
        Ok(receiver)
    }

    fn answer_of(&self, asked: &Receiver<Result<Bytes>>) -> Result<Bytes> {
        // The sender is dropped unused when the bridge is given up.
        asked.recv().unwrap_or_else(|_| {
            let reason = self.waiting.lock().gone.unwrap_or("its JavaScript environment has ended");
            Err(Error::Closed(reason))
        })
    }

    /// Answers all waiting and later requests with `Closed`. Once this has returned, JavaScript is not called any more.
    pub fn abort(&self, reason: &'static str) {
        let callers = {
            let mut waiting = self.waiting.lock();
            waiting.gone.get_or_insert(reason);
            std::mem::take(&mut waiting.callers)
        };
        drop(callers);
        drop(self.caller.lock().take());
    }
}

impl LevelBridge for JsBridge {
    fn call(&self, request: LevelRequest) -> Result<LevelReply> {
        let (kind, packed) = packing::pack(&request)?;
        let asked = self.ask(kind as u32, packed)?;
        // Dropping thousands of operations takes a while, so it is done while JavaScript works on the request.
        drop(request);
        packing::unpack(kind, self.answer_of(&asked)?)
    }

    fn close(&self) -> Result<()> {
        let closed = self.ask(CLOSE, Vec::new()).and_then(|asked| self.answer_of(&asked));
        self.abort("its store was closed");
        closed.map(|_| ())
    }
}

/// JavaScript's end of a [`JsBridge`].
#[napi]
pub struct LevelHandle {
    bridge: Arc<JsBridge>,
}

#[napi]
impl LevelHandle {
    /// `request(id, kind, packed)` is called for each request: 0 get, 1 ranges, 2 batch, 3 close. Every one is answered
    /// once, in any order, through [`LevelHandle::answer`].
    #[napi(constructor, catch_unwind)]
    pub fn new(request: Function<'_, FnArgs<(u32, u32, Buffer)>, ()>) -> napi::Result<Self> {
        let caller =
            request.build_threadsafe_function::<Request>().callee_handled::<false>().weak::<true>().build_callback(
                |context| {
                    let (id, kind, packed) = context.value;
                    Ok((id, kind, Buffer::from(packed)).into())
                },
            )?;
        let bridge = Arc::new(JsBridge {
            caller: Mutex::new(Some(caller)),
            waiting: Mutex::default(),
            javascript: std::thread::current().id(),
        });
        Ok(LevelHandle { bridge })
    }

    /// The answer to a request: an error's text, or the packed reply.
    #[napi(catch_unwind)]
    pub fn answer(&self, id: u32, error: Option<String>, reply: &[u8]) {
        // Requests with unknown ids have been given up in the meantime.
        if let Some(caller) = self.bridge.waiting.lock().callers.remove(&id) {
            let answer = match error {
                Some(message) => Err(Error::ForeignStore(message)),
                None => Ok(Bytes::copy_from_slice(reply)),
            };
            // If the caller's thread is gone, nothing can be done.
            let _ = caller.send(answer);
        }
    }
}

impl LevelHandle {
    /// The Rust end.
    #[must_use]
    pub fn bridge(&self) -> Arc<JsBridge> {
        Arc::clone(&self.bridge)
    }
}
