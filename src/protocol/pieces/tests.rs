use super::*;

fn node(size: usize, links: usize) -> Node {
    let links: Links = (0..links).map(|n| key_of(&[], &n.to_le_bytes())).collect();
    let value = Bytes::from((0..size).map(|n| (n % 251) as u8).collect::<Vec<_>>());
    Node { key: key_of(&links, &value), change: 1, log: "a".into(), seq: 7, links, value, signed: None }
}

fn origin(prefix: u64) -> PieceOrigin {
    PieceOrigin { address_prefix: prefix, log: "theirs".into() }
}

fn piece<'a>(node: &Node, blob: &Blob, out: &'a mut BytesMut, offset: usize) -> Piece<'a> {
    blob.put_piece(out, offset, PIECE);
    Piece {
        log: node.log.clone(),
        seq: node.seq,
        key: node.key,
        total: blob.len() as u64,
        offset: offset as u64,
        bytes: out,
    }
}

/// Sends pieces from `offset` until told otherwise.
fn send(
    partials: &Partials,
    origin: &PieceOrigin,
    session: u64,
    node: &Node,
    mut offset: usize,
    most: usize,
) -> Progress {
    let blob = Blob::of(node);
    let mut last = Progress::More;
    for _ in 0..most {
        let mut out = BytesMut::new();
        last = partials.add(origin, session, &piece(node, &blob, &mut out, offset), 0);
        offset += out.len();
        if offset >= blob.len() || !matches!(last, Progress::More) {
            break;
        }
    }
    last
}

#[test]
fn a_node_in_pieces_is_the_node_also_over_several_sessions() {
    for (size, links) in [(LARGE + 1, 0), (1 << 20, 3), (10, 5000), (3 * PIECE, 1)] {
        let partials = Partials::default();
        let node = node(size, links);
        let blob = Blob::of(&node);
        for session in 1.. {
            let held = partials.held(&origin(1));
            let from = held.first().map_or(0, |(key, bytes)| {
                assert_eq!(*key, node.key);
                usize::try_from(*bytes).unwrap()
            });
            assert_eq!(from, (session as usize - 1) * 2 * PIECE, "a session goes on where the one before ended");
            match send(&partials, &origin(1), session, &node, from, 2) {
                Progress::More => {}
                Progress::Whole(whole) => {
                    assert_eq!((whole.links, whole.value, whole.seq), (node.links.clone(), node.value.clone(), 7));
                    break;
                }
                other => panic!("{other:?} of {} bytes", blob.len()),
            }
        }
        assert_eq!(partials.bytes(), 0);
    }
}

#[test]
fn a_node_that_one_prefix_spoils_arrives_whole_from_another() {
    let partials = Partials::default();
    let node = node(1 << 20, 0);
    let other = Node { value: Bytes::from(vec![0; 1 << 20]), ..node.clone() };
    assert!(matches!(send(&partials, &origin(1), 1, &other, 0, 3), Progress::More));
    assert!(matches!(send(&partials, &origin(2), 2, &node, 0, 1000), Progress::Whole(_)));
    // A session is not blamed for bytes of an earlier one, but it is for a node that it sent alone.
    assert!(matches!(send(&partials, &origin(1), 3, &node, 3 * PIECE, 1000), Progress::Spoilt(false)));
    assert!(matches!(send(&partials, &origin(1), 3, &other, 0, 1000), Progress::Spoilt(true)));
}

#[test]
fn poisoning_from_the_same_address_and_log_id_costs_one_transfer_and_no_link() {
    let partials = Partials::default();
    let node = node(1 << 20, 0);
    let other = Node { value: Bytes::from(vec![0; 1 << 20]), ..node.clone() };
    let blob = Blob::of(&node);
    // The poisoner continues what the honest session has begun, as often as it likes.
    let transfer = || {
        let mut last = Progress::More;
        for offset in (0..blob.len()).step_by(PIECE) {
            let mut out = BytesMut::new();
            last = partials.add(&origin(1), 1, &piece(&node, &blob, &mut out, offset), 0);
            let blob = Blob::of(&other);
            let mut out = BytesMut::new();
            partials.add(&origin(1), 2, &piece(&other, &blob, &mut out, offset + PIECE), 0);
            let lie = Piece { total: 1000, bytes: b"x", ..piece(&other, &blob, &mut BytesMut::new(), 0) };
            partials.add(&origin(1), 2, &lie, 0);
        }
        last
    };
    assert!(matches!(transfer(), Progress::Gap(0)), "it is asked for anew, and not the honest session's fault");
    assert!(matches!(transfer(), Progress::Whole(_)), "nobody else adds to it the second time");
}

