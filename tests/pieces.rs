//! Large events over links that are cut again and again: what has arrived is not sent a second time.

mod sim;

use bytes::{Bytes, BytesMut};
use hyperemitter::event::reason_unsafe_for_v1;
use hyperemitter::hyperlog::SourceId;
use hyperemitter::protocol::pieces::{Partials, LARGE, MAX_PARTIAL_BYTES};
use hyperemitter::protocol::{frame, Config, InEvent, OutEvent, Session};
use sim::new::NewPeer;

/// One end of a link, driven by hand.
struct End<'a> {
    peer: &'a NewPeer,
    session: Session,
    source: SourceId,
    input: BytesMut,
    output: BytesMut,
    sent: usize,
}

impl<'a> End<'a> {
    fn new(peer: &'a NewPeer, dialled: bool, partials: &Partials, source: u64) -> Self {
        let config = Config { partials: partials.clone(), ..Config::new(dialled, reason_unsafe_for_v1) };
        let (input, output) = (BytesMut::new(), BytesMut::new());
        End { peer, session: Session::new(config), source: SourceId(source), input, output, sent: 0 }
    }

    fn handle(&mut self, event: InEvent, now: u64) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            self.session.handle(event, now, self.peer.log.as_ref());
            while let Some(out) = self.session.poll() {
                match out {
                    OutEvent::Send(bytes) => self.output.extend_from_slice(&bytes),
                    OutEvent::Read { after, limit } => events.push(InEvent::Rows(self.peer.log.read(after, limit))),
                    OutEvent::Add(nodes) => events.push(InEvent::Added(Ok(self.peer.add(self.source, nodes)))),
                    OutEvent::Lookup(queries) => events.push(InEvent::LookedUp(Ok(self.peer.answer(&queries)))),
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    fn take(&mut self, bytes: &[u8], now: u64) {
        self.input.extend_from_slice(bytes);
        self.handle(InEvent::Arriving, now);
        while let Some(frame) = frame::split(&mut self.input, usize::MAX).unwrap() {
            self.handle(InEvent::Frame(frame), now);
        }
        self.handle(InEvent::Idle, now);
    }
}

/// Links `from` (which dials) and `to` until nothing moves, or so many bytes have gone from one to the other. A millisecond
/// carries `line` bytes. Answers how many went.
fn link(from: &NewPeer, to: &NewPeer, partials: &Partials, cut_after: usize, line: usize, source: u64) -> usize {
    let mut ends = [End::new(from, true, &Partials::default(), source), End::new(to, false, partials, source)];
    for end in &mut ends {
        end.handle(InEvent::Opened, 0);
    }
    let mut quiet = 0;
    for now in 1.. {
        let mut moved = false;
        for at in 0..2 {
            let left = if at == 0 { cut_after - ends[0].sent } else { usize::MAX };
            let most = ends[at].output.len().min(line).min(left);
            let bytes = ends[at].output.split_to(most);
            ends[at].sent += most;
            if most > 0 {
                moved = true;
                ends[1 - at].take(&bytes, now);
            }
            ends[at].handle(InEvent::Tick, now);
        }
        quiet = if moved { 0 } else { quiet + 1 };
        if ends[0].sent >= cut_after || quiet > 1000 {
            break;
        }
    }
    to.log.forget(SourceId(source));
    if ends[0].sent < cut_after {
        assert!(ends[0].session.delivered().is_some(), "the peer has all: the credit is whole again");
    }
    ends[0].sent
}

fn large(size: usize) -> Bytes {
    Bytes::from((0..size).map(|n| (n % 253) as u8).collect::<Vec<_>>())
}

#[test]
fn a_large_event_arrives_over_links_that_carry_less_than_it() {
    for (size, cut_after) in [(8 << 20, 600_000), (8 << 20, 40_000), (300_000, 50_000), (LARGE + 1, 40_000)] {
        let (from, to) = (NewPeer::new("from"), NewPeer::new("to"));
        from.append(Bytes::from_static(b"before"));
        let key = from.append(large(size));
        from.append(Bytes::from_static(b"after"));
        let partials = Partials::default();
        let mut bytes = 0;
        for source in 1..1000 {
            bytes += link(&from, &to, &partials, cut_after, 2048, source);
            assert!(partials.bytes() <= MAX_PARTIAL_BYTES);
            if to.seq("from") == 3 {
                break;
            }
        }
        assert_eq!(to.seq("from"), 3, "{size} bytes, cut after {cut_after}");
        assert!(to.rows().iter().any(|row| row.node.key == key && row.node.value.len() == size));
        // A cut wastes what of a piece was under way: half of one on the average, and the greeting.
        let waste = 20 * 1024 * (size / cut_after + 2);
        assert!(bytes <= size * 11 / 10 + waste, "{bytes} bytes for {size}, cut after {cut_after}");
        assert_eq!(partials.bytes(), 0);
    }
}

#[test]
fn a_catch_up_over_a_slow_line_that_is_cut_wastes_a_tenth_at_the_most() {
    let (from, to) = (NewPeer::new("from"), NewPeer::new("to"));
    for number in 0..1000_u32 {
        let mut value = vec![7; 4096];
        value.splice(0..4, number.to_le_bytes());
        from.append(Bytes::from(value));
    }
    let partials = Partials::default();
    let mut bytes = 0;
    for source in 1..1000 {
        // 2.5 bytes per millisecond are 20 kbit/s; every tenth of the events a cut.
        bytes += link(&from, &to, &partials, 400_000, 3, source);
        if to.seq("from") == 1000 {
            break;
        }
    }
    assert_eq!(to.seq("from"), 1000);
    assert!(bytes <= 1000 * 4140 * 11 / 10, "{bytes}");
}
