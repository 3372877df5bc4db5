use std::collections::HashSet;

use super::*;

/// An empty store, which must not be asked for nodes that are being planned.
struct Empty;

impl Lookup for Empty {
    fn locate(&mut self, _: &Key) -> Result<Option<Located>> {
        Ok(None)
    }

    fn entry(&mut self, _: &LogId, _: Seq) -> Result<Option<Entry>> {
        Ok(None)
    }
}

fn incoming(log: &str, seq: Seq, links: &[Key], value: &str) -> (Incoming, Key) {
    let (links, value) = (Links::from_slice(links), Bytes::copy_from_slice(value.as_bytes()));
    let key = key_of(&links, &value);
    (Incoming { log: log.into(), seq, links, value, signed: None, claimed: None }, key)
}

fn stored(planner: &mut Planner, (node, key): &(Incoming, Key)) -> NewRow<Node> {
    match planner.add(node, *key, &mut Empty).unwrap() {
        Verdict::Store(row) => row,
        other => panic!("{other:?}"),
    }
}

#[test]
fn nodes_that_are_not_stored_yet_are_found_with_their_change_and_log() {
    for groups in [1, 2] {
        let mut planner = Planner::new("local".into(), &StoreState::default());
        let a1 = incoming("a", 1, &[], "a1");
        let b1 = incoming("b", 1, &[a1.1], "b1");
        let a2 = incoming("a", 2, &[b1.1], "a2");
        let b2 = incoming("b", 2, &[a2.1], "b2");
        let a3 = incoming("a", 3, &[b2.1], "a3");
        let nodes = [&a1, &b1, &a2, &b2, &a3];
        for node in nodes {
            stored(&mut planner, node);
        }
        if groups == 2 {
            planner.hand_over();
        }
        // None of these is a head, and each run of a log has one node.
        for (seq, (change, node)) in (1..).zip(nodes.iter().enumerate().take(4)) {
            let again = (Incoming { log: "c".into(), seq, ..node.0.clone() }, node.1);
            let row = stored(&mut planner, &again);
            let expected = Body::Duplicate { change: change as u64 + 1, key: node.1, log: "c".into(), seq };
            assert_eq!(row.body, expected);
        }
        let links = |planner: &mut Planner, key: Key, value: &str| {
            let row = stored(planner, &incoming("d", planner.seq("d") + 1, &[key], value));
            row.log_links.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(links(&mut planner, a1.1, "1"), ["a"]);
        assert_eq!(links(&mut planner, b1.1, "2"), ["b"]);
        assert_eq!(links(&mut planner, a2.1, "3"), ["a"]);
        assert_eq!(links(&mut planner, b2.1, "4"), ["b"]);
        let fork = incoming("a", 2, &[], "another");
        let verdict = planner.add(&fork.0, fork.1, &mut Empty).unwrap();
        assert!(matches!(verdict, Verdict::Refuse(Error::Fork { ours, .. }) if ours == a2.1), "{verdict:?}");
    }
}

/// A planner after `heads` nodes without links, each in a log of its own.
fn with_heads(heads: usize) -> Planner {
    let mut planner = Planner::new("local".into(), &StoreState::default());
    for number in 0..heads {
        stored(&mut planner, &incoming(&format!("log {number}"), 1, &[], &format!("head {number}")));
    }
    planner
}

#[test]
fn an_append_links_to_all_heads_while_they_are_few_and_to_sixteen_of_many() {
    for heads in [0, 1, 2, MAX_APPEND_LINKS] {
        let mut planner = with_heads(heads);
        let expected: Vec<Key> = planner.heads.iter().map(|(key, _)| *key).collect();
        let row = planner.append(Bytes::from_static(b"event"));
        assert_eq!(row.node().unwrap().links.to_vec(), expected);
        assert_eq!(planner.heads.len(), 1);
    }
    let mut planner = with_heads(65_000);
    let row = planner.append(Bytes::from_static(b"event"));
    assert_eq!((row.node().unwrap().links.len(), row.log_links.len()), (MAX_APPEND_LINKS, MAX_APPEND_LINKS));
}

#[test]
fn more_links_than_a_node_may_have_are_refused() {
    let keys: Vec<Key> = (0..=MAX_LINKS as u32).map(|n| incoming("a", 1, &[], &n.to_string()).1).collect();
    let mut planner = Planner::new("local".into(), &StoreState::default());
    let mut refused = |links: &[Key]| {
        let node = incoming("b", 1, links, "y");
        matches!(planner.add(&node.0, node.1, &mut Empty).unwrap(), Verdict::Refuse(Error::Protocol(_)))
    };
    assert!(refused(&keys) && !refused(&keys[1..]));
}

#[test]
fn many_heads_are_taken_up_in_turn_until_few_are_left() {
    let mut planner = with_heads(1_000);
    let first: HashSet<Key> = planner.heads.iter().map(|(key, _)| *key).collect();
    let mut linked = HashSet::new();
    let mut own: Option<Key> = None;
    let mut appends = 0;
    while !first.is_subset(&linked) {
        let before = planner.heads.len();
        // New heads must not delay the old ones.
        for number in 0..5 {
            let name = format!("{appends} {number}");
            stored(&mut planner, &incoming(&format!("late {number}"), appends + 1, &[], &name));
        }
        let row = planner.append(Bytes::from(format!("event {appends}")));
        let node = row.node().unwrap();
        assert!(node.links.is_sorted() && node.links.len() <= MAX_APPEND_LINKS);
        assert!(own.is_none_or(|own| node.links.contains(&own)), "our own events follow each other");
        assert!(planner.heads.len() < before + 5);
        own = Some(node.key);
        linked.extend(node.links.iter().copied());
        appends += 1;
    }
    // Each append links to fifteen heads, while five new ones come.
    assert!(appends <= 1_000 / 9, "{appends}");
}

#[test]
fn a_stranger_who_chooses_the_keys_of_its_nodes_keeps_no_head_from_being_linked() {
    let mut planner = with_heads(30);
    let mut honest: HashSet<Key> = planner.heads.iter().map(|(key, _)| *key).collect();
    let mut highest = Key::default();
    for appends in 0..3 {
        // Twenty heads whose keys sort right after the highest key that was linked, and before those of the honest heads.
        let next = honest.iter().filter(|key| **key > highest).min().or(honest.iter().min()).copied();
        let made_up = (0..20_000).map(|number| format!("made up {appends} {number}"));
        let before = |name: &String| next.is_some_and(|next| (highest..next).contains(&key_of(&[], name.as_bytes())));
        for (number, name) in made_up.filter(before).take(20).enumerate() {
            stored(&mut planner, &incoming(&format!("stranger {appends} {number}"), 1, &[], &name));
        }
        let row = planner.append(Bytes::from(format!("event {appends}")));
        let links = &row.node().unwrap().links;
        highest = links.last().copied().unwrap_or_default();
        honest.retain(|key| !links.contains(key));
    }
    assert!(honest.is_empty(), "{} of 30 wait after three appends with 16 links each", honest.len());
}

#[test]
fn our_own_events_follow_each_other_although_somebody_linked_to_the_last_one() {
    let mut planner = with_heads(100);
    let own = *planner.append(Bytes::from_static(b"1")).key();
    stored(&mut planner, &incoming("other", 1, &[own], "other"));
    let row = planner.append(Bytes::from_static(b"2"));
    assert!(row.node().unwrap().links.contains(&own));
}

#[test]
fn logs_that_nobody_writes_take_no_memory_beside_the_stored_state() {
    for logs in [1_000, 20_000] {
        let empty = CommittedState { end: Position::START, log_id: "local".into(), logs: std::iter::empty().collect() };
        let state = Arc::new(RwLock::new(empty));
        let mut planner = Planner::beside(Arc::clone(&state), "local".into(), &StoreState::default());
        let mut before: Vec<NewRow<Node>> = Vec::new();
        for seq in 1..=2 {
            for group in (0..logs).collect::<Vec<_>>().chunks(100) {
                // The group before the one that is handed over has been stored by then.
                for row in before.drain(..) {
                    state.write().logs.set(row.log(), row.seq(), row.digest);
                }
                planner.hand_over();
                for log in group {
                    before.push(stored(
                        &mut planner,
                        &incoming(&format!("log {log}"), seq, &[], &format!("{log} {seq}")),
                    ));
                }
            }
        }
        assert!(planner.logs.len() <= KEEP_HEADS + 100, "{} of {logs}", planner.logs.len());
        assert!((0..logs).all(|log| planner.seq(&format!("log {log}")) == 2));
        for row in before {
            let log: u32 = row.log().strip_prefix("log ").unwrap().parse().unwrap();
            let keys = [1, 2].map(|seq| incoming("", 0, &[], &format!("{log} {seq}")).1);
            assert_eq!(row.digest, keys.iter().fold(Digest::default(), |digest, key| digest.extend(key)));
        }
    }
}
