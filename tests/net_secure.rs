//! Secure links between two networks over loopback: who replicates, who is refused, and with which message; rights, and changes of
//! rights.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test code outside test functions")]

mod net_support;

use std::sync::Arc;

use hyperemitter::identity::noise::{LinkKey, Secret};
use hyperemitter::identity::{PublicKey, SecretKey};
use hyperemitter::net::pipe::{pipe, Carried as Taken, Carrier};
use hyperemitter::net::rights::{Peers, Plain, Right, Trust};
use hyperemitter::net::{Carried, Dial, Direction, End, NetEvent, NetOptions, PeerInfo, PeerKind, Reason, Security};
use net_support::proxy::{Mode, Proxy};
use net_support::{agree, options, soon, Peer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use zeroize::Zeroizing;

/// hyperemitter 1.x's handshake.
const V1: &[u8] = &[5, 0, 8, 1, 32, 1];

fn secret_key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

fn public(seed: u8) -> PublicKey {
    secret_key(seed).public()
}

fn identity(seed: u8) -> Option<Arc<LinkKey>> {
    Some(Arc::new(LinkKey::new(&secret_key(seed)).unwrap()))
}

fn secret(byte: u8) -> Option<Secret> {
    Some(Arc::new(Zeroizing::new([byte; 32])))
}

/// An emitter with the key of `seed`, to which these peers may connect.
fn closed(seed: u8, peers: &[(u8, Right)]) -> Trust {
    let peers = Peers::Listed(peers.iter().map(|(seed, right)| (public(*seed), *right)).collect());
    Trust { identity: identity(seed), peers, ..Trust::default() }
}

fn with(trust: Trust) -> NetOptions {
    NetOptions { trust, ..options() }
}

async fn listener(trust: Trust) -> Peer {
    Peer::new(with(trust)).listen(0).await
}

fn pinned(seed: u8) -> Dial {
    Dial { key: Some(public(seed)), ..Dial::default() }
}

fn in_plain() -> Dial {
    Dial { plain: Some(Right::Write), ..Dial::default() }
}

fn dial(peer: &Peer, port: u16, dial: Dial) {
    assert!(peer.net.dial("127.0.0.1".into(), port, dial));
}

/// Why the dialler's attempt ended.
async fn failure(peer: &Peer) -> hyperemitter::error::Error {
    let event = peer.event("the attempt ends", |event| matches!(event, NetEvent::ConnectionError { .. })).await;
    let NetEvent::ConnectionError { error, .. } = event else { unreachable!() };
    error
}

/// Why the listener's link ended, if it is told.
async fn refusal(peer: &Peer) -> hyperemitter::error::Error {
    let event =
        peer.event("the link ends", |event| matches!(event, NetEvent::InboundGone { error: Some(_), .. })).await;
    let NetEvent::InboundGone { error: Some(error), .. } = event else { unreachable!() };
    error
}

async fn replicates(a: &Peer, b: &Peer) {
    let had = a.len().max(b.len());
    a.emit("from a");
    b.emit("from b");
    a.holds(had + 2).await;
    b.holds(had + 2).await;
    assert!(agree(&[a, b]));
}

#[tokio::test]
async fn two_emitters_that_know_each_others_keys_replicate_and_say_how_the_link_is_secured() {
    let a = listener(closed(1, &[(2, Right::Write)])).await;
    let b = Peer::new(with(closed(2, &[(1, Right::Write)])));
    a.emit_many(2_000);
    dial(&b, a.port, pinned(1));
    b.holds(2_000).await;
    replicates(&a, &b).await;
    for (peer, other) in [(&a, 2), (&b, 1)] {
        let event = peer.event("connected", |event| matches!(event, NetEvent::Connected { .. })).await;
        let NetEvent::Connected { peer: who, .. } = event else { unreachable!() };
        assert_eq!((who.public_key, who.security, who.right), (Some(public(other)), Security::Noise, Right::Write));
        let link = peer.net.peers().remove(0);
        assert_eq!((link.public_key, link.security, link.right), (who.public_key, Some(who.security), Some(who.right)));
    }
}

#[tokio::test]
async fn a_large_event_and_many_small_ones_come_through_records_of_all_sizes() {
    let a = listener(closed(1, &[(2, Right::Write)])).await;
    let b = Peer::new(with(closed(2, &[(1, Right::Write)])));
    dial(&b, a.port, pinned(1));
    b.emit_bytes(vec![7; 3 << 20].into());
    for size in [1, 100, 65_519, 65_520, 200_000] {
        a.emit_bytes(vec![1; size].into());
        b.emit_bytes(vec![2; size].into());
    }
    a.holds(11).await;
    b.holds(11).await;
    assert!(agree(&[&a, &b]));
}

/// A kind of emitter in the matrix below.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// 2.x without an identity.
    Open,
    /// With an identity and a list.
    Closed,
    /// The same, which also allows plain links.
    Both,
}

