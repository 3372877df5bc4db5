use super::*;

#[test]
fn text_of_others_cannot_act_on_a_terminal() {
    let evil = "a\u{1b}[2J\u{9b}31m\u{202e}\u{2066}\u{200f}\u{2028}\n\r\u{7f}\"b";
    let key = Key([0; 32]);
    let messages = [
        Error::Fork { log: evil.into(), seq: 1, ours: key, theirs: key },
        Error::Harmful { log: evil.into(), seq: 1, reason: String::new() },
        Error::TooLarge { name: evil.into(), size: 1, limit: 1 },
        Error::ReservedName(evil.into()),
        Error::damaged(evil, ""),
    ]
    .map(|error| error.to_string());
    for message in &messages {
        assert!(message.contains("\\u{1b}[2J\\u{9b}31m\\u{202e}"), "{message}");
        assert!(message.chars().all(|c| (' '..'\u{7f}').contains(&c)), "{message}");
    }
}

#[test]
fn details_come_as_fields_and_an_import_has_those_of_its_cause() {
    let key = Key([0; 32]);
    let fork = Error::Fork { log: "a".into(), seq: 7, ours: key, theirs: key };
    assert_eq!((fork.details().log, fork.details().seq), (Some("a"), Some(7)));
    let path = Path::new("/store/segment-1");
    let damaged = Error::damaged_file(path, Some(64), "zeros");
    assert_eq!(damaged.details(), Details { path: Some(path), ..Details::default() });
    assert!(damaged.to_string().contains("/store/segment-1 at byte 64: zeros"));
    let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
    let cause = Box::new(Error::storage_at("write to", path, full));
    assert!(cause.to_string().starts_with("write to /store/segment-1: "));
    let import = Error::Import { stopped: String::new(), end: 1, added: 0, cause };
    assert_eq!((import.details().path, import.details().system), (Some(path), Some("ENOSPC")));
    let refused = Error::Connect { target: "h:1".into(), reason: String::new(), system: Some("ECONNREFUSED") };
    assert_eq!((refused.details().address, refused.details().system), (Some("h:1"), Some("ECONNREFUSED")));
}

#[cfg(unix)]
#[test]
fn errors_of_the_system_have_its_number() {
    let full: std::io::Error = rustix::io::Errno::NOSPC.into();
    let details = Error::storage("write", full);
    assert_eq!(details.details().errno, Some(rustix::io::Errno::NOSPC.raw_os_error()));
}