#[test]
fn a_piece_that_does_not_continue_the_node_is_asked_for_again() {
    let partials = Partials::default();
    let node = node(1 << 20, 0);
    assert!(matches!(send(&partials, &origin(1), 1, &node, 5 * PIECE, 1), Progress::Gap(0)));
    assert!(matches!(send(&partials, &origin(1), 1, &node, 0, 2), Progress::More));
    assert!(matches!(send(&partials, &origin(1), 1, &node, 0, 1), Progress::More));
    assert!(
        matches!(send(&partials, &origin(1), 1, &node, 3 * PIECE, 1), Progress::Gap(have) if have == 2 * PIECE as u64)
    );
}

#[test]
fn hoarders_displace_themselves() {
    let partials = Partials::default();
    let honest = node(4 << 20, 0);
    assert!(matches!(send(&partials, &origin(1), 1, &honest, 0, 100), Progress::More));
    for number in 0..200_u64 {
        let mut hoarded = node(2 << 20, 0);
        hoarded.key = key_of(&[], &number.to_le_bytes());
        send(&partials, &origin(2), 2, &hoarded, 0, 127);
        assert!(partials.bytes() <= MAX_PARTIAL_BYTES);
    }
    assert!(partials.held(&origin(2)).len() <= MAX_PARTIALS);
    assert_eq!(partials.held(&origin(1)), [(honest.key, 100 * PIECE as u64)]);
}

/// Begins a node of `total` bytes with one byte.
fn begin(partials: &Partials, origin: &PieceOrigin, number: u64, total: u64, now: u64) {
    let key = key_of(&[], &number.to_le_bytes());
    let piece = Piece { log: "a".into(), seq: 1, key, total, offset: 0, bytes: b"x" };
    partials.add(origin, number, &piece, now);
}

#[test]
fn thousands_of_claimed_logs_with_a_byte_each_take_no_more_than_the_limit() {
    let partials = Partials::default();
    let honest = node(4 << 20, 0);
    assert!(matches!(send(&partials, &origin(1), 1, &honest, 0, 100), Progress::More));
    for number in 0..100_000 {
        let claimed = PieceOrigin { address_prefix: 2, log: number.to_string().into() };
        begin(&partials, &claimed, number, 1 << 20, 0);
    }
    let inner = partials.0.lock();
    assert!(inner.bytes <= MAX_PARTIAL_BYTES && inner.partials.len() <= MAX_PARTIAL_BYTES / OVERHEAD);
    assert_eq!(inner.bytes, inner.partials.values().map(Partial::cost).sum::<usize>());
    let indexed = inner.origins.values().map(BTreeSet::len).sum::<usize>();
    assert_eq!((inner.numbers.len(), indexed), (inner.partials.len(), inner.partials.len()));
    drop(inner);
    assert_eq!(partials.held(&origin(1)), [(honest.key, 100 * PIECE as u64)]);
}

#[test]
fn more_large_nodes_at_once_than_there_is_room_for_all_become_complete() {
    let partials = Partials::default();
    let node = node(7 << 20, 0);
    let blob = Blob::of(&node);
    let (mut offsets, mut done, mut pieces) = ([0; 12], 0, 0);
    while done < offsets.len() {
        for (peer, offset) in offsets.iter_mut().enumerate().filter(|(_, offset)| **offset < usize::MAX) {
            let mut out = BytesMut::new();
            let from = PieceOrigin { address_prefix: 1, log: peer.to_string().into() };
            match partials.add(&from, peer as u64, &piece(&node, &blob, &mut out, *offset), 0) {
                Progress::More => *offset += out.len(),
                Progress::Gap(have) => *offset = usize::try_from(have).unwrap(),
                Progress::Whole(_) => (*offset, done) = (usize::MAX, done + 1),
                other @ Progress::Spoilt(_) => panic!("{other:?}"),
            }
            pieces += 1;
        }
        assert!(partials.bytes() <= MAX_PARTIAL_BYTES);
    }
    assert!(pieces * PIECE < 4 * offsets.len() * blob.len(), "{pieces}");
    assert_eq!(partials.bytes(), 0);
}

#[test]
fn nodes_that_are_not_continued_are_dropped_in_the_end() {
    let partials = Partials::default();
    begin(&partials, &origin(1), 1, 100, 0);
    begin(&partials, &origin(1), 2, 100, PARTIAL_MS / 2);
    begin(&partials, &origin(1), 3, 100, PARTIAL_MS + 1);
    assert_eq!(partials.held(&origin(1)).len(), 2);
}

#[test]
fn one_node_larger_than_all_room_is_taken_if_the_user_allows_it() {
    let partials = Partials::default();
    let node = node(MAX_PARTIAL_BYTES + 1, 0);
    assert!(matches!(send(&partials, &origin(1), 1, &node, 0, 10_000), Progress::Whole(_)));
}