fn trust_of(kind: Kind, seed: u8) -> Trust {
    let closed = closed(seed, &[(1, Right::Write), (2, Right::Write)]);
    match kind {
        Kind::Open => Trust::default(),
        Kind::Closed => closed,
        Kind::Both => Trust { plain: Some(Plain::Anybody(Right::Write)), ..closed },
    }
}

/// Which kinds replicate with each other, and which messages the others get.
#[tokio::test]
async fn the_matrix_of_secure_and_plain_emitters() {
    use Kind::{Both, Closed, Open};
    for (dialler, how, listens, outcome) in [
        (Open, Dial::default(), Open, Ok(Security::Plain)),
        (Open, Dial::default(), Closed, Err(("the option plain does not allow", "the option plain does not allow"))),
        (Open, Dial::default(), Both, Ok(Security::Plain)),
        (Closed, pinned(1), Closed, Ok(Security::Noise)),
        (Closed, Dial::default(), Closed, Ok(Security::Noise)),
        (Closed, pinned(1), Both, Ok(Security::Noise)),
        (Closed, pinned(1), Open, Err(("answers in plain text", "this emitter has no identity"))),
        (Closed, Dial::default(), Open, Err(("answers in plain text", "this emitter has no identity"))),
        (Closed, in_plain(), Open, Ok(Security::Plain)),
        (Closed, in_plain(), Closed, Err(("the option plain does not allow", "the option plain does not allow"))),
        (Closed, in_plain(), Both, Ok(Security::Plain)),
        (Both, pinned(1), Closed, Ok(Security::Noise)),
        (Both, pinned(1), Open, Err(("answers in plain text", "this emitter has no identity"))),
    ] {
        let what = format!("{dialler:?} dials {listens:?} {how:?}");
        let a = listener(trust_of(listens, 1)).await;
        let b = Peer::new(with(trust_of(dialler, 2)));
        dial(&b, a.port, how);
        match outcome {
            Ok(security) => {
                replicates(&a, &b).await;
                assert_eq!(b.net.peers()[0].security, Some(security), "{what}");
            }
            Err((ours, theirs)) => {
                let (error, refused) = (failure(&b).await, refusal(&a).await);
                assert_eq!((error.code(), refused.code()), ("ERR_HYPER_INSECURE", "ERR_HYPER_INSECURE"), "{what}");
                assert!(error.to_string().contains(ours), "{what}: {error}");
                assert!(refused.to_string().contains(theirs), "{what}: {refused}");
                b.emit("secret");
                assert_eq!((a.len(), b.len()), (0, 1), "{what}");
            }
        }
        b.close().await;
        a.close().await;
    }
}

#[tokio::test]
async fn whoever_answers_with_another_key_than_the_one_pinned_is_not_told_who_dials_and_gets_nothing() {
    let a = listener(closed(3, &[(2, Right::Write)])).await;
    let b = Peer::new(with(closed(2, &[(1, Right::Write), (3, Right::Write)])));
    b.emit("secret");
    dial(&b, a.port, pinned(1));
    let error = failure(&b).await;
    assert_eq!(error.code(), "ERR_HYPER_INSECURE");
    let text = error.to_string();
    assert!(text.contains(&public(1).to_string()) && text.contains(&public(3).to_string()), "{text}");
    assert_eq!(a.net.peers().iter().filter_map(|peer| peer.public_key).count(), 0);
    assert_eq!(a.len(), 0);
}

