//! The doorbell: the only way in which Rust threads tell JavaScript that there is something to take.

use std::sync::atomic::{AtomicBool, Ordering};

use napi::bindgen_prelude::Function;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::Status;
use parking_lot::Mutex;

use crate::emitter::Bell;

/// Carries no data. Weak, so that an idle emitter does not keep the process alive; JavaScript does that when needed.
type Ring = ThreadsafeFunction<(), (), (), Status, false, true, 0>;

/// Rings at most once until JavaScript answers by taking everything.
pub struct Doorbell {
    /// `None` once the environment or the emitter has gone. Held while calling, so that nobody calls after
    /// [`Doorbell::silence`] has returned.
    ring: Mutex<Option<Ring>>,
    rung: AtomicBool,
}

impl Doorbell {
    /// A bell that calls `callback` on the JavaScript thread.
    ///
    /// # Errors
    /// Node-API's, if it gives no threadsafe function.
    pub fn new(callback: &Function<'_, (), ()>) -> napi::Result<Self> {
        let ring = callback
            .build_threadsafe_function::<()>()
            .callee_handled::<false>()
            .weak::<true>()
            .build_callback(|_| Ok(()))?;
        Ok(Doorbell { ring: Mutex::new(Some(ring)), rung: AtomicBool::new(false) })
    }

    /// Called when JavaScript is about to take everything: whatever comes after this needs another ring.
    pub fn answer(&self) {
        self.rung.store(false, Ordering::SeqCst);
    }

    /// Never rings again once this has returned.
    pub fn silence(&self) {
        drop(self.ring.lock().take());
    }
}

impl Bell for Doorbell {
    fn ring(&self) {
        if self.rung.swap(true, Ordering::SeqCst) {
            return;
        }
        if let Some(ring) = &*self.ring.lock() {
            // A closing environment refuses the call; then nobody needs to hear it.
            let _ = ring.call((), ThreadsafeFunctionCallMode::NonBlocking);
        }
    }
}
