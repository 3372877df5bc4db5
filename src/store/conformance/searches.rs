//! Searches against a plain scan of the rows that a store should hold.

use super::random::Random;
use crate::event::{encode_tagged, put_tag, Encoding, ID_LEN};
use crate::query::{Filter, Item, Query};
use crate::row::Row;
use crate::store::{Order, ReadLimit, Span, Store};

/// Names and tags; the first ones are used much more often than the last ones.
const NAMES: [&str; 6] = ["added", "moved", "gone", "bücher", "a", ""];
const TAGS: usize = 24;

/// Small numbers more often than large ones.
fn skewed(random: &mut Random, bound: usize) -> usize {
    random.below(random.clone().below(bound) + 1)
}

fn tag(number: usize) -> String {
    format!("tag:{number}")
}

/// An event with a random name, tags and time, of at least `len` bytes. `unique` makes it differ from all others.
#[must_use]
pub fn random_event(random: &mut Random, unique: u64, len: usize) -> Vec<u8> {
    let name = NAMES[skewed(random, NAMES.len())];
    let mut tags = Vec::new();
    if random.once_in(2) {
        let mut numbers: Vec<usize> = (0..1 + random.below(4)).map(|_| skewed(random, TAGS)).collect();
        numbers.dedup();
        numbers.into_iter().for_each(|number| put_tag(&mut tags, &tag(number)));
    }
    if random.once_in(200) {
        // An event of 1.x, without a time.
        return [&[0x0A, 1, b'a', 0x12, 8][..], &unique.to_le_bytes()].concat();
    }
    let mut payload = unique.to_le_bytes().to_vec();
    payload.resize(len.max(8), 7);
    let mut value = Vec::new();
    let time = 1000 + random.below(50) as u64;
    encode_tagged(&mut value, name, &payload, &[3; ID_LEN], time, Encoding::V1, &tags);
    if random.once_in(30) {
        let request = format!("request-{}", random.below(50));
        value.extend_from_slice(&[0x42, request.len() as u8]);
        value.extend_from_slice(request.as_bytes());
    }
    value
}

/// A random filter over such events.
#[must_use]
pub fn random_filter(random: &mut Random) -> Filter {
    let mut items = Vec::new();
    for _ in 0..random.below(4) {
        let mut item = Item::default();
        for _ in 0..random.below(3) {
            let name = if random.once_in(20) { "never" } else { NAMES[random.below(NAMES.len())] };
            item.names.push(name.into());
        }
        for _ in 0..random.below(3) {
            item.tags.push(tag(skewed(random, TAGS + 2)).into());
        }
        if !item.names.is_empty() || !item.tags.is_empty() {
            items.push(item);
        }
    }
    let mut filter = Filter::of(Query::new(items).unwrap());
    if random.once_in(5) {
        filter.from = Some(1000 + random.below(30) as u64);
    }
    if random.once_in(5) {
        filter.to = Some(1020 + random.below(30) as u64);
    }
    filter
}

/// Panics unless searches of `store` have the same results as a scan of `rows`, which are all rows that it should hold.
pub fn compare_searches(store: &dyn Store, rows: &[Row], random: &mut Random, times: usize) {
    let nodes: Vec<&Row> = rows.iter().filter(|row| row.at.duplicate == 0).collect();
    let end = nodes.len() as u64;
    for _ in 0..times {
        let filter = random_filter(random);
        let mut span = Span::ALL;
        if random.once_in(2) {
            span.after = random.draw() % (end + 2);
        }
        if random.once_in(2) {
            span.until = random.draw() % (end + 2);
        }
        let order = if random.once_in(2) { Order::Up } else { Order::Down };
        let limit = ReadLimit {
            rows: if random.once_in(4) { 1 } else { 1 + random.below(200) },
            bytes: 1 << (6 + random.below(12)),
        };
        let mut wanted: Vec<&Row> = nodes
            .iter()
            .filter(|row| span.after < row.at.change && row.at.change <= span.until)
            .filter(|row| filter.matches(&row.node.value))
            .copied()
            .collect();
        if order == Order::Down {
            wanted.reverse();
        }
        let what = format!("{filter:?} in {span:?}, {order:?}, {limit:?}");
        let found = search_all(store, &filter, span, order, limit);
        assert_eq!(found.len(), wanted.len(), "{what}");
        for (found, wanted) in found.iter().zip(wanted) {
            assert_eq!(found, wanted, "{what}");
        }
    }
    for number in [0, 1, random.below(50), 99] {
        let id = format!("request-{number}");
        let wanted = nodes
            .iter()
            .find(|row| crate::event::parse(&row.node.value).is_some_and(|event| event.request == Some(id.as_bytes())));
        assert_eq!(store.of_request(id.as_bytes()).unwrap().as_ref(), wanted.copied(), "{id}");
    }
}

/// Searches again and again until all is found.
fn search_all(store: &dyn Store, filter: &Filter, span: Span, order: Order, limit: ReadLimit) -> Vec<Row> {
    let (mut rest, mut all) = (span, Vec::new());
    loop {
        let found = store.search(filter, rest, order, limit).unwrap();
        assert!(found.rows.len() <= limit.rows);
        let bytes: usize = found.rows.iter().map(|row| row.node.value.len()).sum();
        assert!(bytes <= limit.bytes || found.rows.len() == 1, "{bytes} bytes, limit {}", limit.bytes);
        let moved = if order == Order::Up { found.rest.after > rest.after } else { found.rest.until < rest.until };
        assert!(moved || found.done, "{rest:?} leads to {found:?}");
        all.extend(found.rows);
        if found.done {
            let again = store.search(filter, found.rest, order, limit).unwrap();
            assert_eq!(again.rows, [], "behind its end: {:?}", found.rest);
            return all;
        }
        rest = found.rest;
    }
}
