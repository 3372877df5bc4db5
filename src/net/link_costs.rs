//! The costs of one link: collects them during a turn of the link's task, and enters them into the limits once per turn.

use std::sync::Arc;

use super::address_prefix::AddressPrefix;
use super::cost_buckets::{Cost, LOOKUP_ROWS, SEAL_TIME_US};
use super::cost_limits::Verdict;
use super::link::Link;
use super::Shared;
use crate::error::Error;
use crate::hyperlog::{Incoming, Origin, Outcome, Source, SourceId};
use crate::node::Change;
use crate::row::Row;

/// Smaller changes (in bytes) of the memory that a link holds are not entered. With 1,024 links the total is off by at most 16 MiB.
const MEMORY_STEP: usize = 16 * 1024;

/// See the module's documentation.
pub(super) struct LinkCosts<'a> {
    shared: &'a Shared,
    link: &'a Arc<Link>,
    source: SourceId,
    prefix: AddressPrefix,
    /// Frames are left unread until this time, in milliseconds.
    paused_until: Option<u64>,
    due: Due,
    /// The log has been read for the peer up to here.
    read_to: Change,
    /// Rows that were read for the first time and not sent since. Only these can be of use.
    unsent: u64,
    /// Nodes received and sent when they were last entered.
    entered: (u64, u64),
    /// Bytes of frames whose nodes have not been offered to the log yet.
    collecting: usize,
    /// Bytes of each node on its way into the log.
    adding: Vec<usize>,
    /// The memory held, as it was last entered.
    held: usize,
}

/// Costs collected since they were last entered.
#[derive(Default)]
struct Due {
    any: bool,
    time_us: u64,
    rows: u64,
    first_rows: u64,
    bytes: u64,
    seals: u64,
    used: u64,
    used_bytes: u64,
}

impl<'a> LinkCosts<'a> {
    pub(super) fn open(shared: &'a Shared, link: &'a Arc<Link>, prefix: AddressPrefix) -> LinkCosts<'a> {
        let source = shared.next_source();
        shared.cost_limits.lock().open(source.0, prefix, shared.now_ms());
        LinkCosts {
            shared,
            link,
            source,
            prefix,
            paused_until: None,
            due: Due::default(),
            read_to: 0,
            unsent: 0,
            entered: (0, 0),
            collecting: 0,
            adding: Vec::new(),
            held: 0,
        }
    }

    /// The link as the log knows it: its session, and where it comes from.
    pub(super) fn source(&self) -> Source {
        Source { session: self.source, origin: Origin::Shared(self.prefix.number()) }
    }

    pub(super) fn prefix(&self) -> AddressPrefix {
        self.prefix
    }

    /// Adds a frame that has gone to the session.
    pub(super) fn add_frame(&mut self, bytes: usize) {
        self.due.any = true;
        self.due.bytes += bytes as u64;
        self.collecting += bytes;
    }

    /// Notes nodes that are offered to the log.
    pub(super) fn start_adding(&mut self, nodes: &[Incoming]) {
        self.collecting = 0;
        self.adding = nodes.iter().map(Incoming::cost).collect();
    }

    /// Notes the log's outcomes for them.
    pub(super) fn finish_adding(&mut self, outcomes: &[Outcome]) {
        let seals = self.shared.log.take_checked_seals(self.source);
        self.due.any |= seals > 0;
        self.due.seals += seals;
        for (bytes, outcome) in std::mem::take(&mut self.adding).into_iter().zip(outcomes) {
            let (rows, waited) = match outcome {
                Outcome::Added => (1, 0),
                Outcome::AddedWith { rows, bytes } => (1 + rows, *bytes),
                _ => continue,
            };
            self.due.any = true;
            self.due.used += rows;
            self.due.used_bytes += bytes as u64 + waited;
        }
    }

    /// Rows were read for the peer. Each link may have the log read once; rows that are read again have to be of use.
    pub(super) fn add_rows(&mut self, rows: &[Row]) {
        let Some(last) = rows.last() else { return };
        self.due.any = true;
        let first = rows.iter().filter(|row| row.at.change > self.read_to).count() as u64;
        self.due.first_rows += first;
        self.unsent += first;
        self.due.rows += rows.len() as u64 - first;
        self.read_to = self.read_to.max(last.at.change);
    }

    /// So many entries are looked up in the store for the peer.
    pub(super) fn add_lookups(&mut self, entries: u64) {
        self.due.any = true;
        self.due.rows += entries * LOOKUP_ROWS;
    }

    /// Adds the duration of a turn. It is charged if the turn did something for the peer.
    pub(super) fn add_time(&mut self, time_us: u64) {
        if self.due.any {
            self.due.time_us += time_us;
        }
    }

    /// Enters what was collected, and the nodes received and sent so far.
    ///
    /// # Errors
    /// `Limit` if the link has to end.
    pub(super) fn settle(&mut self, nodes_in: u64, nodes_out: u64) -> Result<(), Error> {
        let now = self.shared.now_ms();
        let (received, sent) = (nodes_in - self.entered.0, nodes_out - self.entered.1);
        if !self.due.any && received == 0 && sent == 0 && self.paused_until.is_none_or(|until| now < until) {
            return Ok(());
        }
        self.entered = (nodes_in, nodes_out);
        // Rows that are sent again do not count, because the peer did not lack them.
        let sent = sent.min(self.unsent);
        self.unsent -= sent;
        let due = std::mem::take(&mut self.due);
        let limits = &mut *self.shared.cost_limits.lock();
        let id = self.source.0;
        limits.charge(id, Cost::Time, due.time_us);
        limits.charge(id, Cost::Rows, due.rows);
        limits.charge_prefix(id, Cost::Rows, due.first_rows);
        limits.charge(id, Cost::Bytes, due.bytes);
        limits.charge(id, Cost::Nodes, received);
        limits.charge(id, Cost::Seals, due.seals * SEAL_TIME_US);
        limits.used(id, due.used, due.used_bytes);
        limits.sent(id, sent);
        self.paused_until = match limits.verdict(id, now) {
            Verdict::Go => None,
            Verdict::Pause(wait) => Some(now + wait),
            Verdict::End(what) => {
                return Err(Error::Limit(format!("it used more {what} than allowed without exchanging anything new")))
            }
        };
        Ok(())
    }

    /// When a pause is over, in milliseconds; `None` while there is none.
    pub(super) fn paused_until(&self) -> Option<u64> {
        self.paused_until
    }

    /// Enters the memory that the link holds: `buffers` bytes, and the nodes on their way into the log.
    pub(super) fn hold(&mut self, buffers: usize) {
        let bytes = buffers + self.collecting + self.adding.iter().sum::<usize>();
        if bytes.abs_diff(self.held) < MEMORY_STEP {
            return;
        }
        self.held = bytes;
        let evicted = self.shared.memory.lock().hold(self.source.0, self.prefix, self.link, bytes);
        if let Some(evicted) = evicted {
            let why = "it held more memory than any other while all links together held too much";
            evicted.evict(Error::Limit(why.to_owned()));
        }
    }

    /// Forgets the frames' bytes, because none of them had a new node.
    pub(super) fn drop_collected(&mut self) {
        if self.adding.is_empty() {
            self.collecting = 0;
        }
    }

    /// Whether there is memory to read the log for the peer.
    pub(super) fn has_room(&self) -> bool {
        self.shared.memory.lock().has_room(self.prefix)
    }
}

