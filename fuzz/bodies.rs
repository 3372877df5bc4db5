//! What each fuzz target does with its bytes. Shared with `tests/fuzz_short.rs`, which replays generated inputs.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use hyperemitter::codec::{compile, Sources};
use hyperemitter::event;
use hyperemitter::identity::noise::{Handshake as SecureHandshake, LinkKey, Progress, Transport};
use hyperemitter::identity::SecretKey;
use hyperemitter::node::{Digest, LogId};
use hyperemitter::protocol::batch::BatchReader;
use hyperemitter::protocol::capability::Capability;
use hyperemitter::protocol::extension::Extension;
use hyperemitter::protocol::frame;
use hyperemitter::protocol::message::{Handshake, Message, Mode};
use hyperemitter::protocol::twins::Turn;
use hyperemitter::protocol::{Config, Found, InEvent, Instance, LocalLog, Lookup, OutEvent, Outcome, Session, Token};
use hyperemitter::schema::{unreadable, Schema, MAX_DIFFERENCES};
use hyperemitter::store::{LogHead, Position};
use zeroize::Zeroizing;

/// Far below the default, so that a fuzzer reaches it.
const MAX_FRAME: usize = 1 << 20;

/// More answers than a session may ask for in reply to one input: beyond it, it would never come to rest.
const MAX_ANSWERS: usize = 100_000;

/// A stored or received event container.
pub fn event(data: &[u8]) {
    if let Ok(event) = event::decode(data) {
        assert!(event.payload.len() <= data.len());
        // Whatever the answer is: it must be one.
        let _ = event::check_name(&event.name);
    }
    let _ = event::reason_unsafe_for_v1(data);
}

/// Frames off a socket, arriving in pieces whose size is the first byte.
pub fn frame(data: &[u8]) {
    let Some((&piece, data)) = data.split_first() else { return };
    let mut input = BytesMut::new();
    for chunk in data.chunks(usize::from(piece).max(1)) {
        input.extend_from_slice(chunk);
        loop {
            match frame::split(&mut input, MAX_FRAME) {
                Ok(Some(frame)) => message(&frame),
                Ok(None) => break,
                Err(_) => return,
            }
        }
        assert!(input.capacity() <= 2 * MAX_FRAME + data.len(), "memory grows only with bytes that arrived");
    }
}

/// What a peer says during the handshake of a secure link, to both sides: the first byte says which and whether there is a secret,
/// the rest are frames. A middleman: bit 7 puts the bytes over those of an honest peer.
pub fn handshake(data: &[u8]) {
    let Some((&setup, data)) = data.split_first() else { return };
    let key = |seed| Arc::new(LinkKey::new(&SecretKey::from_seed(&[seed; 32])).expect("there is randomness"));
    let secret = (setup & 1 != 0).then(|| Arc::new(Zeroizing::new([7; 32])));
    let (dialler, first) = SecureHandshake::dial(key(1), secret.as_ref(), None).expect("a handshake begins");
    let mut ends = [dialler, SecureHandshake::listen(key(2), secret.as_ref()).expect("a handshake begins")];
    if setup & 0x80 == 0 {
        let mut input = BytesMut::from(data);
        while let Ok(Some(frame)) = frame::split(&mut input, MAX_FRAME) {
            let end = usize::from(setup >> 1 & 1);
            if ends[end].frame(&frame).is_err() {
                return;
            }
        }
        return;
    }
    // Each byte of the input is put over one of a message, at the place that the byte before it says.
    let mut changes = data.chunks_exact(2);
    let mut altered = |frame: &Bytes| {
        let mut input = BytesMut::from(&frame[..]);
        let body = frame::split(&mut input, MAX_FRAME).expect("own frames split").expect("own frames are whole");
        let mut altered = body.to_vec();
        for change in changes.by_ref().take(usize::from(setup >> 2 & 3)) {
            let at = usize::from(change[0]) % altered.len();
            altered[at] = change[1];
        }
        // A second change at the same place may have undone the first.
        let is_altered = altered[..] != body[..];
        (altered, is_altered)
    };
    let (mut next, mut tampered, mut to) = (first, false, 1);
    loop {
        let (body, is_altered) = altered(&next);
        tampered |= is_altered;
        match ends[to].frame(&body) {
            Err(_) => return,
            Ok(Progress::Reply(reply)) => next = reply,
            Ok(Progress::Done { reply: Some(reply), .. }) => {
                assert!(!tampered, "the dialler takes an altered handshake for the listener's");
                next = reply;
            }
            Ok(Progress::Done { reply: None, .. }) => {
                assert!(!tampered, "the listener takes an altered handshake for the dialler's");
                return;
            }
        }
        to = 1 - to;
    }
}

