//! Notices that wait for JavaScript. Their number is bounded; notices that a caller waits for are never dropped.

use std::collections::VecDeque;

use super::Notice;
use crate::net::NetEvent;

/// Notices that are kept before some are dropped. JavaScript takes them in each turn of its event loop, so only a loop that is
/// blocked for long reaches this.
const MAX_NOTICES: usize = 16 * 1024;

/// In the order in which things happened.
///
/// Over the bound, reports and progress are dropped, the oldest first, and so are inbound links that came and went
/// before JavaScript heard of them. Everything else stays: a callback waits for an answer, `Ready` or `GaveUp`, and `Connected` and
/// `ConnectionError` come no faster than peers are dialled.
#[derive(Default)]
pub(super) struct Notices {
    waiting: VecDeque<Notice>,
    /// How many of them may be dropped. At 0 the queue is not searched.
    spare: usize,
}

impl Notices {
    pub(super) fn push(&mut self, notice: Notice) {
        if self.waiting.len() >= MAX_NOTICES {
            if let Notice::Net(NetEvent::InboundGone { key, .. }) = &notice {
                let came = |kept: &Notice| matches!(kept, Notice::Net(NetEvent::Inbound { key: came }) if came == key);
                if self.waiting.iter().any(came) {
                    self.waiting.retain(|kept| !is_of_inbound(kept, key));
                    return;
                }
            }
            if self.spare == 0 && gives_way(&notice) {
                return;
            }
            if self.spare > 0 {
                if let Some(oldest) = self.waiting.iter().position(gives_way) {
                    self.waiting.remove(oldest);
                    self.spare -= 1;
                }
            }
        }
        self.spare += usize::from(gives_way(&notice));
        self.waiting.push_back(notice);
    }

    pub(super) fn take(&mut self) -> Vec<Notice> {
        self.spare = 0;
        self.waiting.drain(..).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// Whether a notice is about the inbound link of this key.
fn is_of_inbound(notice: &Notice, link: &str) -> bool {
    match notice {
        Notice::Net(
            NetEvent::Inbound { key }
            | NetEvent::Admit { key, .. }
            | NetEvent::Connected { key, .. }
            | NetEvent::Synced { key, .. }
            | NetEvent::Disconnected { key, .. },
        ) => key == link,
        _ => false,
    }
}

/// Whether a notice may be dropped, because no callback waits for it.
fn gives_way(notice: &Notice) -> bool {
    matches!(
        notice,
        Notice::Report(_) | Notice::Contradiction(_) | Notice::Progress { .. } | Notice::Net(NetEvent::Report { .. })
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr, SocketAddr};

    use crate::emitter::Reply;
    use crate::error::Error;
    use crate::net::rights::Right;
    use crate::net::{Direction, PeerKind, RemotePeer, Security};

    fn report() -> Notice {
        Notice::Report(Error::Closed("a report"))
    }

    const PEER: RemotePeer = RemotePeer {
        direction: Direction::Inbound,
        address: Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1)),
        public_key: None,
        security: Security::Plain,
        right: Right::Write,
        kind: PeerKind::V2,
    };

    fn of(key: &str) -> [Notice; 3] {
        let (key, error) = (key.to_owned(), Error::Closed("no"));
        [
            Notice::Net(NetEvent::Connected { key: key.clone(), peer: PEER }),
            Notice::Net(NetEvent::ConnectionError { key: key.clone(), error: error.clone(), will_retry_in_ms: None }),
            Notice::Net(NetEvent::GaveUp { key, error }),
        ]
    }

    #[test]
    fn reports_give_way_and_what_answers_somebody_stays() {
        let mut notices = Notices::default();
        notices.push(Notice::Ready { log_id: "a".into(), change: 0 });
        of("early").into_iter().for_each(|notice| notices.push(notice));
        for id in 0..MAX_NOTICES as u32 {
            notices.push(report());
            notices.push(Notice::Answer { id, result: Ok(Reply::Done) });
        }
        of("late").into_iter().for_each(|notice| notices.push(notice));
        notices.push(report());
        let kept = notices.take();
        assert!(matches!(kept[0], Notice::Ready { .. }));
        assert_eq!(kept.iter().filter(|notice| matches!(notice, Notice::Net(_))).count(), 6);
        assert_eq!(kept.iter().filter(|notice| matches!(notice, Notice::Answer { .. })).count(), MAX_NOTICES);
        assert_eq!(kept.len(), 1 + 6 + MAX_NOTICES, "no report is left");
    }

    #[test]
    fn inbound_links_that_come_and_go_while_nobody_looks_cost_no_memory() {
        let mut notices = Notices::default();
        notices.push(Notice::Net(NetEvent::Inbound { key: "0".into() }));
        let heard = notices.take();
        (0..MAX_NOTICES).for_each(|_| notices.push(report()));
        for key in 0..2 * MAX_NOTICES {
            if key > 0 {
                notices.push(Notice::Net(NetEvent::Inbound { key: key.to_string() }));
                notices.push(Notice::Net(NetEvent::Connected { key: key.to_string(), peer: PEER }));
            }
            notices.push(Notice::Net(NetEvent::InboundGone { key: key.to_string(), error: None }));
        }
        let kept = notices.take();
        assert_eq!((heard.len(), kept.len() <= MAX_NOTICES), (1, true));
        let gone = kept.iter().filter(|notice| matches!(notice, Notice::Net(NetEvent::InboundGone { .. })));
        assert_eq!(gone.count(), 1, "the link that JavaScript knows of");
    }
}
