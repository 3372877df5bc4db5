//! A middleman between two emitters with identities poses as a 1.x peer, and flips, cuts, drops, repeats, inserts, swaps and
//! reflects bytes. Nothing that the two did not send is accepted, nothing that they sent can be read, and neither of them fails.
//!
//! By default it runs 200 seeds; `HYPER_MIDDLEMAN=100000` runs this many, `HYPER_SEED=n` only one.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test code outside test functions")]

mod net_support;

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyperemitter::identity::noise::{LinkKey, SECURE};
use hyperemitter::identity::{PublicKey, SecretKey};
use hyperemitter::net::pipe::{pipe, Carried as Taken, Carrier};
use hyperemitter::net::rights::{Peers, Right, Trust};
use hyperemitter::net::{Carried, NetEvent, NetOptions};
use net_support::{agree, options, Peer};
use tokio::sync::Notify;

/// A run is over when nothing has moved for this long. The checks do not depend on it.
const STILL: Duration = Duration::from_millis(5);

/// hyperemitter 1.x's handshake, and all of its log: nothing.
const V1: &[u8] = &[5, 0, 8, 1, 32, 1, 1, 4];

fn identity(seed: u8) -> (PublicKey, Arc<LinkKey>) {
    let key = SecretKey::from_seed(&[seed; 32]);
    (key.public(), Arc::new(LinkKey::new(&key).unwrap()))
}

/// xorshift64*: the same attacks on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) % bound
    }

    fn size(&mut self, bound: u64) -> usize {
        usize::try_from(self.below(bound)).unwrap()
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Attack {
    Nothing,
    Flip,
    Cut,
    LeaveOut,
    Repeat,
    Insert,
    Swap,
    /// The sender gets back what it says.
    Reflect,
    /// Answers the dialler as a 1.x peer.
    PoseToDialler,
    /// Dials the listener as a 1.x peer.
    PoseToListener,
}

const ATTACKS: [Attack; 10] = [
    Attack::Nothing,
    Attack::Flip,
    Attack::Cut,
    Attack::LeaveOut,
    Attack::Repeat,
    Attack::Insert,
    Attack::Swap,
    Attack::Reflect,
    Attack::PoseToDialler,
    Attack::PoseToListener,
];

/// One direction of a connection, as the middleman passes it on.
struct Way {
    attack: Attack,
    /// Where in the stream, and how many bytes.
    at: usize,
    len: usize,
    bit: u8,
    seen: Vec<u8>,
    held: Vec<u8>,
    cut: bool,
}

impl Way {
    fn honest() -> Way {
        Way { attack: Attack::Nothing, at: 0, len: 0, bit: 0, seen: Vec::new(), held: Vec::new(), cut: false }
    }

    fn attacked(attack: Attack, random: &mut Random) -> Way {
        // Most of a connection's bytes are those of its beginning.
        let at = if random.below(2) == 0 { random.size(450) } else { random.size(4_000) };
        let bit = 1 << random.below(8);
        Way { attack, at, len: 1 + random.size(250), bit, ..Way::honest() }
    }

    /// Returns what is passed on instead of these bytes, and what is sent back.
    fn pass(&mut self, bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let (mut on, mut back) = (Vec::new(), Vec::new());
        for &byte in bytes {
            let here = self.seen.len();
            self.seen.push(byte);
            let inside = here >= self.at && here < self.at + self.len;
            match self.attack {
                Attack::Flip if here == self.at => on.push(byte ^ self.bit),
                Attack::Cut if here >= self.at => self.cut = true,
                Attack::LeaveOut if inside => {}
                Attack::Insert if here == self.at => {
                    on.extend(std::iter::repeat_n(self.bit, self.len));
                    on.push(byte);
                }
                Attack::Repeat => {
                    on.push(byte);
                    if here + 1 == self.at + self.len {
                        on.extend(&self.seen[self.at..=here]);
                    }
                }
                Attack::Swap if inside => self.held.push(byte),
                Attack::Swap => {
                    on.push(byte);
                    if here + 1 == self.at + 2 * self.len {
                        on.append(&mut self.held);
                    }
                }
                Attack::Reflect if here >= self.at => back.push(byte),
                _ => on.push(byte),
            }
        }
        (on, back)
    }
}

/// A connection of `peer`, whose bytes we carry.
fn attach(peer: &Peer, run: u32, dialled: Option<PublicKey>, wake: &Arc<Notify>) -> Carrier {
    let wake = Arc::clone(wake);
    let (pipe, carrier) = pipe(move |_| wake.notify_one());
    // Each run has its own address, because together they cost more than one address may.
    let [a, b, c, _] = (run << 8).to_be_bytes();
    let ends = (SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 1), SocketAddr::new(IpAddr::from([10 + a, b, c, 1]), 2));
    let carried = Carried { pipe, ends: Some(ends), vouched: None };
    peer.net.handle(carried, dialled.is_some(), dialled).expect("there is room");
    carrier
}

/// Passes everything that one side sends through `way`. Returns whether anything moved, and whether it has ended.
fn carry(from: &Carrier, to: &Carrier, way: &mut Way) -> (bool, bool) {
    let mut moved = false;
    loop {
        match from.read() {
            Taken::Bytes(bytes) => {
                moved = true;
                let (on, back) = way.pass(&bytes);
                to.write(&on);
                from.write(&back);
                if way.cut {
                    return (moved, true);
                }
            }
            Taken::Nothing => return (moved, false),
            Taken::End => return (moved, true),
        }
    }
}

