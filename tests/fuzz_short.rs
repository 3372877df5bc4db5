//! The short, deterministic form of the fuzz targets: seeded noise, and mutations of valid inputs. `npm run fuzz` is the long form.

#[path = "../fuzz/bodies.rs"]
mod bodies;

/// xorshift64*: the same inputs on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[7]
    }

    /// A seed with a few bytes changed, cut out, doubled or added; or noise.
    fn input(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        if self.below(8) == 0 {
            return (0..self.below(300)).map(|_| self.byte()).collect();
        }
        let mut input = seeds[self.below(seeds.len())].clone();
        for _ in 0..self.below(6) {
            if input.is_empty() {
                break;
            }
            let at = self.below(input.len());
            match self.below(4) {
                0 => input[at] = self.byte(),
                1 => drop(input.drain(at..(at + 1 + self.below(8)).min(input.len()))),
                2 => input.insert(at, self.byte()),
                _ => {
                    let again: Vec<u8> = input[at..(at + 1 + self.below(40)).min(input.len())].to_vec();
                    input.splice(at..at, again);
                }
            }
        }
        input
    }
}

fn run(name: &str, seeds: &[Vec<u8>], rounds: u64, body: fn(&[u8])) {
    for round in 0..rounds {
        let input = Random(round + 1).input(seeds);
        if std::panic::catch_unwind(|| body(&input)).is_err() {
            panic!("{name}: round {round} fails on {input:02x?}");
        }
    }
}

/// Whole frames as 1.x sends them: handshake, have, want, a node, sentHeads, sentWants.
fn frames() -> Vec<Vec<u8>> {
    use bytes::BytesMut;
    use hyperemitter::protocol::message::Message;
    let handshake = vec![5, 0, 8, 1, 0x20, 1];
    let have = [&[6, 1, 10, 1][..], b"x", &[16, 5]].concat();
    let want = [&[8, 2, 10, 3][..], b"own", &[16, 1]].concat();
    let key = "6f".repeat(32);
    let value = [&[10, 1][..], b"a", &[18, 2], b"hi"].concat();
    let mut node = [
        &[3, 8, 1, 18, 64][..],
        key.as_bytes(),
        &[26, 3],
        b"own",
        &[32, 4, 42, 7][..],
        &value,
        &[50, 64],
        key.as_bytes(),
    ]
    .concat();
    let prefix = [u8::try_from(node.len() % 128).unwrap() | 0x80, u8::try_from(node.len() / 128).unwrap()];
    node.splice(0..0, prefix);
    let mut markers = BytesMut::new();
    Message::SentHeads.encode(&mut markers);
    Message::SentWants.encode(&mut markers);
    let parts = [handshake, have, want, markers.to_vec(), node];
    let mut seeds: Vec<Vec<u8>> = parts.to_vec();
    seeds.push(parts.concat());
    seeds.iter_mut().for_each(|seed| seed.insert(0, 0));
    seeds
}

/// The golden frames of the extension, each alone and all together, for a session past a 2.x handshake.
fn extensions() -> Vec<Vec<u8>> {
    let golden: std::collections::BTreeMap<String, String> =
        serde_json::from_str(include_str!("data/wire/extension.json")).unwrap();
    let mut seeds: Vec<Vec<u8>> = golden
        .values()
        .map(|hex| (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect())
        .collect();
    seeds.push(seeds.concat());
    seeds.iter_mut().for_each(|seed| seed.insert(0, 8));
    seeds
}

#[test]
fn a_2x_peer_may_say_anything() {
    run("frame", &extensions(), 20_000, bodies::frame);
    run("session", &extensions(), 10_000, bodies::session);
}

#[test]
fn the_seeds_mean_what_they_should() {
    use hyperemitter::protocol::{frame, message::Message};
    let mut input = bytes::BytesMut::from(&frames()[5][1..]);
    let mut seen = Vec::new();
    while let Some(frame) = frame::split(&mut input, 1 << 20).unwrap() {
        seen.push(match Message::decode(&frame).unwrap() {
            Message::Handshake(_) => "handshake",
            Message::Have(_) => "have",
            Message::Want(_) => "want",
            Message::Node(_) => "node",
            Message::SentHeads => "sentHeads",
            Message::SentWants => "sentWants",
            Message::Extension(..) | Message::Empty => "other",
        });
    }
    assert_eq!(seen, ["handshake", "have", "want", "sentHeads", "sentWants", "node"]);
    assert!(input.is_empty());
}

#[test]
fn frames_from_anywhere_never_panic_and_reserve_no_more_than_they_bring() {
    run("frame", &frames(), 100_000, bodies::frame);
}

#[test]
fn a_peer_may_say_anything() {
    run("session", &frames(), 100_000, bodies::session);
}

#[test]
fn containers_from_anywhere_decode_or_are_refused() {
    let event = [&[10, 9][..], b"userAdded", &[18, 4, 8, 1, 18, 0, 26, 12], &[9; 12], &[32, 5, 40, 1]].concat();
    run("event", &[event, vec![10, 0, 18, 0]], 200_000, bodies::event);
}

#[test]
fn schemas_from_anywhere_compile_or_are_refused() {
    let texts = [
        "message a { required int32 id = 1; repeated string s = 2 [packed=true, default = \"x\"]; enum E { A = 0; B = 1; } optional E e = 3; }",
        "syntax = \"proto3\";\npackage p;\nimport \"google/protobuf/any.proto\";\nmessage M { map<string, M> m = 1; oneof o { bytes b = 2; double d = 3; } reserved 4, 5 to 9; }",
        "message old { extensions 100 to max; int32 unlabelled = 1; } extend old { optional int32 more = 100; } // end\nservice S { rpc Call (old) returns (old) {} }",
    ];
    run("schema", &texts.map(|text| text.as_bytes().to_vec()), 10_000, bodies::schema);
}

#[test]
fn schemas_of_peers_are_compared_or_refused() {
    run("peer_schema", &[bodies::OUR_SCHEMA.as_bytes().to_vec()], 50_000, bodies::peer_schema);
}

#[test]
fn a_handshake_that_was_altered_anywhere_is_taken_by_nobody() {
    let seeds: Vec<Vec<u8>> = (0..=255).map(|setup| [vec![setup], frames().concat()].concat()).collect();
    run("handshake", &seeds, 2_000, bodies::handshake);
}

#[test]
fn nothing_comes_out_of_a_secure_link_but_what_was_sent() {
    let seeds = vec![vec![3], vec![200, 0, 17], [vec![1, 0xff, 0xff], vec![7; 400]].concat(), frames().concat()];
    run("records", &seeds, 1_000, bodies::records);
}