#[tokio::test]
async fn a_key_that_is_not_listed_is_refused_before_it_learns_anything_and_both_sides_say_why() {
    let a = listener(closed(1, &[(9, Right::Write)])).await;
    let b = Peer::new(with(closed(2, &[(1, Right::Write)])));
    a.emit("secret");
    dial(&b, a.port, pinned(1));
    let (error, refused) = (failure(&b).await, refusal(&a).await);
    assert_eq!((error.code(), refused.code()), ("ERR_HYPER_RIGHTS", "ERR_HYPER_RIGHTS"));
    assert!(error.to_string().contains("not in peers"), "{error}");
    assert_eq!(a.net.refusals().rights, 1);
    assert!(b.net.peers()[0].kind == PeerKind::Unknown && b.len() == 0, "no handshake came");
    // Its own list counts for whom it dials, too.
    let c = Peer::new(with(closed(9, &[])));
    dial(&c, a.port, pinned(1));
    let error = failure(&c).await;
    assert_eq!(error.code(), "ERR_HYPER_RIGHTS", "{error}");
}

#[tokio::test]
async fn whoever_does_not_know_the_secret_gets_no_byte_back() {
    let trust = Trust { identity: identity(1), secret: secret(7), ..Trust::default() };
    let a = listener(trust.clone()).await;
    // Another secret, none, and plain text.
    for other in
        [Trust { secret: secret(8), identity: identity(2), ..Trust::default() }, closed(2, &[(1, Right::Write)])]
    {
        let b = Peer::new(with(other));
        dial(&b, a.port, pinned(1));
        failure(&b).await;
        assert_eq!(b.link(&format!("127.0.0.1:{}", a.port)).unwrap().counters.bytes_in, 0);
        b.close().await;
    }
    for first in [V1, b"\x01\x07", b"GET / HTTP/1.1\r\n\r\n"] {
        let mut stranger = TcpStream::connect(("127.0.0.1", a.port)).await.unwrap();
        stranger.write_all(first).await.unwrap();
        stranger.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // It may be reset instead of closed.
        let _ = soon("the end", stranger.read_to_end(&mut answer)).await;
        assert!(answer.is_empty(), "{first:?} got {answer:?}");
    }
    let b = Peer::new(with(Trust { identity: identity(2), ..trust }));
    dial(&b, a.port, Dial::default());
    replicates(&a, &b).await;
}

#[tokio::test]
async fn an_accepted_connection_hears_nothing_before_it_speaks() {
    for trust in [Trust::default(), closed(1, &[])] {
        let a = listener(trust).await;
        let mut silent = TcpStream::connect(("127.0.0.1", a.port)).await.unwrap();
        a.event("it is there", |event| matches!(event, NetEvent::Inbound { .. })).await;
        a.net.drop_link("0");
        let mut heard = Vec::new();
        let _ = soon("the end", silent.read_to_end(&mut heard)).await;
        assert!(heard.is_empty(), "{heard:?}");
    }
}

#[tokio::test]
async fn plain_links_are_taken_from_the_sources_that_may_and_with_their_right_only() {
    let from = |subnet: &str, right| Some(Plain::From(vec![subnet.parse().unwrap()], right));
    let a = listener(Trust { plain: from("127.0.0.0/8", Right::Read), ..closed(1, &[]) }).await;
    a.emit("for all");
    let b = Peer::new(options());
    b.emit("not wanted");
    b.dial(a.port);
    b.holds(2).await;
    a.emit("live");
    b.holds(3).await;
    assert_eq!(a.len(), 2, "a peer that may only read brings nothing");
    a.when("the right is told", |peers| peers.iter().any(|peer| peer.right == Some(Right::Read))).await;
    a.net.set_plain(from("10.0.0.0/8", Right::Read));
    let gone = b.event("it is cut off", |event| matches!(event, NetEvent::Disconnected { .. })).await;
    let NetEvent::Disconnected { end: End { reason, told, error, .. }, .. } = gone else { unreachable!() };
    assert_eq!((reason, told, error.code()), (Reason::Refused, true, "ERR_HYPER_RIGHTS"));
}

