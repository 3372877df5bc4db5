//! Large events over links that are cut repeatedly: what has arrived is not sent again.

mod sim;

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use hyperemitter::event::reason_unsafe_for_v1;
use hyperemitter::hyperlog::SourceId;
use hyperemitter::protocol::pieces::{Partials, LARGE, MAX_PARTIAL_BYTES};
use hyperemitter::protocol::{frame, Config, InEvent, OutEvent, Session};
use sim::new::NewPeer;
use sim::rng::Rng;

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

/// Links `from` (which dials) and `to` until nothing moves, or until `cut_after` bytes have gone to `to`. The line carries `line`
/// bytes per millisecond. Returns how many went.
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
        // A cut wastes the part of a piece that was in flight (half a piece on average), and the greeting.
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

/// A line of 20 kbit/s with a delay of 300 ms, on which one in fifty segments is lost. TCP hides a loss: everything after it waits
/// until the segment has been sent again.
struct Line {
    rng: Rng,
    ways: [Way; 2],
}

/// One direction of a line.
#[derive(Default)]
struct Way {
    /// Bytes of the segment that is being sent.
    segment: usize,
    /// When the last bytes arrive.
    last: u64,
    /// What is on its way, and when it arrives.
    queue: VecDeque<(u64, BytesMut)>,
}

impl Line {
    /// Virtual milliseconds per step, and the bytes that the line carries in a step.
    const STEP_MS: u64 = 10;
    const STEP_BYTES: usize = 25;
    const DELAY_MS: u64 = 300;
    const SEGMENT: usize = 1460;
    /// The least that TCP waits for an acknowledgement, and a round trip.
    const RETRANSMIT_MS: u64 = 200 + 2 * Self::DELAY_MS;
    const LOST_IN_A_HUNDRED: u64 = 2;

    fn new(seed: u64) -> Self {
        Line { rng: Rng::new(seed), ways: Default::default() }
    }

    fn carry(&mut self, way: usize, bytes: BytesMut, now: u64) {
        let way = &mut self.ways[way];
        let mut due = (now + Self::DELAY_MS).max(way.last);
        way.segment += bytes.len();
        if way.segment >= Self::SEGMENT {
            way.segment = 0;
            if self.rng.chance(Self::LOST_IN_A_HUNDRED) {
                due += Self::RETRANSMIT_MS;
            }
        }
        way.last = due;
        way.queue.push_back((due, bytes));
    }

    fn arrived(&mut self, way: usize, now: u64) -> Option<BytesMut> {
        let queue = &mut self.ways[way].queue;
        queue.front().is_some_and(|(due, _)| *due <= now).then(|| queue.pop_front())?.map(|(_, bytes)| bytes)
    }
}

/// Links `from` (which dials) and `to` over such a line, until `to` has `entries` entries of `from`, or the line has carried the
/// given number of bytes to it. Returns how many it has carried, and the time that it took.
fn link_slowly(
    from: &NewPeer,
    to: &NewPeer,
    partials: &Partials,
    entries: u64,
    cut_after: usize,
    source: u64,
) -> (usize, u64) {
    let mut ends = [End::new(from, true, &Partials::default(), source), End::new(to, false, partials, source)];
    let mut line = Line::new(source);
    for end in &mut ends {
        end.handle(InEvent::Opened, 0);
    }
    let mut now = 0;
    while to.seq("from") < entries && ends[0].sent < cut_after {
        now += Line::STEP_MS;
        assert!(now < 24 * 60 * 60 * 1000, "nothing moves");
        for (at, end) in ends.iter_mut().enumerate() {
            let most = end.output.len().min(Line::STEP_BYTES);
            if most > 0 {
                let bytes = end.output.split_to(most);
                end.sent += most;
                line.carry(at, bytes, now);
            }
            while let Some(bytes) = line.arrived(1 - at, now) {
                end.take(&bytes, now);
            }
            if end.session.wake_at().is_some_and(|wake| wake <= now) {
                end.handle(InEvent::Tick, now);
            }
        }
    }
    to.log.forget(SourceId(source));
    (ends[0].sent, now)
}

#[test]
fn over_20_kbit_s_with_delay_and_losses_everything_arrives_in_little_more_than_its_bytes() {
    const EVENT: usize = 4096;
    const LARGEST: usize = 8 << 20;
    // A tenth of the size, unless `npm run attack` asks for the full size.
    let part = if std::env::var("HYPER_ATTACK").is_ok() { 1 } else { 10 };
    for cut_after in [usize::MAX, 400_000, 60_000] {
        let (from, to) = (NewPeer::new("from"), NewPeer::new("to"));
        let events = 1000 / part;
        for number in 0..events {
            let mut value = vec![7; EVENT];
            value.splice(0..4, (number as u32).to_le_bytes());
            from.append(Bytes::from(value));
        }
        from.append(large(LARGEST / part));
        let (partials, entries) = (Partials::default(), events as u64 + 1);
        let (mut bytes, mut ms, mut cuts) = (0, 0, 0);
        while to.seq("from") < entries {
            let (sent, took) = link_slowly(&from, &to, &partials, entries, cut_after, cuts + 1);
            bytes += sent;
            ms += took;
            cuts += 1;
            assert!(cuts < 10_000, "{} of {entries} entries", to.seq("from"));
        }
        let least = events * EVENT + LARGEST / part;
        println!("{least} bytes, cut after {cut_after}: {bytes} carried over {cuts} links in {} minutes", ms / 60_000);
        assert!(bytes * 10 <= least * 11, "{bytes} bytes for {least}, cut after {cut_after}");
        assert!(cut_after > least || cuts > 2);
    }
}
