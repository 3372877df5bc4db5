use super::*;
use crate::protocol::frame;

fn link_key(seed: u8) -> Arc<LinkKey> {
    Arc::new(LinkKey::new(&SecretKey::from_seed(&[seed; KEY_LEN])).unwrap())
}

fn secret(byte: u8) -> Secret {
    Arc::new(Zeroizing::new([byte; SECRET_LEN]))
}

/// A frame without its length.
fn body(frame: &Bytes) -> Bytes {
    let mut bytes = BytesMut::from(&frame[..]);
    let body = frame::split(&mut bytes, MAX_HANDSHAKE_FRAME).unwrap().unwrap();
    assert!(bytes.is_empty());
    body
}

fn reply(progress: Progress) -> Bytes {
    match progress {
        Progress::Reply(frame) => body(&frame),
        Progress::Done { .. } => panic!("done already"),
    }
}

fn done(progress: Progress) -> (Option<Bytes>, PublicKey, Transport) {
    match progress {
        Progress::Reply(_) => panic!("not done"),
        Progress::Done { reply, peer, transport } => (reply.as_ref().map(body), peer, transport),
    }
}

struct Pair {
    dialler: Handshake,
    listener: Handshake,
    first: Bytes,
}

fn pair(of_dialler: Option<u8>, of_listener: Option<u8>) -> Pair {
    let (dialler, first) = Handshake::dial(link_key(1), of_dialler.map(secret).as_ref(), None).unwrap();
    let listener = Handshake::listen(link_key(2), of_listener.map(secret).as_ref()).unwrap();
    Pair { dialler, listener, first: body(&first) }
}

/// The whole handshake; both ends.
fn linked(of_both: Option<u8>) -> (Transport, Transport) {
    let Pair { mut dialler, mut listener, first } = pair(of_both, of_both);
    let second = reply(listener.frame(&first).unwrap());
    let (third, peer, ours) = done(dialler.frame(&second).unwrap());
    assert_eq!(peer, link_key(2).public());
    let (none, peer, theirs) = done(listener.frame(&third.unwrap()).unwrap());
    assert_eq!((none, peer), (None, link_key(1).public()));
    (ours, theirs)
}

fn sealed(transport: &mut Transport, plain: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    transport.seal(plain, &mut out).unwrap();
    out
}

fn opened(transport: &mut Transport, mut input: BytesMut) -> Result<Vec<u8>> {
    let mut out = BytesMut::new();
    transport.open(&mut input, &mut out)?;
    assert!(input.is_empty());
    Ok(out.to_vec())
}

fn is_refused(result: Result<Progress>) {
    assert_eq!(result.err().expect("it is refused").code(), "ERR_HYPER_INSECURE");
}

#[test]
fn both_sides_learn_who_the_other_is_and_bytes_go_both_ways() {
    for of_both in [None, Some(9)] {
        let (mut ours, mut theirs) = linked(of_both);
        for length in [1, 100, MAX_RECORD - TAG_LEN, MAX_RECORD - TAG_LEN + 1, 300_000] {
            let plain: Vec<u8> = (0..length).map(|n| u8::try_from(n % 251).unwrap()).collect();
            let records = sealed(&mut ours, &plain);
            assert_eq!(records.len(), length + length.div_ceil(MAX_RECORD - TAG_LEN) * (TAG_LEN + PREFIX_LEN));
            assert_eq!(opened(&mut theirs, records).unwrap(), plain);
            let records = sealed(&mut theirs, &plain);
            assert_eq!(opened(&mut ours, records).unwrap(), plain);
        }
    }
}

#[test]
fn records_come_out_whole_whatever_the_cuts() {
    let (mut ours, mut theirs) = linked(None);
    let plain = vec![7; 1000];
    for step in [1, 2, 3, 17, 500] {
        let records = sealed(&mut ours, &plain);
        let (mut input, mut out) = (BytesMut::new(), BytesMut::new());
        for piece in records.chunks(step) {
            input.extend_from_slice(piece);
            theirs.open(&mut input, &mut out).unwrap();
        }
        assert_eq!(out, plain);
        assert!(input.is_empty());
    }
}