impl Drop for LinkCosts<'_> {
    fn drop(&mut self) {
        self.shared.cost_limits.lock().close(self.source.0);
        self.shared.memory.lock().release(self.source.0);
    }
}

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};

    use super::*;
    use crate::event::{encode, Encoding};
    use crate::hyperlog::{Ack, Log, LogObserver, LogOptions};
    use crate::identity::key::base32;
    use crate::identity::seal::{new_sealed_log_id, owner_tag, seal};
    use crate::identity::SecretKey;
    use crate::net::event::{Direction, NetEvent, NetObserver};
    use crate::net::{Net, NetOptions, Shares};
    use crate::node::{key_of, Digest, Links, LogId, Signed};
    use crate::store::memory::MemoryStore;

    struct Deaf;

    impl LogObserver for Deaf {
        fn acks(&self, _: Vec<Ack>) {}
        fn advanced(&self) {}
        fn log_id_changed(&self, _: &LogId) {}
        fn report(&self, _: Error) {}
    }

    impl NetObserver for Deaf {
        fn event(&self, _: NetEvent) {}
    }

    /// The first row of a log of this key, sealed.
    fn row(owner: &SecretKey, log: LogId, number: u32) -> Incoming {
        let id = [&owner_tag(&owner.public())[..], &[0; 4], &number.to_le_bytes()].concat();
        let mut value = BytesMut::new();
        encode(&mut value, "test", b"x", &id, 1, Encoding::V1);
        let claimed = Some(key_of(&Links::new(), &value));
        Incoming { log, seq: 1, links: Links::new(), value: value.freeze(), signed: None, claimed }
    }

    fn signed(mut row: Incoming, signature: &[u8]) -> Incoming {
        row.signed = Some(Arc::new(Signed { identity: None, signature: Some(Bytes::copy_from_slice(signature)) }));
        row
    }

    #[tokio::test]
    async fn seals_that_the_log_verifies_are_charged_and_the_rows_that_they_let_in_give_more_back() {
        let log = Log::open(Arc::new(MemoryStore::new()), LogOptions::default(), Arc::new(Deaf)).unwrap();
        let shares = Shares { percent: 1, patience_ms: 0 };
        let options = NetOptions { shares, ..NetOptions::default() };
        let net = Net::new(log, options, Arc::new(Deaf), tokio::runtime::Handle::current());
        let link = Link::new("0".to_owned(), Direction::Inbound, false);
        let mut costs = LinkCosts::open(&net.shared, &link, AddressPrefix::Unknown);
        let owner = SecretKey::from_seed(&[5; 32]);
        let mut offered = 0;
        let mut offer = |costs: &mut LinkCosts<'_>, row: Incoming| {
            offered += 1;
            costs.start_adding(std::slice::from_ref(&row));
            // A store in memory answers immediately.
            let outcomes = net.shared.log.add(costs.source(), vec![row]).try_recv().unwrap();
            costs.finish_adding(&outcomes.unwrap());
            costs.settle(offered, 0)
        };
        // Each row is in a log of its own, so its owner's key is read and its seal verified.
        for number in 0..1_000 {
            let log = new_sealed_log_id(&owner.public()).unwrap();
            let good = row(&owner, log, number);
            let seal = seal(&owner, &good.log, 1, &Digest::default().extend(&good.claimed.unwrap()));
            offer(&mut costs, signed(good, &seal)).unwrap();
        }
        let mut wrong = 0;
        let error = loop {
            let log = format!("{}.{}", owner.public(), base32(&[&u32::to_be_bytes(wrong)[..], &[0]].concat()));
            let bad = signed(row(&owner, log.into(), 1_000 + wrong), &[7; 64]);
            wrong += 1;
            if let Err(error) = offer(&mut costs, bad) {
                break error;
            }
        };
        assert_eq!(error.code(), "ERR_HYPER_LIMIT");
        assert!(error.to_string().contains("seals verified"), "{error}");
        assert!((90..1_000).contains(&wrong), "{wrong}");
    }
}
