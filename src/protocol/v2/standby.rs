//! Standing by: another link to the same emitter carries rows (`twins`), and this one is kept for when that ends.

use super::V2;
use crate::error::Result;
use crate::protocol::common::Common;
use crate::protocol::extension::Extension;
use crate::protocol::io::{CloseReason, InEvent, LocalLog, OutEvent};
use crate::protocol::message::Message;
use crate::protocol::twins::{Token, Turn};

impl V2 {
    pub(crate) fn stands_by(&self) -> bool {
        self.stands_by
    }

    /// Handles an event while this link stands by: signs of life in both directions, and events that end this state.
    pub(super) fn stand_by(&mut self, common: &mut Common, event: InEvent, view: &dyn LocalLog) -> Result<()> {
        match event {
            InEvent::Frame(frame) => {
                self.heard_at = common.now;
                let Message::Extension(kind, body) = Message::decode(&frame)? else { return Ok(()) };
                match Extension::decode(kind, body)? {
                    Extension::Twin(token) => self.on_twin(common, token)?,
                    Extension::Goodbye { why, text } => common.close(CloseReason::Told(why, text)),
                    // The peer used this link before it knew of the other one. No answer is needed.
                    _ => {}
                }
            }
            InEvent::Arriving => self.heard_at = common.now,
            InEvent::Turn(turn) => self.on_turn(common, turn, view),
            _ => {}
        }
        if !common.is_closed() {
            self.keep_alive(common);
        }
        Ok(())
    }

    /// Passes on the peer's statement about which link carries. The driver decides, because it knows the other links.
    pub(super) fn on_twin(&mut self, common: &mut Common, token: Option<Token>) -> Result<()> {
        // It may lead to a comparison, so it counts as one.
        self.count_comparison(common)?;
        common.out.push_back(OutEvent::Twin(token));
        Ok(())
    }

    pub(super) fn on_turn(&mut self, common: &mut Common, turn: Turn, view: &dyn LocalLog) {
        match turn {
            Turn::Carry => self.carry(common, view),
            Turn::TakeOver => {
                self.say(common, &Extension::Twin(None));
                if !self.stands_by && !self.heard && !common.config.dialled {
                    // The peer stood by, and has not answered our first announcement.
                    self.announce(common, view);
                }
                self.carry(common, view);
            }
            Turn::Yield(token) => {
                self.say(common, &Extension::Twin(Some(token)));
                self.yield_to_twin(common, view);
            }
            Turn::StandBy => self.yield_to_twin(common, view),
        }
    }

    fn carry(&mut self, common: &mut Common, view: &dyn LocalLog) {
        if std::mem::take(&mut self.stands_by) {
            self.log_id = view.log_id();
            self.begin_exchange(common, view);
        }
    }

    /// Stands by. If the session has exchanged nothing, it waits as if it had not begun; otherwise it is closed and replaced by a
    /// new one.
    fn yield_to_twin(&mut self, common: &mut Common, view: &dyn LocalLog) {
        if self.stands_by {
            return;
        }
        if self.heard {
            common.close(CloseReason::Renew);
            return;
        }
        // The peer's comparisons are counted over the whole session.
        let (begun, started_at) = (self.trees.begun, self.started_at);
        *self = V2::waiting(common, self.capability.clone(), self.logs.mode, view);
        self.trees.begun = begun;
        self.started_at = started_at;
        self.stands_by = true;
    }
}