/// The records of a secure link: the first byte is the size of the pieces in which they come, the rest comes behind a record of the
/// peer's.
pub fn records(data: &[u8]) {
    let Some((&piece, data)) = data.split_first() else { return };
    let [mut ours, mut theirs] = transports();
    let mut stream = BytesMut::new();
    ours.seal(b"genuine", &mut stream).expect("there are numbers left");
    stream.extend_from_slice(data);
    let (mut input, mut out) = (BytesMut::new(), BytesMut::new());
    for chunk in stream.chunks(usize::from(piece).max(1)) {
        input.extend_from_slice(chunk);
        if theirs.open(&mut input, &mut out).is_err() {
            break;
        }
        assert!(input.capacity() <= 4 * (64 * 1024 + data.len()), "memory grows only with bytes that arrived");
    }
    assert_eq!(&out[..], b"genuine", "nothing but what was sent comes out");
}

/// Both ends of a secure link. Made anew for each input, because records are numbered.
fn transports() -> [Transport; 2] {
    let key = |seed| Arc::new(LinkKey::new(&SecretKey::from_seed(&[seed; 32])).expect("there is randomness"));
    let body = |frame: &Bytes| {
        let mut input = BytesMut::from(&frame[..]);
        frame::split(&mut input, MAX_FRAME).expect("own frames split").expect("own frames are whole")
    };
    let (mut dialler, first) = SecureHandshake::dial(key(1), None, None).expect("a handshake begins");
    let mut listener = SecureHandshake::listen(key(2), None).expect("a handshake begins");
    let Ok(Progress::Reply(second)) = listener.frame(&body(&first)) else { panic!("the listener answers") };
    let Ok(Progress::Done { reply: Some(third), transport: ours, .. }) = dialler.frame(&body(&second)) else {
        panic!("the dialler is through")
    };
    let Ok(Progress::Done { transport: theirs, .. }) = listener.frame(&body(&third)) else {
        panic!("the listener is through")
    };
    [ours, theirs]
}

/// One frame: what decodes means the same after encoding it again.
fn message(bytes: &[u8]) {
    let Ok(decoded) = Message::decode(bytes) else { return };
    if let Message::Extension(kind, body) = decoded {
        extension(kind, body);
    }
    let mut encoded = BytesMut::new();
    decoded.encode(&mut encoded);
    let again = frame::split(&mut encoded, usize::MAX).expect("own frames split").expect("own frames are whole");
    assert_eq!(Message::decode(&again).expect("own frames decode"), decoded);
}

/// One of our own messages, and the nodes of a batch.
fn extension(kind: u8, body: &[u8]) {
    let Ok(decoded) = Extension::decode(kind, body) else { return };
    if let Extension::Batch(rows) = decoded {
        let mut reader = BatchReader::default();
        reader.announce(Arc::from("own"));
        let frame = Bytes::copy_from_slice(rows);
        let _ = reader.read(&frame, &frame, 0);
    }
    if decoded == Extension::Unknown {
        return;
    }
    let mut encoded = BytesMut::new();
    decoded.encode(&mut encoded);
    let again = frame::split(&mut encoded, usize::MAX).expect("own frames split").expect("own frames are whole");
    let Ok(Message::Extension(kind, body)) = Message::decode(&again) else { panic!("an extension stays one") };
    assert_eq!(Extension::decode(kind, body).expect("own messages decode"), decoded);
}

/// Schema text.
pub fn schema(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // protox calls these out of range, but where assertions are checked it first asserts that there are none.
    let mut numbers = text.split(|c: char| !c.is_ascii_digit());
    if numbers.any(|number| number.starts_with('0') && number.contains(['8', '9'])) {
        return;
    }
    if let Ok(compiled) = compile(text, &Sources::default()) {
        assert!(!compiled.descriptor_set().is_empty());
    }
}

/// A peer's schema, compared with one of ours.
pub fn peer_schema(data: &[u8]) {
    let ours = Schema::parse(OUR_SCHEMA.as_bytes()).expect("a schema");
    let Ok(theirs) = Schema::parse(data) else { return };
    for found in [unreadable(&ours, &theirs), unreadable(&theirs, &ours), unreadable(&theirs, &theirs)] {
        assert!(found.first.len() <= MAX_DIFFERENCES);
    }
}

