//! Comparisons with a peer that misbehaves.

use super::*;

/// A peer whose frames a test writes.
struct Stranger {
    session: Session,
    book: Book,
    out: Vec<OutEvent>,
}

impl Stranger {
    fn new(dialled: bool, logs: usize) -> Self {
        let mut stranger = Stranger {
            session: Session::new(Config::new(dialled, reason_unsafe_for_v1)),
            book: Book::with(logs),
            out: Vec::new(),
        };
        stranger.feed(InEvent::Opened);
        let capability = Capability {
            network: None,
            version: 2,
            flags: 0,
            max_frame: 1 << 20,
            window: WINDOW,
            log: "x".into(),
            max_value: None,
            twin: None,
            schema: None,
        };
        let mut bytes = BytesMut::new();
        let metadata = capability.encode();
        let metadata = Some(&metadata[..]);
        Message::Handshake(Handshake { version: 1, mode: Mode::Sync, metadata, live: Some(true) }).encode(&mut bytes);
        stranger.hear(bytes);
        stranger
    }

    fn feed(&mut self, event: InEvent) {
        self.session.handle(event, 0, &self.book);
        self.out.extend(std::iter::from_fn(|| self.session.poll()));
    }

    fn hear(&mut self, mut bytes: BytesMut) {
        while let Some(frame) = frame::split(&mut bytes, usize::MAX).unwrap() {
            self.feed(InEvent::Frame(frame));
        }
    }

    fn say(&mut self, number: u64, first: bool, again: bool, items: &[Item]) {
        let (mut body, mut bytes) = (BytesMut::new(), BytesMut::new());
        items.iter().for_each(|item| item.put(&mut body));
        Extension::Compare(Compare { number, first, last: true, again, items: &body }).encode(&mut bytes);
        self.hear(bytes);
    }

    fn accused(&self) -> bool {
        self.out.iter().any(|out| matches!(out, OutEvent::Close(CloseReason::Peer(_))))
    }

    fn heard(&self) -> usize {
        self.out.iter().map(|out| if let OutEvent::Send(bytes) = out { bytes.len() } else { 0 }).sum()
    }
}

#[test]
fn digests_that_never_agree_cost_a_list_of_our_logs_and_no_more() {
    let mut stranger = Stranger::new(false, 5_000);
    let mut prefixes = vec![Prefix::ROOT];
    while prefixes.first().is_some_and(|prefix| prefix.digits() < 16) && !stranger.accused() {
        let items: Vec<_> = prefixes.iter().map(|prefix| Item::Parts(*prefix, [Some([9; 12]); PARTS])).collect();
        stranger.say(1, false, false, &items);
        prefixes = prefixes.iter().flat_map(|prefix| (0..16).filter_map(|digit| prefix.part(digit))).collect();
        if prefixes.len() > 70_000 {
            break;
        }
    }
    assert!(stranger.accused(), "it answers prefixes that were listed, not taken apart");
    assert!(stranger.heard() < 5_000 * 80, "{}", stranger.heard());
}

#[test]
fn answers_that_were_not_asked_for_end_the_session() {
    let part = Prefix::ROOT.part(3).unwrap();
    let list = |prefix, asks| Item::List { prefix, asks, extents: vec![] };
    for items in [
        vec![Item::Parts(part, [None; PARTS])],
        vec![Item::Parts(Prefix::of(u64::MAX, 15), [None; PARTS])],
        vec![list(part, true)],
        vec![list(part, false)],
        vec![list(Prefix::ROOT, true), list(Prefix::ROOT, true)],
        vec![Item::Root(Bucket::default())],
    ] {
        let mut stranger = Stranger::new(false, 100);
        stranger.say(1, false, false, &items);
        assert!(stranger.accused(), "{items:?}");
    }
}

#[test]
fn comparisons_without_end_end_the_session() {
    for dialled in [false, true] {
        let mut stranger = Stranger::new(dialled, 100);
        let mut count = 0;
        while !stranger.accused() {
            count += 1;
            let list = Item::List { prefix: Prefix::ROOT, asks: true, extents: vec![] };
            stranger.say(count, dialled, !dialled, if dialled { std::slice::from_ref(&list) } else { &[] });
            assert!(count < 1_000);
        }
        assert!(count > 10);
    }
}

#[test]
fn a_log_listed_where_it_does_not_belong_ends_the_session() {
    let mut stranger = Stranger::new(true, 0);
    let extents = |log: &str| vec![extension::Extent { log: log.into(), seq: 1, digest: Digest([1; 32]) }];
    stranger.say(1, true, false, &[Item::Root(Bucket { logs: 1, digest: Digest([3; 32]) })]);
    let wrong = (0..16).filter_map(|digit| Prefix::ROOT.part(digit));
    let wrong = wrong.filter(|prefix| !prefix.holds(crate::store::log_set::id_hash("a"))).take(1);
    let items: Vec<_> = wrong.map(|prefix| Item::List { prefix, asks: false, extents: extents("a") }).collect();
    stranger.say(1, false, false, &items);
    assert!(stranger.accused());
}

#[test]
fn items_that_are_cut_or_changed_are_refused_and_never_panic() {
    let mut bytes = BytesMut::new();
    Item::Root(Bucket { logs: 300, digest: Digest([7; 32]) }).put(&mut bytes);
    Item::Parts(Prefix::of(0xabc0 << 48, 3), [Some([1; 12]); PARTS]).put(&mut bytes);
    let extents = vec![extension::Extent { log: "a".into(), seq: 1, digest: Digest([1; 32]) }];
    Item::List { prefix: Prefix::of(u64::MAX, 16), asks: true, extents }.put(&mut bytes);
    let read = |mut body: &[u8]| -> crate::error::Result<usize> {
        let mut count = 0;
        while Item::take(&mut body)?.is_some() {
            count += 1;
        }
        Ok(count)
    };
    assert_eq!(read(&bytes).unwrap(), 3);
    for at in 0..bytes.len() {
        let _ = read(&bytes[..at]);
        for bit in 0..8 {
            let mut changed = bytes.to_vec();
            changed[at] ^= 1 << bit;
            let _ = read(&changed);
        }
    }
}
