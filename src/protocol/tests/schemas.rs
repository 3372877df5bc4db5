//! Peers whose schemas differ.

use super::*;
use crate::schema::{ToldSchema, MAX_SCHEMA};

fn told(kind: &str) -> Arc<ToldSchema> {
    let fields = format!(r#"[["price",3,"{kind}",""]]"#);
    let text = format!(r#"{{"events":[["order",0,1]],"types":[{{"name":"Order","fields":{fields}}}]}}"#);
    Arc::new(ToldSchema::new(text.into()).unwrap())
}

fn config(schema: Option<&Arc<ToldSchema>>) -> Config {
    Config { schema: schema.cloned(), ..Config::new(true, reason_unsafe_for_v1) }
}

/// Between a side with `ours` and a peer with `theirs`.
fn meeting(ours: Option<&Arc<ToldSchema>>, theirs: Option<&Arc<ToldSchema>>) -> Scene {
    let mut scene = Scene::new(config(ours));
    let metadata = Capability::ours(&config(theirs), "theirs".into()).encode();
    let handshake = Handshake { version: 1, mode: Mode::Sync, metadata: Some(&metadata), live: Some(true) };
    scene.hear(&Message::Handshake(handshake));
    scene
}

/// The schemas sent, as text.
fn sent(scene: &Scene) -> Vec<Vec<u8>> {
    let mut sent = Vec::new();
    for out in &scene.out {
        let OutEvent::Send(bytes) = out else { continue };
        let mut bytes = BytesMut::from(&bytes[..]);
        while let Some(frame) = frame::split(&mut bytes, usize::MAX).unwrap() {
            let Ok(Message::Extension(kind, body)) = Message::decode(&frame) else { continue };
            if let Ok(Extension::Schema(text)) = Extension::decode(kind, body) {
                sent.push(text.to_vec());
            }
        }
    }
    sent
}

fn warnings(scene: &Scene) -> Vec<String> {
    let warning = |out: &OutEvent| match out {
        OutEvent::Report(error @ Error::SchemaDrift { .. }) => Some(error.to_string()),
        _ => None,
    };
    scene.out.iter().filter_map(warning).collect()
}

#[test]
fn schemas_are_sent_only_to_peers_that_have_another_one() {
    let (number, text) = (told("uint32"), told("string"));
    assert_eq!(sent(&meeting(Some(&number), Some(&text))), std::slice::from_ref(&number.text));
    for (ours, theirs) in [(Some(&number), Some(&number)), (Some(&number), None), (None, Some(&text)), (None, None)] {
        assert!(sent(&meeting(ours, theirs)).is_empty());
    }
}

#[test]
fn a_contradiction_is_told_on_both_sides_once_and_names_the_peer() {
    let (number, text) = (told("uint32"), told("string"));
    let expected = |theirs: &str, ours: &str| {
        format!(
            "the schema of the peer that writes log \"theirs\" contradicts this emitter's: \
             order.price: the peer's is {theirs} = 3, ours {ours} = 3"
        )
    };
    for (ours, theirs, words) in
        [(&number, &text, expected("string", "uint32")), (&text, &number, expected("uint32", "string"))]
    {
        let mut scene = meeting(Some(ours), Some(theirs));
        scene.hear_extension(&Extension::Schema(&theirs.text));
        assert_eq!(warnings(&scene), [words.as_str()]);
        scene.hear_extension(&Extension::Schema(&theirs.text));
        assert_eq!(warnings(&scene), [words]);
        assert!(scene.closed().is_none());
    }
}

#[test]
fn what_only_the_peer_cannot_read_is_a_contradiction_too() {
    let lax = told("uint32");
    let text = String::from_utf8(lax.text.clone()).unwrap().replace(r#""uint32","""#, r#""uint32","required""#);
    let strict = Arc::new(ToldSchema::new(text.into()).unwrap());
    for (ours, theirs) in [(&lax, &strict), (&strict, &lax)] {
        let mut scene = meeting(Some(ours), Some(theirs));
        scene.hear_extension(&Extension::Schema(&theirs.text));
        assert_eq!(warnings(&scene).len(), 1);
    }
}

#[test]
fn schemas_that_can_read_each_other_are_no_contradiction() {
    let (number, larger) = (told("uint32"), told("int64"));
    let mut scene = meeting(Some(&number), Some(&larger));
    scene.hear_extension(&Extension::Schema(&larger.text));
    assert!(warnings(&scene).is_empty() && scene.closed().is_none());
}

#[test]
fn a_schema_that_cannot_be_read_or_is_too_large_or_was_not_asked_for_is_passed_over() {
    let (number, text) = (told("uint32"), told("string"));
    let large = [&text.text[..], &vec![b' '; MAX_SCHEMA]].concat();
    for bytes in [&b"no schema"[..], b"", &large, &[0xff; 100]] {
        let mut scene = meeting(Some(&number), Some(&text));
        scene.hear_extension(&Extension::Schema(bytes));
        assert!(warnings(&scene).is_empty() && scene.closed().is_none());
    }
    let mut scene = meeting(None, Some(&text));
    scene.hear_extension(&Extension::Schema(&text.text));
    assert!(warnings(&scene).is_empty() && scene.closed().is_none());
}