#[test]
fn frames_of_a_handshake_are_small_and_their_sizes_do_not_depend_on_who_is_there() {
    for (of_both, sizes) in [(None, [34, 194, 162]), (Some(9), [50, 194, 162])] {
        let Pair { mut dialler, mut listener, first } = pair(of_both, of_both);
        let second = reply(listener.frame(&first).unwrap());
        let third = done(dialler.frame(&second).unwrap()).0.unwrap();
        assert_eq!([first.len(), second.len(), third.len()], sizes);
    }
}

#[test]
fn who_does_not_know_the_secret_gets_no_byte_back() {
    for (of_dialler, of_listener) in [(None, Some(9)), (Some(8), Some(9)), (Some(9), None)] {
        let Pair { mut listener, first, .. } = pair(of_dialler, of_listener);
        is_refused(listener.frame(&first));
    }
}

#[test]
fn another_key_than_the_one_expected_is_not_told_who_we_are() {
    let (mut dialler, first) = Handshake::dial(link_key(1), None, Some(link_key(3).public())).unwrap();
    let mut listener = Handshake::listen(link_key(2), None).unwrap();
    let second = reply(listener.frame(&body(&first)).unwrap());
    let error = dialler.frame(&second).err().unwrap();
    assert_eq!(error.code(), "ERR_HYPER_INSECURE");
    let text = error.to_string();
    assert!(text.contains(&link_key(2).public().to_string()) && text.contains(&link_key(3).public().to_string()));
}

#[test]
fn a_flipped_bit_anywhere_ends_the_handshake() {
    for of_both in [None, Some(9)] {
        let sizes = if of_both.is_some() { [50, 194, 162] } else { [34, 194, 162] };
        for (message, size) in sizes.into_iter().enumerate() {
            for at in 0..size {
                let Pair { mut dialler, mut listener, first } = pair(of_both, of_both);
                let flip = |number: usize, frame: &Bytes| {
                    let mut bytes = frame.to_vec();
                    if number == message {
                        bytes[at] ^= 1 << (at % 8);
                    }
                    bytes
                };
                // A wrong ephemeral key in the first message is noticed when the second one is read.
                let Ok(second) = listener.frame(&flip(0, &first)).map(reply) else { continue };
                let Ok((third, _, _)) = dialler.frame(&flip(1, &second)).map(done) else { continue };
                assert_eq!(message, 2, "byte {at} of message {message}");
                is_refused(listener.frame(&flip(2, &third.unwrap())));
            }
        }
    }
}

#[test]
fn a_frame_that_is_cut_or_has_a_tail_ends_the_handshake() {
    for message in 0..3 {
        for length in [0, 1, 2, 20, 33, 35, 49, 100, 161, 163, 193, 195, 800, 2000] {
            let Pair { mut dialler, mut listener, first } = pair(None, None);
            let cut = |number: usize, frame: &Bytes| {
                let mut bytes = frame.to_vec();
                if number == message {
                    bytes.resize(length, 0);
                }
                bytes
            };
            let Ok(second) = listener.frame(&cut(0, &first)).map(reply) else { continue };
            let Ok((third, _, _)) = dialler.frame(&cut(1, &second)).map(done) else { continue };
            assert_eq!(message, 2, "{length} bytes");
            is_refused(listener.frame(&cut(2, &third.unwrap())));
        }
    }
}

#[test]
fn what_is_sent_back_to_its_sender_proves_nothing() {
    // The dialler gets its own first message back, and a complete listener's answer made with its own key.
    let Pair { mut dialler, first, .. } = pair(None, None);
    is_refused(dialler.frame(&first));
    // A listener that presents another emitter's proof for the dialler's role.
    let mut thief = LinkKey::new(&SecretKey::from_seed(&[2; KEY_LEN])).unwrap();
    thief.as_listener = thief.as_dialler;
    let (mut dialler, first) = Handshake::dial(link_key(1), None, None).unwrap();
    let mut listener = Handshake::listen(Arc::new(thief), None).unwrap();
    let second = reply(listener.frame(&body(&first)).unwrap());
    is_refused(dialler.frame(&second));
}

