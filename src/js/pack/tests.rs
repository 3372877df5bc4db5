use bytes::{Bytes, BytesMut};

use super::*;
use crate::error::Error;
use crate::event::{encode, Encoding, ID_LEN};
use crate::node::{key_of, Links};

fn row(change: u64, name: &str, payload: &[u8], links: &[Key]) -> Row {
    let mut value = BytesMut::new();
    encode(&mut value, name, payload, &[1; ID_LEN], 5, Encoding::V1);
    let value = value.freeze();
    let node = Node {
        key: key_of(links, &value),
        change,
        log: "a".into(),
        seq: change,
        links: Links::from_slice(links),
        value,
        signed: None,
    };
    Row::first(node.into())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

#[test]
fn acks_that_do_not_fit_stay_for_the_next_pack() {
    let first = row(1, "x", b"1", &[]).node;
    let second = row(2, "x", b"2", &[first.key]).node;
    let mut acks: VecDeque<Ack> = [first, second]
        .map(|node| Ack { change: node.change, result: Ok(Some(node)) })
        .into_iter()
        .chain([
            Ack { change: 3, result: Ok(None) },
            Ack { change: 4, result: Ok(None) },
            Ack::failed(Error::Closed("now")),
        ])
        .collect();
    let (mut logs, mut last) = (TextTable::default(), None);
    let mut out = [0; 8];
    pack_acks(&mut acks, &mut out, &mut logs, &mut last);
    assert_eq!(acks.len(), 5);
    let mut out = [0; 16 + 32 + 64 + 40];
    pack_acks(&mut acks, &mut out, &mut logs, &mut last);
    assert_eq!((u32_at(&out, 0), u32_at(&out, 16 + 16), acks.len()), (1, layout::ACK_NODE, 4));
    let mut out = [0; 4096];
    pack_acks(&mut acks, &mut out, &mut logs, &mut last);
    assert_eq!((u32_at(&out, 0), acks.len()), (3, 0));
    let kinds = [0, 1, 2].map(|index| u32_at(&out, 16 + 32 * index + 16));
    assert_eq!(kinds, [layout::ACK_NEXT_NODE, layout::ACK_RUN, layout::ACK_ERROR]);
    assert_eq!(u32_at(&out, 8) % 8, 0);
}

#[test]
fn a_value_larger_than_the_buffer_says_what_it_needs() {
    let node = row(1, "x", &[0; 5000], &[]).node;
    let mut acks = VecDeque::from([Ack { change: 1, result: Ok(Some(node)) }]);
    let mut out = vec![0; 1000];
    pack_acks(&mut acks, &mut out, &mut TextTable::default(), &mut None);
    let need = u32_at(&out, 12) as usize;
    assert!(need > 5000 && acks.len() == 1);
    let mut out = vec![0; need];
    pack_acks(&mut acks, &mut out, &mut TextTable::default(), &mut None);
    assert_eq!((u32_at(&out, 0), u32_at(&out, 8) as usize, acks.len()), (1, need, 0));
}

#[test]
fn events_without_listeners_are_left_out() {
    let rows = [row(1, "a", b"one", &[]), row(2, "b", b"two", &[]), row(3, "a", b"three", &[])];
    let mut interest = Interest::default();
    interest.set("a", Some(7));
    let mut out = [0; 256];
    assert_eq!(pack_events(&rows, 0, &mut out, &interest), 2);
    assert_eq!((u32_at(&out, 16 + 8), u32_at(&out, 16 + 12), u32_at(&out, 40 + 12)), (7, 3, 5));
    assert_eq!(&out[64..72], b"onethree");
    assert_eq!(pack_events(&rows, 1, &mut out, &interest), 1);
}

#[test]
fn events_that_do_not_fit_wait_for_the_next_pack() {
    let rows: Vec<Row> = (1..=9).map(|change| row(change, "a", &[7; 100], &[])).collect();
    let mut interest = Interest::default();
    interest.set("a", Some(1));
    let mut out = vec![0; 1024];
    let mut after = 0;
    while after < 9 {
        let count = pack_events(&rows, after, &mut out, &interest);
        let payloads = 16 + 24 * count;
        assert!(count > 0 && u32_at(&out, 8) as usize == (payloads + 100 * count).next_multiple_of(8));
        assert_eq!(&out[payloads..payloads + 100 * count], vec![7; 100 * count]);
        after += count as u64;
    }
    assert_eq!(after, 9);
}

#[test]
fn an_event_that_does_not_fit_at_all_fits_into_what_it_says_it_needs() {
    let mut interest = Interest::default();
    interest.set("a", Some(1));
    for (large, small, room) in
        [(10_000, 255, 8192), (9000, 255, 8192), (7000, 255, 8192), (100, 0, 139), (1, 0, 16), (1, 3, 0)]
    {
        let sizes = std::iter::once(large).chain(std::iter::repeat_n(1, small));
        let rows: Vec<Row> = (1..).zip(sizes).map(|(change, size)| row(change, "a", &vec![7; size], &[])).collect();
        let mut out = vec![0; room];
        if pack_events(&rows, 0, &mut out, &interest) > 0 {
            continue;
        }
        let need = if room < 16 { 4096 } else { u32_at(&out, 12) as usize };
        assert!(need > room);
        let mut out = vec![0; need];
        assert!(pack_events(&rows, 0, &mut out, &interest) > 0, "{large} and {small} of 1 in {need}");
        assert_eq!(u32_at(&out, 12), 0);
    }
}

#[test]
fn rows_carry_values_that_are_no_events_whole() {
    let odd = Node { value: Bytes::from_static(b"\xff\xff"), ..Node::clone(&row(1, "a", b"", &[]).node) };
    let odd = Row::first(odd.into());
    let packed = pack_rows(&[odd], 1, true, 0, &mut TextTable::default(), &mut TextTable::default());
    assert_eq!((u32_at(&packed, 0), u32_at(&packed, 4), u32_at(&packed, 16 + 32)), (1, 1, NOT_AN_EVENT));
    assert_eq!(&packed[packed.len() - 2..], b"\xff\xff");
}