#[tokio::test]
async fn a_1_x_peer_that_may_only_read_stays_and_what_it_brings_is_not_stored() {
    let a = listener(Trust { plain: Some(Plain::Anybody(Right::Read)), ..closed(1, &[]) }).await;
    let mut v1 = TcpStream::connect(("127.0.0.1", a.port)).await.unwrap();
    v1.write_all(V1).await.unwrap();
    let mut answer = [0; 6];
    soon("our handshake", v1.read_exact(&mut answer)).await.unwrap();
    // Its mode is 'push': 1.x announces and asks nothing then.
    let mut rest = vec![0; usize::from(answer[0]) - 5];
    v1.read_exact(&mut rest).await.unwrap();
    let handshake = [&answer[..], &rest[..]].concat();
    assert!(handshake.windows(4).any(|part| part == b"push"), "{handshake:?}");
    // It has asked for all it wants: nothing.
    v1.write_all(&[1, 5]).await.unwrap();
    // A node without links, as 1.x sends it when it emits.
    let value = [&[10, 1][..], b"a", &[18, 2], b"hi"].concat();
    let key = hyperemitter::node::key_of(&[], &value).to_string();
    let mut node = vec![3, 8, 1, 18, 64];
    node.extend(key.as_bytes());
    node.extend([26, 2]);
    node.extend(b"v1");
    node.extend([32, 1, 42, value.len() as u8]);
    node.extend(&value);
    v1.write_all(&[&[node.len() as u8][..], &node].concat()).await.unwrap();
    let told = a.event("it is told", |event| matches!(event, NetEvent::Report { .. })).await;
    let NetEvent::Report { error, .. } = told else { unreachable!() };
    assert_eq!(error.code(), "ERR_HYPER_RIGHTS");
    a.emit("still served");
    let mut heard: Vec<u8> = Vec::new();
    let served = async {
        while !heard.windows(12).any(|part| part == b"still served") {
            let mut chunk = [0; 1024];
            let read = v1.read(&mut chunk).await.unwrap();
            assert!(read > 0, "the link stays");
            heard.extend(&chunk[..read]);
        }
    };
    soon("the live event", served).await;
    assert_eq!(a.len(), 1);
}

#[tokio::test]
async fn a_peer_that_loses_its_right_is_cut_off_and_one_whose_right_changes_goes_on_with_the_new_one() {
    let a = listener(closed(1, &[(2, Right::Write)])).await;
    let b = Peer::new(with(closed(2, &[(1, Right::Write)])));
    dial(&b, a.port, pinned(1));
    replicates(&a, &b).await;
    let peers = |right: Option<Right>| Peers::Listed(right.map(|right| (public(2), right)).into_iter().collect());
    a.net.set_peers(peers(Some(Right::Read)));
    a.when("read", |peers| peers.iter().any(|peer| peer.right == Some(Right::Read))).await;
    b.emit("not wanted");
    a.emit("for b");
    b.holds(4).await;
    assert_eq!(a.len(), 3);
    a.net.set_peers(peers(Some(Right::Write)));
    a.holds(4).await;
    let (seen, _) = b.event_after(0, "connected", |event| matches!(event, NetEvent::Connected { .. })).await;
    a.net.set_peers(peers(None));
    let is_refusal =
        |event: &NetEvent| matches!(event, NetEvent::Disconnected { end, .. } if end.reason == Reason::Refused);
    let (_, gone) = b.event_after(seen, "revoked", is_refusal).await;
    let NetEvent::Disconnected { end, .. } = gone else { unreachable!() };
    assert_eq!((end.told, end.error.code()), (true, "ERR_HYPER_RIGHTS"));
    b.emit("too late");
    assert_eq!(a.len(), 4);
}