struct Pair {
    a: Peer,
    b: Peer,
    key_of_a: PublicKey,
}

impl Pair {
    fn new() -> Pair {
        let ((a, key_a), (b, key_b)) = (identity(1), identity(2));
        let with = |key, peer| {
            let peers = Peers::Listed([(peer, Right::Write)].into());
            let trust = Trust { identity: Some(key), peers, ..Trust::default() };
            Peer::new(NetOptions { trust, ..options() })
        };
        Pair { a: with(key_a, b), b: with(key_b, a), key_of_a: a }
    }

    /// Runs one connection through the middleman. Returns whether both sides are in sync afterwards, and what each sent.
    async fn run(&self, run: u32, attack: Attack, random: &mut Random) -> (bool, [Vec<u8>; 2]) {
        let wake = Arc::new(Notify::new());
        let mut ways = [Way::honest(), Way::honest()];
        if attack != Attack::Nothing {
            ways[random.size(2)] = Way::attacked(attack, random);
        }
        let dialler = (attack != Attack::PoseToListener).then(|| attach(&self.b, run, Some(self.key_of_a), &wake));
        let listener = (attack != Attack::PoseToDialler).then(|| attach(&self.a, run, None, &wake));
        let nobody = pipe(|_| {});
        match (&dialler, &listener) {
            (Some(dialler), None) => drop(dialler.write(V1)),
            (None, Some(listener)) => drop(listener.write(V1)),
            _ => {}
        }
        let (dialler, listener) = (dialler.as_ref().unwrap_or(&nobody.1), listener.as_ref().unwrap_or(&nobody.1));
        loop {
            let (there, done) = carry(dialler, listener, &mut ways[0]);
            let (back, over) = carry(listener, dialler, &mut ways[1]);
            if done || over || agree(&[&self.a, &self.b]) {
                break;
            }
            if !there && !back && tokio::time::timeout(STILL, wake.notified()).await.is_err() {
                break;
            }
        }
        let [said_by_b, said_by_a] = ways.map(|way| way.seen);
        (agree(&[&self.a, &self.b]), [said_by_b, said_by_a])
    }

    /// Everything stored is what one of the two has emitted.
    fn is_genuine(&self, emitted: &HashSet<String>) {
        let logs = [self.a.log.log_id(), self.b.log.log_id()];
        for peer in [&self.a, &self.b] {
            for row in peer.rows() {
                let event = hyperemitter::event::decode(&row.node.value).unwrap();
                let text = String::from_utf8(event.payload.to_vec()).unwrap();
                assert!(emitted.contains(&text) && logs.contains(row.log()), "{text} of {}", row.log());
            }
        }
    }
}

fn said(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

/// Checks that no side has reported an internal defect.
fn no_defects(peer: &Peer, seed: u64) {
    for event in peer.events() {
        if let NetEvent::InboundGone { error: Some(error), .. } | NetEvent::Report { error, .. } = event {
            assert_ne!(error.code(), "ERR_HYPER_INTERNAL", "seed {seed}: {error}");
        }
    }
}

#[tokio::test]
async fn a_middleman_reads_nothing_and_whatever_he_does_nothing_of_his_is_accepted() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("HYPER_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("HYPER_MIDDLEMAN").unwrap_or(200),
    };
    let (mut pair, mut emitted, mut runs) = (Pair::new(), HashSet::new(), 0_u32);
    let mut outcomes = std::collections::BTreeMap::<String, u64>::new();
    for seed in seeds {
        if seed % 500 == 499 {
            // The events of both sides are checked, and then cleared.
            pair.is_genuine(&emitted);
            no_defects(&pair.a, seed);
            no_defects(&pair.b, seed);
            pair.a.close().await;
            pair.b.close().await;
            (pair, emitted) = (Pair::new(), HashSet::new());
        }
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let attack = ATTACKS[random.size(ATTACKS.len() as u64)];
        let texts = [format!("said by a in {seed}"), format!("said by b in {seed}")];
        pair.a.emit(&texts[0]);
        pair.b.emit(&texts[1]);
        emitted.extend(texts.clone());
        runs += 1;
        let (level, [said_by_b, said_by_a]) = pair.run(runs, attack, &mut random).await;
        *outcomes.entry(format!("{attack:?}, level: {level}")).or_default() += 1;
        for bytes in [&said_by_a, &said_by_b] {
            assert!(!said(bytes, "said by") && !said(bytes, "hyper2"), "seed {seed}: {attack:?} reads what is said");
        }
        match attack {
            Attack::PoseToDialler => {
                assert!(said_by_b.len() == 35 && said_by_b[1] == SECURE, "seed {seed}: the dialler said {said_by_b:?}");
                assert!(!level);
            }
            Attack::PoseToListener => assert!(!level && said_by_a.len() < 400, "seed {seed}: {said_by_a:?}"),
            _ => {}
        }
        // An honest connection brings everything, whatever was done to those before it.
        if !level && seed % 4 == 0 {
            let mut tries = 0;
            while !level_after(&pair, &mut runs, &mut random).await {
                tries += 1;
                assert!(tries < 1_000, "seed {seed}: after {attack:?} the two do not get level");
            }
        }
    }
    pair.is_genuine(&emitted);
    println!("{outcomes:#?}");
}

async fn level_after(pair: &Pair, runs: &mut u32, random: &mut Random) -> bool {
    *runs += 1;
    pair.run(*runs, Attack::Nothing, random).await.0
}
