use super::*;

/// A schema of one event, `order`, whose message has these fields; `types` follow it, from index 1.
fn order(fields: &str, types: &str, standard: u8) -> String {
    format!(r#"{{"events":[["order",0,{standard}]],"types":[{{"name":"Order","fields":[{fields}]}}{types}]}}"#)
}

fn parse(text: &str) -> Schema {
    Schema::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn told(reader: &str, writer: &str) -> String {
    unreadable(&parse(reader), &parse(writer)).in_words("was", "is")
}

/// Whether a field of one kind is read as the other, in standard protobuf and in 1.x's encoding.
fn reads(reader: &str, writer: &str) -> [bool; 2] {
    let types = r#",{"name":"M","fields":[]},{"name":"E","values":[["A","0"]]}"#;
    [1, 0].map(|standard| {
        let [ours, theirs] = [reader, writer].map(|kind| order(&format!(r#"["f",1,{kind}]"#), types, standard));
        told(&ours, &theirs).is_empty()
    })
}

#[test]
fn types_are_exchanged_by_protobufs_rules() {
    let groups = [
        vec!["int32", "uint32", "int64", "uint64", "bool"],
        vec!["sint32", "sint64"],
        vec!["fixed32", "sfixed32"],
        vec!["fixed64", "sfixed64"],
        vec!["string", "bytes"],
        vec!["float"],
        vec!["double"],
    ];
    for (a, ours) in groups.iter().enumerate() {
        for (b, theirs) in groups.iter().enumerate() {
            for (reader, writer) in ours.iter().flat_map(|ours| theirs.iter().map(move |theirs| (ours, theirs))) {
                let found = reads(&format!(r#""{reader}","""#), &format!(r#""{writer}","""#));
                assert_eq!(found, [a == b; 2], "{writer} read as {reader}");
            }
        }
    }
    // An enum is a number, a message is bytes.
    assert_eq!(reads(r#"2,"""#, r#""int64","""#), [true; 2]);
    assert_eq!(reads(r#""bool","""#, r#"2,"""#), [true; 2]);
    assert_eq!(reads(r#"2,"""#, r#""sint32","""#), [false; 2]);
    assert_eq!(reads(r#"1,"""#, r#""bytes","""#), [true; 2]);
    assert_eq!(reads(r#""bytes","""#, r#"1,"""#), [true; 2]);
    assert_eq!(reads(r#"1,"""#, r#""string","""#), [false; 2]);
    assert_eq!(reads(r#"1,"""#, r#"2,"""#), [false; 2]);
    // Types that a later version may have.
    assert_eq!(reads(r#""decimal","""#, r#""decimal","""#), [true; 2]);
    assert_eq!(reads(r#""decimal","""#, r#""int32","""#), [false; 2]);
    // Groups are messages in 1.x's encoding. Bare messages have no length.
    assert_eq!(reads(r#"1,"group""#, r#"1,"""#), [false, true]);
    assert_eq!(reads(r#"1,"bare""#, r#"1,"""#), [false; 2]);
}

#[test]
fn lists_are_read_packed_or_not_in_standard_protobuf_and_in_1x_only_as_they_were_written() {
    let forms = [r#""int32","""#, r#""int32","repeated""#, r#""int32","repeated packed""#];
    let expected = [
        // Read as a single number, as a list, as a packed list.
        [[true, true], [true, true], [true, false]],
        [[true, true], [true, true], [true, false]],
        [[false, false], [true, false], [true, true]],
    ];
    for (writer, expected) in forms.iter().zip(expected) {
        for (reader, expected) in forms.iter().zip(expected) {
            assert_eq!(reads(reader, writer), expected, "{writer} read as {reader}");
        }
    }
    assert_eq!(reads(r#"1,"repeated map""#, r#"1,"repeated""#), [true; 2]);
}

#[test]
fn a_schema_that_is_described_for_the_other_encoding_differs_in_its_types_only() {
    let types = r#",{"name":"M","fields":[]}"#;
    for [one, other] in [
        [r#""int32","repeated""#, r#""int32","repeated packed""#],
        [r#""int32","""#, r#""int32","repeated packed""#],
        [r#"1,"""#, r#"1,"bare""#],
    ] {
        for (reader, writer) in [(one, other), (other, one)] {
            for standard in [0, 1] {
                let [ours, theirs] = [(reader, 1 - standard), (writer, standard)]
                    .map(|(kind, standard)| order(&format!(r#"["f",1,{kind}]"#), types, standard));
                assert_eq!(told(&ours, &theirs), "");
            }
        }
    }
    let [ours, theirs] =
        [("int32", 1), ("string", 0)].map(|(kind, standard)| order(&format!(r#"["f",1,"{kind}",""]"#), "", standard));
    assert_eq!(told(&ours, &theirs), "order.f: was string = 1, is int32 = 1");
}

#[test]
fn an_enum_value_that_is_gone_is_told_for_1x_encoding_which_refuses_it() {
    let kinds = |values: &str, standard: u8| {
        order(
            r#"["a",1,1,""],["b",2,2,"repeated"]"#,
            &format!(r#",{{"name":"M","fields":[["kind",5,2,""]]}},{{"name":"Kind","values":[{values}]}}"#),
            standard,
        )
    };
    let (all, fewer, renamed) =
        (r#"["SALE","0"],["GIFT","1"],["NONE","-1"]"#, r#"["SALE","0"]"#, r#"["B","1"],["A","0"]"#);
    assert_eq!(
        told(&kinds(fewer, 0), &kinds(all, 0)),
        "order.b: was repeated Kind = 2 with GIFT = 1, is repeated Kind = 2 without it"
    );
    assert_eq!(told(&kinds(fewer, 1), &kinds(all, 1)), "");
    // The encoding is that of the events.
    assert_ne!(told(&kinds(fewer, 1), &kinds(all, 0)), "");
    assert_eq!(told(&kinds(all, 0), &kinds(fewer, 0)), "");
    // Negative values cannot be written.
    assert_eq!(told(&kinds(renamed, 0), &kinds(all, 0)), "");
}

#[test]
fn a_difference_is_told_with_the_path_of_its_field() {
    let line = |kind: &str| format!(r#",{{"name":"Line","fields":[["price",3,"{kind}",""]]}}"#);
    let fields = r#"["lines",1,1,"repeated"]"#;
    assert_eq!(
        told(&order(fields, &line("string"), 1), &order(fields, &line("uint32"), 1)),
        "order.lines.price: was uint32 = 3, is string = 3"
    );
    let packed = r#"["counts",7,"uint32","repeated packed"]"#;
    assert_eq!(
        told(&order(r#"["counts",7,1,""]"#, r#",{"name":"M","fields":[]}"#, 1), &order(packed, "", 1)),
        "order.counts: was repeated uint32 = 7, packed, is M = 7"
    );
}

#[test]
fn added_removed_and_renamed_fields_are_read_and_added_required_ones_are_not() {
    let [old, renamed] = ["a", "b"].map(|name| order(&format!(r#"["{name}",1,"int32",""]"#), "", 1));
    let more = order(r#"["a",1,"int32",""],["b",2,"string","repeated"]"#, "", 1);
    let strict = order(r#"["a",1,"int32",""],["b",2,"string","required"]"#, "", 1);
    let tighter = order(r#"["a",1,"int32","required"]"#, "", 1);
    for (reader, writer) in [(&more, &old), (&old, &more), (&renamed, &old), (&old, &strict), (&strict, &strict)] {
        assert_eq!(told(reader, writer), "");
    }
    assert_eq!(told(&strict, &old), "order.b: was not there, is required string = 2");
    assert_eq!(told(&strict, &more), "order.b: was repeated string = 2, is required string = 2");
    assert_eq!(told(&tighter, &old), "order.a: was int32 = 1, is required int32 = 1");
    // Another event of the same type is another event.
    assert_eq!(told(&old.replace("order", "sale"), &strict), "");
}

#[test]
fn what_differs_in_a_message_of_several_events_is_told_once_as_a_part_of_the_first() {
    let shop = |kind: &str| {
        let line = format!(r#"{{"name":"Line","fields":[["price",3,"{kind}",""]]}}"#);
        let user = |name: &str| format!(r#"{{"name":"{name}","fields":[["line",1,0,""]]}}"#);
        let events = r#"["Line",0,1],["order",1,1],["sale",2,1]"#;
        format!(r#"{{"events":[{events}],"types":[{line},{},{}]}}"#, user("order"), user("sale"))
    };
    assert_eq!(told(&shop("string"), &shop("uint32")), "order.line.price: was uint32 = 3, is string = 3");
    // An event that is a part of nothing else.
    let only = shop("string").replace(r#"["Line",0,1],"#, "");
    assert_eq!(told(&only, &shop("uint32")), "order.line.price: was uint32 = 3, is string = 3");
}

#[test]
fn recursive_types_are_compared_once() {
    let tree = |kind: &str| order(&format!(r#"["left",1,0,""],["right",2,0,""],["value",3,"{kind}",""]"#), "", 1);
    assert_eq!(told(&tree("int32"), &tree("uint32")), "");
    assert_eq!(told(&tree("int32"), &tree("string")), "order.value: was string = 3, is int32 = 3");
}

#[test]
fn what_a_hostile_schema_costs_is_bounded() {
    // The types of one side refer to each other in another order than those of the other side, so every pair of them is reached.
    let many = |kind: &str, count: usize, turns: usize| {
        let each = |index: usize| {
            let to = |n: usize| (n + turns * index) % count;
            let fields: Vec<String> = (0..count).map(|n| format!(r#"["f{n}",{},{},""]"#, n + 2, to(n))).collect();
            format!(r#"{{"name":"M","fields":[["y",1,"{kind}",""],{}]}}"#, fields.join(","))
        };
        let types: Vec<String> = (0..count).map(each).collect();
        parse(&format!(r#"{{"events":[["order",0,1]],"types":[{}]}}"#, types.join(",")))
    };
    let found = unreadable(&many("int32", 60, 0), &many("string", 60, 1));
    assert_eq!(found.first.len(), MAX_DIFFERENCES);
    // Each visit looks at 122 fields, and finds one difference.
    assert!((300..MAX_COMPARED / 122).contains(&found.more), "{}", found.more);

    // Enums count as well.
    let values = vec![r#"["A","1"]"#; 40_000].join(",");
    let enums = |field: &str| {
        let kinds = format!(r#",{{"name":"E","values":[{values}]}},{{"name":"M","fields":[["e",1,1,""]]}}"#);
        order(&format!(r#"["a",1,1,""],["b",2,2,""]{field}"#), &kinds, 0)
    };
    assert_eq!(told(&enums(""), &enums("").replace(r#""A","1""#, r#""A","2""#)), "");

    // Each difference of one schema counts, also if it has the same words as others.
    let same = vec![r#"["f",3,"int32","required"]"#; 1_000].join(",");
    let found = unreadable(&parse(&order(&same, "", 1)), &parse(&order("", "", 1)));
    assert_eq!((found.first.len(), found.more), (MAX_DIFFERENCES, 1_000 - MAX_DIFFERENCES));

    // A chain is followed as deep as decoders go.
    let chain = |kind: &str, length: usize| {
        let next = |n: usize| format!(r#"{{"name":"M","fields":[["next",1,{},""]]}},"#, n + 1);
        let types: String = (0..length).map(next).collect();
        format!(r#"{{"events":[["order",0,1]],"types":[{types}{{"name":"End","fields":[["f",1,"{kind}",""]]}}]}}"#)
    };
    assert!(told(&chain("int32", MAX_DEPTH), &chain("string", MAX_DEPTH)).contains('…'));
    assert_eq!(told(&chain("int32", 2_000), &chain("string", 2_000)), "");

    // Names are shown cut, and without what could control a terminal.
    let name = format!("\\u001b[31m{}", "n".repeat(1_000));
    let words = told(&order(r#"["a",1,"int32",""]"#, "", 1), &order(&format!(r#"["{name}",1,"{name}",""]"#), "", 1));
    assert!(words.len() < 400 && !words.contains('\u{1b}'), "{words}");
}

#[test]
fn text_that_is_no_schema_is_refused() {
    for text in [
        "",
        "[]",
        r#"{"events":[["order",1,1]],"types":[{"name":"M","fields":[]}]}"#,
        r#"{"events":[["order",0,1]],"types":[{"name":"E","values":[]}]}"#,
        r#"{"events":[],"types":[{"name":"M","fields":[["f",1,1,""]]}]}"#,
        r#"{"events":[],"types":[{"name":"M","fields":[["f",-1,"int32",""]]}]}"#,
        &format!(r#"{{"events":{}"#, "[".repeat(10_000)),
    ] {
        assert_eq!(Schema::parse(text.as_bytes()).unwrap_err().code(), "ERR_HYPER_INVALID_ARG", "{text}");
    }
    // Additions of later versions are ignored.
    let later = order(r#"["a",1,"int32",""]"#, "", 1).replacen('{', r#"{"since":[[[1]]],"#, 1);
    assert_eq!(parse(&later), parse(&order(r#"["a",1,"int32",""]"#, "", 1)));
}

#[test]
fn a_record_has_one_form_of_each_event_unless_they_contradict() {
    let list =
        |forms: &[&String]| format!("[{}]", forms.iter().map(|form| form.as_str()).collect::<Vec<_>>().join(","));
    let old = order(r#"["a",1,"int32",""]"#, "", 1);
    let more = order(r#"["a",1,"int32",""],["b",2,"string",""]"#, "", 1);
    let other = order(r#"["a",1,"string",""]"#, "", 1);
    let lax = order(r#"["a",1,"int32",""]"#, "", 0);
    let count = |record: &str| serde_json::from_str::<Vec<Schema>>(record).unwrap().len();

    let first = record("", &list(&[&old])).unwrap().unwrap();
    assert_eq!(record(&first, &list(&[&old])).unwrap(), None);
    let second = record(&first, &list(&[&more])).unwrap().unwrap();
    assert_eq!(count(&second), 1);
    // The emitter before an upgrade writes what is known.
    assert_eq!(record(&second, &list(&[&old])).unwrap(), None);
    let third = record(&second, &list(&[&other, &lax])).unwrap().unwrap();
    assert_eq!(count(&third), 3);
    let found = stored_differences(&third, &old, &[]).unwrap();
    assert_eq!(found.in_words("was", "is"), "order.a: was string = 1, is int32 = 1");
    let sale = old.replace("order", "sale");
    let found = stored_differences(&first, &sale, &["order".to_owned()]).unwrap();
    assert_eq!(found.in_words("was", "is"), "order: was message Order, is not in the schema");
    assert!(stored_differences(&first, &sale, &[]).unwrap().is_empty());
}

#[test]
fn a_form_that_requires_more_or_is_too_large_to_compare_is_recorded_beside_the_others() {
    let count = |record: &str| serde_json::from_str::<Vec<Schema>>(record).unwrap().len();
    let (old, strict) =
        (order(r#"["a",1,"int32",""]"#, "", 1), order(r#"["a",1,"int32",""],["b",2,"int32","required"]"#, "", 1));
    let first = record("", &format!("[{old}]")).unwrap().unwrap();
    let both = record(&first, &format!("[{strict}]")).unwrap().unwrap();
    assert_eq!(count(&both), 2);
    // Both forms lack the same field, which is told once.
    let stricter = order(r#"["c",3,"int32","required"]"#, "", 1);
    let found = stored_differences(&both, &stricter, &[]).unwrap();
    assert_eq!(found.in_words("was", "is"), "order.c: was not there, is required int32 = 3");

    // What is not compared to the end is not taken as known; here both forms together exceed the record.
    let values = vec![r#"["",""]"#; MAX_COMPARED / 2].join(",");
    let large = order(r#"["k",1,1,""]"#, &format!(r#",{{"name":"","values":[{values}]}}"#), 0);
    assert!(record(&format!("[{large}]"), &format!("[{large}]")).is_err());
}

#[test]
fn a_record_has_all_values_of_enums() {
    let form = |values: &str| {
        format!("[{}]", order(r#"["k",1,1,""]"#, &format!(r#",{{"name":"Kind","values":[{values}]}}"#), 0))
    };
    let (old, more) = (form(r#"["SALE","0"]"#), form(r#"["SALE","0"],["GIFT","1"]"#));
    let first = record("", &old).unwrap().unwrap();
    let second = record(&first, &more).unwrap().unwrap();
    assert_eq!(second, more);
    assert_eq!(record(&second, &old).unwrap(), None);
}

#[test]
fn differences_that_only_one_direction_finds_are_counted() {
    let all: Vec<String> =
        (1..=MAX_DIFFERENCES + 4).map(|tag| format!(r#"["f{tag}",{tag},"int32","required"]"#)).collect();
    let (strict, lax) = (parse(&order(&all.join(","), "", 1)), parse(&order("", "", 1)));
    let found = unreadable(&lax, &strict).with_reverse(unreadable(&strict, &lax));
    assert_eq!((found.first.len(), found.more), (MAX_DIFFERENCES, 4));
    // Those that both directions find count once.
    let other = parse(&order(&all.join(",").replace("int32", "string"), "", 1));
    let found = unreadable(&other, &strict).with_reverse(unreadable(&strict, &other));
    assert_eq!((found.first.len(), found.more), (MAX_DIFFERENCES, 4));
}

#[test]
fn a_record_is_bounded_in_forms_and_bytes() {
    let form = |tag: usize| format!("[{}]", order(&format!(r#"["a",{tag},"int32",""]"#), "", 1));
    let mut text = String::new();
    for tag in 1..=MAX_VERSIONS + 3 {
        text = record(&text, &form(tag)).unwrap().unwrap();
    }
    assert_eq!(serde_json::from_str::<Vec<Schema>>(&text).unwrap().len(), MAX_VERSIONS);
    assert_eq!(record(&text, &form(MAX_VERSIONS + 3)).unwrap(), None);
    let large = format!("[{}]", order(&format!(r#"["{}",99,"int32",""]"#, "n".repeat(MAX_STORED)), "", 1));
    assert!(record(&text, &large).unwrap_err().to_string().contains("the limit is 262144"));
}