#[tokio::test]
async fn the_owner_is_asked_about_each_peer_and_again_when_it_changes_its_mind() {
    let asks = Trust { identity: identity(1), peers: Peers::Asked, ..Trust::default() };
    let a = listener(asks).await;
    let b = Peer::new(with(closed(2, &[(1, Right::Write)])));
    dial(&b, a.port, pinned(1));
    let is_question = |event: &NetEvent| matches!(event, NetEvent::Admit { .. });
    let (at, asked) = a.event_after(0, "asked", is_question).await;
    let NetEvent::Admit { question, peer, .. } = asked else { unreachable!() };
    assert_eq!((peer.public_key, peer.address.unwrap().ip().is_loopback()), (public(2), true));
    assert_eq!(b.net.peers()[0].kind, PeerKind::Unknown, "nothing is said before the answer");
    a.net.admit(question, Some(Right::Write));
    replicates(&a, &b).await;
    a.net.set_peers(Peers::Asked);
    let (_, asked) = a.event_after(at + 1, "asked again", is_question).await;
    let NetEvent::Admit { question: again, .. } = asked else { unreachable!() };
    a.net.admit(question, None);
    replicates(&a, &b).await;
    a.net.admit(again, None);
    let gone = b.event("refused", |event| matches!(event, NetEvent::Disconnected { .. })).await;
    let NetEvent::Disconnected { end, .. } = gone else { unreachable!() };
    assert_eq!(end.error.code(), "ERR_HYPER_RIGHTS");
}

#[tokio::test]
async fn a_question_that_is_never_answered_ends_with_the_time_for_a_handshake() {
    let asks = Trust { identity: identity(1), peers: Peers::Asked, ..Trust::default() };
    let a = Peer::new(NetOptions { handshake_timeout_ms: 100, ..with(asks) }).listen(0).await;
    let b = Peer::new(with(closed(2, &[(1, Right::Write)])));
    dial(&b, a.port, pinned(1));
    assert_eq!(refusal(&a).await.code(), "ERR_HYPER_SILENT");
}

#[tokio::test]
async fn emitters_of_different_networks_never_merge_and_both_name_both() {
    let named = |name: Option<&str>| Trust { network: name.map(str::to_owned), ..Trust::default() };
    for (ours, theirs) in [(Some("staging"), Some("production")), (None, Some("production")), (Some("staging"), None)] {
        for secure in [false, true] {
            let of = |name, seed: u8| {
                let closed =
                    if secure { closed(seed, &[(1, Right::Write), (2, Right::Write)]) } else { Trust::default() };
                Trust { network: named(name).network, ..closed }
            };
            let (a, b) = (listener(of(theirs, 1)).await, Peer::new(with(of(ours, 2))));
            a.emit("there");
            b.emit("here");
            dial(&b, a.port, Dial::default());
            for error in [failure(&b).await, refusal(&a).await] {
                assert_eq!(error.code(), "ERR_HYPER_NETWORK", "{error}");
                let text = error.to_string();
                for name in [ours, theirs] {
                    let name = name.map_or("no network".to_owned(), |name| format!("{name:?}"));
                    assert!(text.contains(&name), "{text}");
                }
            }
            assert_eq!((a.len(), b.len()), (1, 1), "no row passes");
            b.close().await;
            a.close().await;
        }
    }
    let (a, b) = (listener(named(Some("one"))).await, Peer::new(with(named(Some("one")))));
    b.dial(a.port);
    replicates(&a, &b).await;
}

#[tokio::test]
async fn a_1_x_peer_joins_a_named_network_only_where_plain_links_were_allowed() {
    let named = Trust { network: Some("production".to_owned()), ..Trust::default() };
    for (trust, joins) in [(named.clone(), false), (Trust { plain: Some(Plain::Anybody(Right::Write)), ..named }, true)]
    {
        let a = listener(trust).await;
        let mut v1 = TcpStream::connect(("127.0.0.1", a.port)).await.unwrap();
        v1.write_all(V1).await.unwrap();
        if joins {
            a.event("it stands", |event| matches!(event, NetEvent::Connected { .. })).await;
        } else {
            let error = refusal(&a).await;
            assert_eq!(error.code(), "ERR_HYPER_NETWORK");
            assert!(error.to_string().contains("1.x"), "{error}");
        }
    }
}

