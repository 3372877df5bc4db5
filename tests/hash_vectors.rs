//! Node keys against hashes recorded from hyperlog 4.12.1.

use hyperemitter::node::{key_of, Key};
use serde_json::Value;

fn value_of(value: &Value) -> Vec<u8> {
    let hex = |text: &str| {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect::<Vec<u8>>()
    };
    match value {
        Value::String(text) => hex(text),
        repeated => hex(repeated["repeat"].as_str().unwrap())
            .repeat(usize::try_from(repeated["count"].as_u64().unwrap()).unwrap()),
    }
}

#[test]
fn every_recorded_key_is_reproduced() {
    let recorded: Value = serde_json::from_str(include_str!("data/hash.json")).unwrap();
    let cases = recorded["cases"].as_array().unwrap();
    assert!(cases.len() > 50, "the recording is complete");
    for case in cases {
        let links: Vec<Key> =
            case["links"].as_array().unwrap().iter().map(|link| link.as_str().unwrap().parse().unwrap()).collect();
        let key = key_of(&links, &value_of(&case["value"]));
        assert_eq!(key.to_string(), case["key"].as_str().unwrap(), "{}", case["name"]);
    }
}
