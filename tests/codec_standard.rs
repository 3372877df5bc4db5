//! Compares standard encoding with prost's dynamic messages. `__test__/codec/standard.test.js` checks the same file, so the
//! generated JavaScript, the plan and prost agree on every byte.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // helpers of tests

use hyperemitter::codec::{compile, Sources};
use prost::Message;
use prost_reflect::{DynamicMessage, MessageDescriptor};
use serde_json::Value;

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn for_each(mut check: impl FnMut(&str, &MessageDescriptor, &Value, &[u8])) {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("../__test__/data/standard.json")).unwrap();
    let mut count = 0;
    for vector in &vectors {
        let schema = vector["schema"].as_str().unwrap();
        let compiled = compile(schema, &Sources::default()).unwrap_or_else(|error| panic!("{schema}: {error}"));
        let descriptor = compiled.pool().get_message_by_name("M").unwrap();
        for message in vector["messages"].as_array().unwrap() {
            check(schema, &descriptor, &message["json"], &hex(message["hex"].as_str().unwrap()));
            count += 1;
        }
    }
    assert!(count > 50);
}

#[test]
fn prost_encodes_the_same_json_to_the_same_bytes() {
    for_each(|schema, descriptor, json, bytes| {
        let message = DynamicMessage::deserialize(descriptor.clone(), json.clone())
            .unwrap_or_else(|error| panic!("{schema}: {json}: {error}"));
        // prost leaves zeros out of map entries, and has its own order of them.
        if !schema.contains("map<") {
            assert_eq!(message.encode_to_vec(), bytes, "{schema}: {json}");
        }
    });
}

#[test]
fn prost_decodes_our_bytes_to_the_same_message() {
    for_each(|schema, descriptor, json, bytes| {
        let decoded = DynamicMessage::decode(descriptor.clone(), bytes)
            .unwrap_or_else(|error| panic!("{schema}: {json}: {error}"));
        let expected = DynamicMessage::deserialize(descriptor.clone(), json.clone()).unwrap();
        // Through bytes, where an empty list is the same as none.
        let expected = DynamicMessage::decode(descriptor.clone(), expected.encode_to_vec().as_slice()).unwrap();
        // Not assert_eq: printing a message prints its descriptors, which may be recursive.
        assert!(decoded == expected, "{schema}: {json}");
    });
}
