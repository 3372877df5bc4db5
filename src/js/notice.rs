//! Notices as plain objects for JavaScript.

use std::net::SocketAddr;

use bytes::Bytes;
use napi::bindgen_prelude::Buffer;
use napi_derive::napi;
use serde_json::{json, Map, Value};

use super::derived;
use super::names::TextTable;
use super::pack::pack_rows;
use crate::emitter::{Notice, Place, Reply, Stats, StreamNews};
use crate::error::{Details, Error};
use crate::hyperlog::stuck::{KeptStuckLog, StuckLog};
use crate::hyperlog::Contradiction;
use crate::net::pipe::PipeNews;
use crate::net::rights::Right;
use crate::net::{Candidate, Direction, End, NetEvent, PeerInfo, PeerKind, RemotePeer, Security, Stage};
use crate::node::{Change, Node};
use crate::row::{Located, Row};
use crate::store::Meta;

/// One thing that happened. `kind` says which fields are there.
#[napi(object)]
#[derive(Default)]
pub struct JsNotice {
    /// What happened: `ready`, `failed`, `answer`, `progress`, `logId`, `report`, `conflict`, or one of the network's.
    pub kind: String,
    /// The request's id.
    pub id: Option<u32>,
    /// `err.code` of a failure; everything else then describes the failure.
    pub code: Option<String>,
    /// The failure in words.
    pub message: Option<String>,
    /// The system's name for a failure (`ECONNREFUSED`), where there is one. This and the next five fields are details of the
    /// failure.
    pub system: Option<String>,
    /// The system's number for it.
    pub errno: Option<i32>,
    /// The log that it is about.
    pub log: Option<String>,
    /// The entry of that log.
    pub seq: Option<f64>,
    /// The file or folder.
    pub path: Option<String>,
    /// The address dialled or to be bound.
    pub address: Option<String>,
    /// JSON: the peer that a network notice is about.
    pub peer: Option<String>,
    /// A text: log id, fact, JSON, peer key.
    pub text: Option<String>,
    /// A number: change, units done, milliseconds; of a `conflict` the change of our own event.
    pub number: Option<f64>,
    /// Total units; of a `conflict` the change of the other event.
    pub total: Option<f64>,
    /// Packed rows (`pack.rs`), or derived values (`derived.rs`).
    pub rows: Option<Buffer>,
}

/// The tables that packed rows refer to.
pub struct Tables<'a> {
    /// Event names.
    pub names: &'a mut TextTable,
    /// Log ids.
    pub logs: &'a mut TextTable,
}

impl JsNotice {
    fn of(kind: &str) -> Self {
        JsNotice { kind: kind.to_owned(), ..JsNotice::default() }
    }

    #[allow(clippy::cast_precision_loss)] // Seqs stay below 2^53.
    fn failing(self, error: &Error) -> Self {
        let Details { system, errno, log, seq, path, address, .. } = error.details();
        JsNotice {
            code: Some(error.code().to_owned()),
            message: Some(error.to_string()),
            system: system.map(ToOwned::to_owned),
            errno,
            log: log.map(ToOwned::to_owned),
            seq: seq.map(|seq| seq as f64),
            path: path.map(|path| path.to_string_lossy().into_owned()),
            address: address.map(ToOwned::to_owned),
            ..self
        }
    }

    fn with_peer(self, peer: &serde_json::Value) -> Self {
        JsNotice { peer: Some(peer.to_string()), ..self }
    }

    fn with_id(self, id: u32) -> Self {
        JsNotice { id: Some(id), ..self }
    }

    fn with_text(self, text: impl Into<String>) -> Self {
        JsNotice { text: Some(text.into()), ..self }
    }

    #[allow(clippy::cast_precision_loss)] // Changes and byte counts stay below 2^53.
    fn with_number(self, number: u64) -> Self {
        JsNotice { number: Some(number as f64), ..self }
    }

    #[allow(clippy::cast_precision_loss)]
    fn with_total(self, total: u64) -> Self {
        JsNotice { total: Some(total as f64), ..self }
    }

    /// Converts a notice; `wants` returns the row format that the request with this id asked for.
    pub fn from(notice: Notice, mut wants: impl FnMut(u32) -> u32, tables: &mut Tables<'_>) -> Self {
        match notice {
            Notice::Ready { log_id, change } => JsNotice::of("ready").with_text(&*log_id).with_number(change),
            Notice::Failed(error) => JsNotice::of("failed").failing(&error),
            Notice::Progress { id, done, total } => {
                JsNotice { id: Some(id), ..JsNotice::of("progress") }.with_number(done).with_total(total)
            }
            Notice::LogIdChanged(log) => JsNotice::of("logId").with_text(&*log),
            Notice::Report(error) => JsNotice::of("report").failing(&error),
            Notice::Contradiction(Contradiction { ours, theirs }) => {
                JsNotice::of("conflict").with_number(ours).with_total(theirs)
            }
            Notice::Net(event) => JsNotice::from_network(event),
            Notice::Stream { id, news } => {
                let notice = JsNotice { id: Some(id), ..JsNotice::of("stream") };
                match news {
                    StreamNews::Pipe(PipeNews::Readable) => notice.with_text("readable"),
                    StreamNews::Pipe(PipeNews::Drained) => notice.with_text("drained"),
                    StreamNews::Link(link) => JsNotice::of("streamLink").with_text(link).with_id(id),
                }
            }
            Notice::Answer { id, result } => {
                let answer = JsNotice { id: Some(id), ..JsNotice::of("answer") };
                let wants = wants(id);
                match result {
                    Ok(reply) => answer.replying(reply, wants, tables),
                    Err(error) => answer.failing(&error),
                }
            }
        }
    }