#[tokio::test]
async fn the_key_is_required_at_the_first_dial_at_a_redial_and_after_a_restart() {
    // The address is taken over by 1.x, by 2.x without an identity, or by an emitter with another key.
    for thief in [Trust::default(), closed(3, &[(2, Right::Write)])] {
        let (a, thief) = (listener(closed(1, &[(2, Right::Write)])).await, listener(thief).await);
        let proxy = Proxy::to(a.port).await;
        let ours = closed(2, &[(1, Right::Write), (3, Right::Write)]);
        let b = Peer::new(with(ours.clone()));
        dial(&b, proxy.port, pinned(1));
        replicates(&a, &b).await;
        proxy.redirect(thief.port);
        proxy.cut();
        let insecure = |event: &NetEvent| matches!(event, NetEvent::ConnectionError { error, .. } if error.code() == "ERR_HYPER_INSECURE");
        b.event("refused at the redial", insecure).await;
        b.close().await;
        let again = Peer::on(Arc::clone(&b.log), with(ours));
        dial(&again, proxy.port, Dial { known: true, ..pinned(1) });
        again.event("refused after a restart", insecure).await;
        assert_eq!(thief.len(), 0);
        again.close().await;
    }
}

#[tokio::test]
async fn whoever_is_dialled_anew_with_a_key_gets_no_other_link_from_then_on() {
    let a = listener(trust_of(Kind::Both, 1)).await;
    let b = Peer::new(with(closed(2, &[(1, Right::Write), (9, Right::Write)])));
    let secured = |wanted| move |peers: &[PeerInfo]| peers.iter().any(|peer| peer.security == Some(wanted));
    dial(&b, a.port, in_plain());
    b.when("plain", secured(Security::Plain)).await;
    replicates(&a, &b).await;
    assert!(!b.net.dial("127.0.0.1".into(), a.port, pinned(1)), "it is the same link");
    b.when("secure", secured(Security::Noise)).await;
    replicates(&a, &b).await;
    assert!(!b.net.dial("127.0.0.1".into(), a.port, pinned(9)));
    let insecure = |event: &NetEvent| matches!(event, NetEvent::ConnectionError { error, .. } if error.code() == "ERR_HYPER_INSECURE");
    let (seen, _) = b.event_after(0, "another key", insecure).await;
    b.emit("not for a");
    assert_eq!(a.len() + 1, b.len());
    // It would wait for half a minute now, but dials immediately when it is told to dial in another manner.
    b.net.dial("127.0.0.1".into(), a.port, pinned(1));
    b.event_after(seen, "linked", |event| matches!(event, NetEvent::Connected { .. })).await;
    replicates(&a, &b).await;
}

#[tokio::test]
async fn five_hundred_handshakes_that_stall_keep_nobody_out() {
    let a = listener(closed(1, &[(2, Right::Write)])).await;
    let b = Peer::new(with(closed(2, &[(1, Right::Write)])));
    let key = Arc::new(LinkKey::new(&secret_key(3)).unwrap());
    let mut stalled = Vec::new();
    for _ in 0..512 {
        let mut socket = TcpStream::connect(("127.0.0.1", a.port)).await.unwrap();
        let (_, first) = hyperemitter::identity::noise::Handshake::dial(Arc::clone(&key), None, None).unwrap();
        socket.write_all(&first).await.unwrap();
        stalled.push(socket);
    }
    dial(&b, a.port, pinned(1));
    replicates(&a, &b).await;
    assert!(a.net.held() < 8 << 20, "{} bytes", a.net.held());
}

#[tokio::test]
async fn a_link_that_is_cut_in_the_middle_of_a_record_goes_on_where_it_was() {
    let a = listener(closed(1, &[(2, Right::Write)])).await;
    let proxy = Proxy::to(a.port).await;
    let b = Peer::new(with(closed(2, &[(1, Right::Write)])));
    a.emit_many(20_000);
    dial(&b, proxy.port, pinned(1));
    for _ in 0..5 {
        tokio::task::yield_now().await;
        proxy.cut();
    }
    proxy.set(Mode::Pass);
    b.holds(20_000).await;
    assert!(agree(&[&a, &b]));
}

