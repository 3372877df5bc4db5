use super::*;

/// A table with this many logs of one entry each, all of them in a checkpoint.
fn table(logs: u32) -> Table {
    let mut table = Table::default();
    for log in 0..logs {
        let stream = table.define(&LogId::from(format!("log-{log}")));
        table.append(stream, 1, |_| Digest([7; 32])).unwrap();
    }
    let changes = table.take_changes();
    assert_eq!((changes.streams.len(), changes.logs.len()), (logs as usize, logs as usize));
    table
}

#[test]
fn a_checkpoint_writes_what_has_changed_however_many_logs_there_are() {
    for logs in [1_000, 10_000, 100_000] {
        let mut table = table(logs);
        for stream in (0..10).map(|number| number * (logs / 10)) {
            (2..12).for_each(|seq| assert!(table.append(stream, seq, |_| Digest([8; 32])).is_some()));
        }
        let changes = table.take_changes();
        assert_eq!((changes.streams.len(), changes.logs.len()), (0, 10));
        assert_eq!(table.take_changes(), TableChanges::default());
    }
}

#[test]
fn a_new_stream_copies_a_block_of_those_that_a_reader_holds() {
    for logs in [1_000, 10_000, 100_000] {
        let mut table = table(logs);
        let held = table.streams().clone();
        table.define(&LogId::from("another"));
        assert_eq!(table.streams().not_shared(&held), 1);
        assert_eq!(held.len(), logs);
    }
}

#[test]
fn changes_of_all_kinds_make_the_same_table_again() {
    let mut table = table(5);
    let mut stored = (HashMap::new(), HashMap::new());
    let mut store = |changes: TableChanges| {
        stored.0.extend(changes.streams);
        for (slot, log) in changes.logs {
            match log {
                Some(log) => drop(stored.1.insert(slot, log)),
                None => drop(stored.1.remove(&slot)),
            }
        }
        let (mut streams, mut logs): (Vec<_>, Vec<_>) = (stored.0.iter().collect(), stored.1.iter().collect());
        streams.sort_unstable();
        logs.sort_unstable();
        let logs = logs.into_iter().map(|(slot, bytes)| (*slot, bytes.as_slice()));
        Table::load(streams.into_iter().map(|(_, bytes)| bytes.as_slice()), logs).unwrap()
    };
    table.changed_logs.extend(0..5);
    table.changed_streams.extend(0..5);
    assert!(store(table.take_changes()) == table);
    // Relabels a whole log, the log in the last slot, and a part of a log, and lets a log return under a former name.
    let digest = Digest([1; 32]);
    table.relabel("log-4", 1, &LogId::from("moved-4"), digest, digest).unwrap();
    table.append(1, 2, |_| digest).unwrap();
    table.relabel("log-1", 2, &LogId::from("moved-1"), digest, digest).unwrap();
    assert!(store(table.take_changes()) == table);
    let stream = table.define(&LogId::from("log-4"));
    table.append(stream, 1, |_| digest).unwrap();
    let mut loaded = store(table.take_changes());
    assert!(loaded == table);
    assert_eq!(loaded.append(stream, 2, |_| digest), table.append(stream, 2, |_| digest));
    assert!(store(loaded.take_changes()) == table);
}