    fn from_network(event: NetEvent) -> Self {
        match event {
            NetEvent::Inbound { key } => JsNotice::of("inbound").with_text(key),
            NetEvent::InboundGone { key, error } => {
                let gone = JsNotice::of("inboundGone").with_text(key);
                error.iter().fold(gone, |gone, error| gone.failing(error))
            }
            NetEvent::Connected { key, peer } => {
                JsNotice::of("connected").with_peer(&who_json(&key, peer)).with_text(key)
            }
            NetEvent::Synced { key, peer } => JsNotice::of("synced").with_peer(&who_json(&key, peer)).with_text(key),
            NetEvent::Disconnected { key, peer, end } => {
                let mut told = who_json(&key, peer);
                if let Some(told) = told.as_object_mut() {
                    told.insert("reason".into(), end.reason.name().into());
                    told.insert("told".into(), end.told.into());
                }
                JsNotice::of("disconnected").with_peer(&told).with_text(key).failing(&end.error)
            }
            NetEvent::ConnectionError { key, error, will_retry_in_ms } => {
                let failed = JsNotice::of("connectionError").with_text(key).failing(&error);
                will_retry_in_ms.into_iter().fold(failed, JsNotice::with_number)
            }
            NetEvent::Admit { question, key, peer } => {
                JsNotice::of("admit").with_peer(&candidate_json(&key, peer)).with_text(key).with_number(question)
            }
            NetEvent::Dial { question, key } => JsNotice::of("dial").with_text(key).with_number(question),
            NetEvent::GaveUp { key, error } => JsNotice::of("gaveUp").with_text(key).failing(&error),
            NetEvent::Report { key, error } => {
                let report = JsNotice::of("report").failing(&error);
                key.into_iter().fold(report, JsNotice::with_text)
            }
        }
    }

    fn replying(self, reply: Reply, wants: u32, tables: &mut Tables<'_>) -> Self {
        match reply {
            Reply::Done | Reply::Node(None) | Reply::Fact(None) => self,
            Reply::Node(Some(node)) => self.with_rows(&[row_of(*node)], 0, true, wants, tables),
            Reply::Fact(Some(fact)) => self.with_text(String::from_utf8_lossy(&fact)),
            Reply::Facts(facts) => self.with_text(records_json(&facts)),
            Reply::Derived(values) => JsNotice { rows: Some(derived::pack(&values).into()), ..self },
            Reply::Rows { rows, next, done } => self.with_rows(&rows, next, done, wants, tables),
            Reply::Listening(address) => self.with_text(address_json(address)),
            Reply::Change(change) | Reply::Imported(change) => self.with_number(change),
            Reply::Place(place) => self.with_place(&place),
            Reply::Heads(heads) => self.with_text(heads_json(&heads)),
            Reply::Adopted(log) => self.with_text(&*log),
            Reply::Digest(digest) => self.with_text(digest.to_string()),
            Reply::Stats(stats) => self.with_text(stats_json(&stats)),
            Reply::BackedUp(made) => self.with_text(
                json!({ "change": made.change, "digest": made.digest.to_string(), "bytes": made.bytes, "added": made.added }).to_string(),
            ),
            Reply::Restored(made) => self.with_text(
                json!({ "change": made.change, "digest": made.digest.to_string(), "log": *made.log }).to_string(),
            ),
            Reply::Verified(found) => self.with_text(
                json!({ "nodes": found.nodes, "duplicates": found.duplicates, "logs": found.logs, "seals": found.seals }).to_string(),
            ),
        }
    }

    fn with_place(self, place: &Place) -> Self {
        match place {
            Place::Here(change) => self.with_number(*change),
            Place::Missing { end, other } => {
                self.with_text(json!({ "end": end, "other": other.map(|key| key.to_string()) }).to_string())
            }
        }
    }

    fn with_rows(self, rows: &[Row], next: u64, done: bool, wants: u32, tables: &mut Tables<'_>) -> Self {
        let packed = pack_rows(rows, next, done, wants, tables.names, tables.logs);
        JsNotice { rows: Some(packed.into()), ..self }
    }
}

/// An address as Node's `server.address()` gives it.
fn address_json(address: SocketAddr) -> String {
    let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
    json!({ "address": address.ip().to_string(), "family": family, "port": address.port() }).to_string()
}

fn row_of(node: Node) -> Row {
    Row::first(node.into())
}

/// The records of subscriptions: name, change and text of each.
fn records_json(facts: &[(Meta, Bytes)]) -> String {
    let records = facts.iter().filter_map(|(fact, value)| match fact {
        Meta::Consumer(name, change) => Some(json!([name, change, String::from_utf8_lossy(value)])),
        _ => None,
    });
    serde_json::Value::from_iter(records).to_string()
}