/// A schema with all that there is.
pub const OUR_SCHEMA: &str = r#"{"events":[["note",2,0],["order",0,1]],"types":[
{"name":"Order","fields":[["lines",1,1,"repeated map"],["kind",2,3,""],["counts",3,"uint32","repeated packed"],["next",4,0,"group"]]},
{"name":"Line","fields":[["key",1,"string","required"],["value",2,2,"bare"]]},{"name":"Note","fields":[]},{"name":"Kind","values":[["A","1.5"]]}]}"#;

/// A log with three entries of its own.
struct Three;

impl LocalLog for Three {
    fn log_id(&self) -> LogId {
        Arc::from("own")
    }
    fn head(&self, log: &str) -> Option<LogHead> {
        self.logs().into_iter().find(|head| &*head.log == log)
    }
    fn logs(&self) -> Vec<LogHead> {
        vec![LogHead { log: self.log_id(), seq: 3, digest: Digest([7; 32]) }]
    }
    fn end(&self) -> Position {
        Position::of(3)
    }
}

/// A peer that says whatever it likes. The first byte sets the session up, the rest are frames.
pub fn session(data: &[u8]) {
    let Some((&setup, data)) = data.split_first() else { return };
    let mut config = Config::new(setup & 1 == 0, event::reason_unsafe_for_v1);
    config.extension = setup & 2 == 0;
    config.standard = setup & 4 != 0;
    config.max_frame = MAX_FRAME;
    config.twin = (setup & 16 != 0).then_some((Instance([1; 16]), Token([2; 8])));
    let mut session = Session::new(config);
    let mut now = 0;
    let mut input = BytesMut::from(data);
    if !answer(&mut session, InEvent::Opened, now) {
        return;
    }
    if setup & 8 != 0 {
        // Past the door of a 2.x session, which noise would seldom find.
        let twin = Some((Instance([setup; 16]), Token([3; 8])));
        let config = Config { twin, ..Config::new(true, event::reason_unsafe_for_v1) };
        let metadata = Capability::ours(&config, Arc::from("peer")).encode();
        let handshake = Handshake { version: 1, mode: Mode::Sync, metadata: Some(&metadata), live: Some(true) };
        let mut out = BytesMut::new();
        Message::Handshake(handshake).encode(&mut out);
        let own = frame::split(&mut out, MAX_FRAME).expect("own frames split").expect("own frames are whole");
        if !answer(&mut session, InEvent::Frame(own), now) {
            return;
        }
    }
    while let Ok(Some(bytes)) = frame::split(&mut input, MAX_FRAME) {
        now += u64::from(setup);
        if !answer(&mut session, InEvent::Frame(bytes), now) || !answer(&mut session, InEvent::Idle, now) {
            return;
        }
    }
    while let Some(at) = session.wake_at() {
        if !answer(&mut session, InEvent::Tick, at) || session.wake_at() == Some(at) {
            return;
        }
        // A session that waits for ever is judged by its owner; here it only must not spin.
        now += 1;
        if now > 1_000_000 {
            return;
        }
    }
}

/// Hands `event` over and answers everything that follows from it. Returns whether the session goes on.
fn answer(session: &mut Session, event: InEvent, now: u64) -> bool {
    session.handle(event, now, &Three);
    for _ in 0..MAX_ANSWERS {
        let answer = match session.poll() {
            None => return true,
            Some(OutEvent::Close(_)) => {
                assert!(session.poll().is_none(), "nothing follows Close");
                return false;
            }
            Some(OutEvent::Send(_) | OutEvent::Report(_)) => continue,
            Some(OutEvent::Read { .. }) => InEvent::Rows(Ok(Vec::new())),
            Some(OutEvent::Add(nodes)) => InEvent::Added(Ok(nodes.iter().map(|_| Outcome::Added).collect())),
            Some(OutEvent::Lookup(queries)) => InEvent::LookedUp(Ok(queries.iter().map(reply).collect())),
            Some(OutEvent::ForkLocal { .. }) => InEvent::Forked(Ok(Arc::from("other"))),
            Some(OutEvent::Met(..) | OutEvent::Twin(None)) => InEvent::Turn(Turn::Carry),
            Some(OutEvent::Twin(Some(token))) => {
                InEvent::Turn(if token.0[0] & 1 == 0 { Turn::StandBy } else { Turn::TakeOver })
            }
        };
        session.handle(answer, now, &Three);
    }
    panic!("the session never comes to rest");
}

fn reply(query: &Lookup) -> Found {
    match query {
        Lookup::Digest(..) | Lookup::DigestBetween(..) => Found::Digest(Some(Digest([7; 32]))),
        Lookup::Entry(..) => Found::Entry(None),
    }
}
