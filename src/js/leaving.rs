//! Shutting an emitter down when its JavaScript environment ends.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::{Arc, Weak};

use napi::{CleanupEnvHook, Env};

use super::doorbell::Doorbell;
use super::level::JsBridge;
use crate::emitter::Emitter;

/// What is shut down.
struct Parts {
    emitter: Weak<Emitter>,
    bell: Weak<Doorbell>,
    bridge: Option<Weak<JsBridge>>,
}

impl Parts {
    fn shut_down(self) {
        // First, because the writer may wait for JavaScript, which no longer runs.
        if let Some(bridge) = self.bridge.and_then(|bridge| bridge.upgrade()) {
            bridge.abort("its JavaScript environment has ended");
        }
        if let Some(bell) = self.bell.upgrade() {
            bell.silence();
        }
        if let Some(emitter) = self.emitter.upgrade() {
            // There is nobody left to report a failure to.
            let _ = emitter.shut_down();
        }
    }
}

/// Emptied when the emitter is released, because napi never frees a hook's data, and a weak reference would keep the memory that it
/// refers to. Then 64 bytes of a closed emitter remain.
type Slot = Rc<Cell<Option<Box<Parts>>>>;

/// A registered shutdown.
pub struct Leaving {
    slot: Slot,
    hook: CleanupEnvHook<Slot>,
}

impl Leaving {
    /// Registers the shutdown. Call it after all threadsafe functions were created: hooks run in reverse order, and this one has to run
    /// before those functions are torn down.
    ///
    /// # Errors
    /// Whatever Node-API says.
    pub fn register(
        env: &Env,
        emitter: &Arc<Emitter>,
        bell: &Arc<Doorbell>,
        bridge: Option<Weak<JsBridge>>,
    ) -> napi::Result<Self> {
        let parts = Parts { emitter: Arc::downgrade(emitter), bell: Arc::downgrade(bell), bridge };
        let slot = Rc::new(Cell::new(Some(Box::new(parts))));
        let hook = env.add_env_cleanup_hook(Rc::clone(&slot), |slot| {
            if let Some(parts) = slot.take() {
                parts.shut_down();
            }
        })?;
        Ok(Leaving { slot, hook })
    }

    /// Gives the registration up.
    pub fn cancel(self, env: &Env) {
        self.slot.take();
        // An environment that refuses this is ending; the emptied hook does nothing.
        let _ = env.remove_env_cleanup_hook(self.hook);
    }
}