fn heads_json(heads: &[Located]) -> String {
    let heads = heads
        .iter()
        .map(|head| json!({ "change": head.change, "key": head.key.to_string(), "log": &*head.log, "seq": head.seq }));
    serde_json::Value::Array(heads.collect()).to_string()
}

fn stats_json(stats: &Stats) -> String {
    let logs =
        stats.logs.iter().map(|log| json!({ "log": &*log.log, "seq": log.seq, "digest": log.digest.to_string() }));
    json!({
        "change": stats.change,
        "log": &*stats.log_id,
        "logs": logs.collect::<Vec<_>>(),
        "heads": stats.heads,
        "sizes": { "data": stats.sizes.data, "index": stats.sizes.index },
        "commits": stats.commits,
        "pending": stats.pending,
        "stuck": stats.stuck.iter().map(stuck_json).collect::<Vec<_>>(),
        "stuckBefore": stats.stuck_before.iter().map(stuck_before_json).collect::<Vec<_>>(),
        "network": stats.network,
        "refusals": {
            "insecure": stats.refusals.insecure,
            "rights": stats.refusals.rights,
            "network": stats.refusals.network,
        },
        "peers": stats.peers.iter().map(|peer| peer_json(peer, stats.change)).collect::<Vec<_>>(),
    })
    .to_string()
}

fn stuck_json(stuck: &StuckLog) -> Map<String, Value> {
    let fields = [
        ("log", Value::from(&*stuck.log)),
        ("since", stuck.since_ms.into()),
        ("seq", stuck.seq.into()),
        ("ours", stuck.ours.to_string().into()),
        ("theirs", stuck.theirs.to_string().into()),
        ("proven", stuck.proven.into()),
        ("behind", stuck.behind().into()),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn stuck_before_json(kept: &KeptStuckLog) -> Map<String, Value> {
    let mut json = stuck_json(&kept.stuck);
    json.insert("seen".to_owned(), kept.seen_ms.into());
    json
}

fn direction_name(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "in",
        Direction::Outbound => "out",
    }
}

fn protocol_name(kind: PeerKind) -> Option<&'static str> {
    match kind {
        PeerKind::Unknown => None,
        PeerKind::V1 => Some("1.x"),
        PeerKind::V2 => Some("2.x"),
    }
}

/// A peer that wants to connect.
fn candidate_json(key: &str, peer: Candidate) -> serde_json::Value {
    json!({
        "link": key,
        "direction": direction_name(peer.direction),
        "address": peer.address.map(|address| address.ip().to_canonical().to_string()),
        "port": peer.address.map(|address| address.port()),
        "publicKey": peer.public_key.to_string(),
    })
}

/// A peer as `status` reports it.
fn who_json(key: &str, peer: RemotePeer) -> serde_json::Value {
    json!({
        "link": key,
        "direction": direction_name(peer.direction),
        "address": peer.address.map(|address| address.ip().to_canonical().to_string()),
        "port": peer.address.map(|address| address.port()),
        "publicKey": peer.public_key.map(|key| key.to_string()),
        "security": peer.security.name(),
        "right": peer.right.name(),
        "protocol": protocol_name(peer.kind),
    })
}

fn end_json(end: &End) -> serde_json::Value {
    json!({
        "reason": end.reason.name(),
        "told": end.told,
        "code": end.error.code(),
        "message": end.error.to_string(),
        "at": end.at_ms,
    })
}

fn peer_json(peer: &PeerInfo, change: Change) -> serde_json::Value {
    let counters = &peer.counters;
    json!({
        "key": peer.key,
        "direction": direction_name(peer.direction),
        "protocol": protocol_name(peer.kind),
        "address": peer.address.map(|address| address.ip().to_canonical().to_string()),
        "port": peer.address.map(|address| address.port()),
        "publicKey": peer.public_key.map(|key| key.to_string()),
        "security": peer.security.map(Security::name),
        "right": peer.right.map(Right::name),
        "state": match peer.stage {
            Stage::Connecting => "connecting",
            Stage::Waiting => "waiting",
            Stage::Handshake => "handshake",
            Stage::StandBy => "standby",
            Stage::Sync => "sync",
            Stage::Live if peer.stuck.is_empty() => "live",
            Stage::Live => "stuck",
        },
        "since": peer.since_ms,
        "lastEnd": peer.last_end.as_ref().map(end_json),
        "stuck": peer.stuck,
        "usefulAt": peer.useful_ms,
        // For a link on standby, the link that carries the data reports how far the peer is behind.
        "behind": if peer.stage == Stage::StandBy { 0 } else { change.saturating_sub(peer.delivered) },
        "bytesIn": counters.bytes_in,
        "bytesOut": counters.bytes_out,
        "framesIn": counters.frames_in,
        "writes": counters.writes,
        "nodesIn": counters.nodes_in,
        "nodesOut": counters.nodes_out,
        "added": counters.added,
        "known": counters.known,
        "parked": counters.parked,
    })
}