/// Carries bytes between two ends until either is over.
async fn carry(near: Carrier, far: Carrier, wake: Arc<Notify>) {
    loop {
        for (from, to) in [(&near, &far), (&far, &near)] {
            loop {
                match from.read() {
                    Taken::Bytes(bytes) => drop(to.write(&bytes)),
                    Taken::Nothing => break,
                    Taken::End => return,
                }
            }
        }
        wake.notified().await;
    }
}

/// A connection whose bytes the test carries, for which its owner vouches with a right, and the other end of it.
fn carried(wake: &Arc<Notify>, right: Option<Right>) -> (Carried, Carrier) {
    let wake = Arc::clone(wake);
    let (pipe, carrier) = pipe(move |_| wake.notify_one());
    (Carried { pipe, ends: None, vouched: right.map(|right| (Security::Tls, right)) }, carrier)
}

#[tokio::test]
async fn streams_that_the_owner_carries_and_vouches_for_replicate_with_the_right_that_it_gives() {
    let (a, b) = (Peer::new(with(closed(1, &[]))), Peer::new(options()));
    let wake = Arc::new(Notify::new());
    let ((near, of_a), (far, of_b)) = (carried(&wake, Some(Right::Read)), carried(&wake, Some(Right::Write)));
    let link = a.net.handle(near, false, None).unwrap();
    let ours = b.net.handle(far, true, None).unwrap();
    tokio::spawn(carry(of_a, of_b, wake));
    a.emit_many(3_000);
    b.emit("not wanted");
    b.holds(3_001).await;
    let told = a.link(&link).unwrap();
    assert_eq!((told.security, told.right, a.len()), (Some(Security::Tls), Some(Right::Read), 3_000));
    assert_eq!((told.direction, b.link(&ours).unwrap().direction), (Direction::Inbound, Direction::Outbound));
    a.net.revoke(&link);
    let gone = b.event("revoked", |event| matches!(event, NetEvent::Disconnected { .. })).await;
    let NetEvent::Disconnected { end, .. } = gone else { unreachable!() };
    assert_eq!(end.error.code(), "ERR_HYPER_RIGHTS");
}

#[tokio::test]
async fn a_stream_that_nobody_vouches_for_is_secured_inside() {
    let a = Peer::new(with(closed(1, &[(2, Right::Write)])));
    let b = Peer::new(with(closed(2, &[(1, Right::Write)])));
    let wake = Arc::new(Notify::new());
    let ((near, of_a), (far, of_b)) = (carried(&wake, None), carried(&wake, None));
    let link = a.net.handle(near, false, None).unwrap();
    b.net.handle(far, true, Some(public(1))).unwrap();
    tokio::spawn(carry(of_a, of_b, wake));
    replicates(&a, &b).await;
    assert_eq!(a.link(&link).unwrap().security, Some(Security::Noise));
}

#[tokio::test]
async fn a_link_whose_connections_the_owner_makes_is_dialled_again_like_any_other() {
    let (a, b) = (Peer::new(options()), Peer::new(options()));
    dial(&b, 9, Dial { carried: true, ..Dial::default() });
    let mut seen = 0;
    for round in 0..3 {
        let is_asked = |event: &NetEvent| matches!(event, NetEvent::Dial { .. });
        let (at, asked) = b.event_after(seen, "a connection is wanted", is_asked).await;
        let NetEvent::Dial { question, .. } = asked else { unreachable!() };
        seen = at + 1;
        if round == 1 {
            let reason = "no".to_owned();
            let refused =
                hyperemitter::error::Error::Connect { target: "there".into(), reason, system: Some("ECONNREFUSED") };
            b.net.dialled(question, Err(refused));
            continue;
        }
        let wake = Arc::new(Notify::new());
        let ((near, of_a), (far, of_b)) = (carried(&wake, Some(Right::Write)), carried(&wake, Some(Right::Write)));
        a.net.handle(near, false, None).unwrap();
        b.net.dialled(question, Ok(far));
        let carrying = tokio::spawn(carry(of_a, of_b, wake));
        replicates(&a, &b).await;
        carrying.abort();
    }
}
