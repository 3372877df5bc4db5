use super::*;
use crate::node::Links;
use bytes::Bytes;

fn parked(source: u64, seq: Seq, size: usize) -> Parked {
    let mut key = Key::default();
    key.0[..8].copy_from_slice(&seq.to_le_bytes());
    Parked {
        node: Incoming {
            log: "log".into(),
            seq,
            links: Links::new(),
            value: Bytes::from(vec![0; size]),
            signed: None,
            claimed: None,
        },
        key,
        source: SourceId(source).into(),
        named: None,
    }
}

/// From a session of an origin that others share.
fn of_origin(origin: u64, session: u64, seq: Seq, size: usize) -> Parked {
    let source = Source { session: SourceId(session), origin: Origin::Shared(origin) };
    Parked { source, ..parked(session, seq, size) }
}

fn entry(seq: Seq) -> Waits {
    Waits::Entry("log".into(), seq)
}

#[test]
fn what_is_released_no_longer_counts() {
    let mut parking = Parking::default();
    assert!(parking.park(parked(1, 2, 10), entry(1)));
    assert!(parking.park(parked(1, 3, 10), entry(2)));
    assert_eq!(parking.release(&entry(1)).len(), 1);
    assert_eq!(parking.release(&entry(1)).len(), 0);
    assert_eq!(parking.len(), 1);
    parking.forget(SourceId(1));
    assert!(parking.is_empty());
    assert_eq!((parking.len(), parking.bytes), (0, 0));
}

#[test]
fn one_source_cannot_take_the_room_of_others() {
    let mut parking = Parking::default();
    let mut kept = 0;
    for seq in 2..100_000 {
        kept += usize::from(parking.park(parked(1, seq, 0), entry(seq - 1)));
    }
    assert_eq!(kept, MAX_SOURCE_NODES);
    assert!(parking.park(parked(2, 2, 0), entry(1)));
    parking.forget(SourceId(1));
    assert_eq!(parking.len(), 1);
}

/// Parks nodes of `size` bytes for a session as long as it may; returns how many.
fn fill(parking: &mut Parking, make: impl Fn(Seq) -> Parked) -> usize {
    (2..).take_while(|seq| parking.park(make(*seq), entry(seq - 1))).count()
}

fn bytes_of(parking: &Parking, session: u64) -> usize {
    parking.sources.get(&SourceId(session)).map_or(0, |usage| usage.bytes)
}

#[test]
fn the_total_is_bounded_and_each_session_finds_its_share() {
    let mut parking = Parking::default();
    for session in 0..4 {
        fill(&mut parking, |seq| parked(session, seq, 1 << 20));
    }
    assert!(parking.bytes > MAX_TOTAL_BYTES - (5 << 20));
    // The fifth gets a fifth of the total, although four had taken all of it.
    let kept = fill(&mut parking, |seq| parked(4, seq, 1 << 20));
    assert!(parking.bytes <= MAX_TOTAL_BYTES);
    assert!((12..=13).contains(&kept), "{kept}");
    assert!((0..4).all(|session| bytes_of(&parking, session) >= 12 << 20), "nobody lost more than that took");
}

#[test]
fn one_address_with_many_sessions_takes_no_more_room_than_one_with_one() {
    let mut parking = Parking::default();
    for session in 0..100 {
        fill(&mut parking, |seq| of_origin(1, session, seq, 1 << 20));
    }
    let kept = fill(&mut parking, |seq| of_origin(2, 100, seq, 1 << 20));
    assert_eq!(kept, 15, "all that one session may have");
    // What has given way is not told by half: its session ends with the next node.
    let evicted = (0..100).find(|session| parking.sources.get(&SourceId(*session)).is_some_and(|usage| usage.evicted));
    assert!(!parking.park(of_origin(1, evicted.unwrap(), 1000, 0), entry(999)));
}

#[test]
fn nodes_never_give_way_to_those_of_a_larger_source() {
    let mut parking = Parking::default();
    assert!(parking.park(parked(9, 2, 1000), entry(1)));
    for session in 0..8 {
        fill(&mut parking, |seq| parked(session, seq, 1 << 20));
    }
    assert_eq!(bytes_of(&parking, 9), parked(9, 2, 1000).cost());
}

#[test]
fn everything_a_peer_sent_counts() {
    use crate::node::Signed;
    use std::sync::Arc;
    let signed = Signed { identity: Some(vec![0; 1 << 20].into()), signature: Some(vec![0; 1 << 20].into()) };
    let signed = Some(Arc::new(signed));
    let mut parking = Parking::default();
    let kept = fill(&mut parking, |seq| {
        let mut parked = parked(1, seq, 0);
        parked.node.signed = signed.clone();
        parked
    });
    assert_eq!(kept, 7);
    let mut parking = Parking::default();
    let kept = fill(&mut parking, |seq| {
        let mut parked = parked(1, seq, 0);
        parked.node.links = std::iter::repeat_n(Key::default(), 65_536).collect();
        parked
    });
    assert_eq!(kept, 7);
}

#[test]
fn what_a_session_leaves_is_taken_out_without_a_look_at_the_others() {
    let mut parking = Parking::default();
    let all = 3 * MAX_SOURCE_NODES;
    for session in 0..3 {
        // All wait for the same.
        (2..).take_while(|seq| parking.park(parked(session, *seq, 0), entry(1))).count();
    }
    assert_eq!(parking.len(), all);
    parking.forget(SourceId(1));
    assert_eq!((parking.len(), parking.release(&entry(1)).len()), (2 * MAX_SOURCE_NODES, 2 * MAX_SOURCE_NODES));
    assert_eq!((parking.bytes, parking.shares.len(), parking.largest.len(), parking.sources.len()), (0, 0, 0, 0));
}

#[test]
fn the_same_node_from_the_same_source_is_kept_once() {
    let mut parking = Parking::default();
    assert!(parking.park(parked(1, 2, 10), entry(1)));
    assert!(parking.park(parked(1, 2, 10), entry(1)));
    assert_eq!(parking.release(&entry(1)).len(), 1);
}