#[test]
fn a_proof_holds_for_its_noise_key_only() {
    let mut thief = LinkKey::new(&SecretKey::from_seed(&[5; KEY_LEN])).unwrap();
    let robbed = link_key(2);
    (thief.public, thief.as_dialler, thief.as_listener) = (robbed.public, robbed.as_dialler, robbed.as_listener);
    let thief = Arc::new(thief);
    let (mut dialler, first) = Handshake::dial(Arc::clone(&thief), None, None).unwrap();
    let mut listener = Handshake::listen(link_key(1), None).unwrap();
    let second = reply(listener.frame(&body(&first)).unwrap());
    let third = done(dialler.frame(&second).unwrap()).0.unwrap();
    is_refused(listener.frame(&third));
    let (mut dialler, first) = Handshake::dial(link_key(1), None, None).unwrap();
    let mut listener = Handshake::listen(thief, None).unwrap();
    let second = reply(listener.frame(&body(&first)).unwrap());
    is_refused(dialler.frame(&second));
}

#[test]
fn a_handshake_that_was_recorded_opens_nothing() {
    let Pair { mut dialler, mut listener, first } = pair(None, None);
    let second = reply(listener.frame(&first).unwrap());
    let third = done(dialler.frame(&second).unwrap()).0.unwrap();
    let mut other = Handshake::listen(link_key(2), None).unwrap();
    reply(other.frame(&first).unwrap());
    is_refused(other.frame(&third));
    let (mut other, _) = Handshake::dial(link_key(1), None, None).unwrap();
    is_refused(other.frame(&second));
    // Messages are valid only in their order.
    is_refused(listener.frame(&first));
}

#[test]
fn messages_out_of_turn_and_plain_text_are_refused() {
    let Pair { mut dialler, mut listener, first } = pair(None, None);
    is_refused(listener.frame(&[0, 8, 1, 32, 1]));
    is_refused(listener.frame(&[]));
    is_refused(listener.frame(&[SECURE]));
    is_refused(listener.frame(&[SECURE, 3]));
    let second = reply(listener.frame(&first).unwrap());
    is_refused(dialler.frame(&[0, 8, 1, 32, 1]));
    let third = done(dialler.frame(&second).unwrap()).0.unwrap();
    is_refused(dialler.frame(&second));
    done(listener.frame(&third).unwrap());
    is_refused(listener.frame(&third));
    is_refused(listener.frame(&first));
}

#[test]
fn records_that_are_altered_repeated_left_out_or_sent_back_do_not_open() {
    let refused = |transport: &mut Transport, input: BytesMut| {
        assert_eq!(opened(transport, input).unwrap_err().code(), "ERR_HYPER_INSECURE");
    };
    let length = sealed(&mut linked(None).0, b"hello").len();
    for at in 0..length {
        let (mut ours, mut theirs) = linked(None);
        let mut record = sealed(&mut ours, b"hello");
        record[at] ^= 0x80;
        let (mut input, mut out) = (record, BytesMut::new());
        // A record with a larger length than there are bytes waits for the rest.
        let result = theirs.open(&mut input, &mut out);
        assert!(out.is_empty() && (result.is_err() || at < PREFIX_LEN), "byte {at}");
    }
    let (mut ours, mut theirs) = linked(None);
    let record = sealed(&mut ours, b"hello");
    refused(&mut ours, record.clone());
    assert_eq!(opened(&mut theirs, record.clone()).unwrap(), b"hello");
    refused(&mut theirs, record);
    let (mut ours, mut theirs) = linked(None);
    sealed(&mut ours, b"left out");
    let second = sealed(&mut ours, b"second");
    refused(&mut theirs, second);
    for length in 0..=u16::try_from(TAG_LEN).unwrap() {
        let (_, mut theirs) = linked(None);
        let empty = [&length.to_be_bytes()[..], &[0; TAG_LEN][..usize::from(length)]].concat();
        refused(&mut theirs, BytesMut::from(&empty[..]));
    }
}

#[test]
fn a_record_that_does_not_end_takes_as_much_memory_as_a_record() {
    let (_, mut theirs) = linked(None);
    let (mut input, mut out) = (BytesMut::from(&[0xff, 0xff][..]), BytesMut::new());
    for _ in 0..1000 {
        input.extend_from_slice(&[0; 60]);
        theirs.open(&mut input, &mut out).unwrap();
    }
    assert!(input.capacity() <= 2 * (MAX_RECORD + PREFIX_LEN) && out.capacity() == 0);
}
