//! Tags of an event: container field 6, repeated.
//!
//! Emits with tags beyond the bounds are refused. In stored events of others, tags beyond the bounds are ignored, so that every
//! peer reads the same tags and nobody can make an index grow without end.

use bytes::BufMut;
use smallvec::SmallVec;

use super::{put_varint, take_fields, varint_len};
use crate::error::{quoted, Error, Result};

/// Tags of one event. Each is an entry in every peer's index.
pub const MAX_TAGS: usize = 16;

/// Bytes of a tag: enough for a prefix and an id from another system.
pub const MAX_TAG_LEN: usize = 256;

/// Container field of tags.
pub(super) const FIELD: u64 = 6;

/// Tags of one event, in order.
pub type TagList<'a> = SmallVec<[&'a str; 4]>;

/// The tags of a stored event. Parsed only when they are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tags<'a> {
    /// The container from its first tag on.
    rest: &'a [u8],
}

impl<'a> Tags<'a> {
    /// The tags of a container. `rest` is the container from its first tag on.
    pub(crate) fn from(rest: &'a [u8]) -> Self {
        Tags { rest }
    }

    /// Whether there are certainly no tags. They are not parsed for this.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The tags that count: the first sixteen that are text of 1 to 256 bytes and differ from those before.
    #[must_use]
    pub fn list(&self) -> TagList<'a> {
        let mut list = TagList::new();
        for (field, bytes) in take_fields(self.rest) {
            if field != FIELD || !(1..=MAX_TAG_LEN).contains(&bytes.len()) {
                continue;
            }
            match std::str::from_utf8(bytes) {
                Ok(tag) if !list.contains(&tag) => list.push(tag),
                _ => continue,
            }
            if list.len() == MAX_TAGS {
                break;
            }
        }
        list
    }
}

/// Checks tags that are about to be emitted.
///
/// # Errors
/// `InvalidArgument` if there are too many, or if one is empty, too long or repeated.
pub fn check_tags(tags: &[&str]) -> Result<()> {
    let refuse = |why: String| Err(Error::InvalidArgument(why));
    if tags.len() > MAX_TAGS {
        return refuse(format!("an event has {MAX_TAGS} tags at the most, not {}", tags.len()));
    }
    for (index, tag) in tags.iter().enumerate() {
        if !(1..=MAX_TAG_LEN).contains(&tag.len()) {
            return refuse(format!("a tag has 1 to {MAX_TAG_LEN} bytes; {} has {}", quoted(tag), tag.len()));
        }
        if tags.iter().take(index).any(|before| before == tag) {
            return refuse(format!("tag {} occurs twice", quoted(tag)));
        }
    }
    Ok(())
}

/// Appends the container field with one tag.
pub fn put_tag(out: &mut impl BufMut, tag: &str) {
    out.put_u8(u8::try_from(FIELD << 3 | 2).unwrap_or(0));
    put_varint(out, tag.len() as u64);
    out.put_slice(tag.as_bytes());
}

/// Bytes that [`put_tag`] writes.
#[must_use]
pub fn tag_len(tag: &str) -> usize {
    1 + varint_len(tag.len() as u64) + tag.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(tags: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        for tag in tags {
            out.put_u8(0x32);
            put_varint(&mut out, tag.len() as u64);
            out.put_slice(tag);
        }
        out
    }

    #[test]
    fn tags_come_apart_as_they_were_put_together() {
        let mut out = Vec::new();
        put_tag(&mut out, "order:7");
        put_tag(&mut out, "ünï");
        assert_eq!(out.len(), tag_len("order:7") + tag_len("ünï"));
        assert_eq!(out, encoded(&[b"order:7", "ünï".as_bytes()]));
        // Other fields in between are skipped.
        out.extend_from_slice(b"\x38\x05\x42\x01x");
        put_tag(&mut out, "last");
        assert_eq!(Tags::from(&out).list().as_slice(), ["order:7", "ünï", "last"]);
        assert!(Tags::default().is_empty() && Tags::default().list().is_empty());
    }

    #[test]
    fn of_what_others_wrote_only_tags_within_the_bounds_count() {
        let long = vec![b'x'; MAX_TAG_LEN + 1];
        let odd = encoded(&[b"", &long, b"\xff\xfe", b"a", b"b", b"a"]);
        assert_eq!(Tags::from(&odd).list().as_slice(), ["a", "b"]);
        let many: Vec<String> = (0..20).map(|number| number.to_string()).collect();
        let many: Vec<&[u8]> = many.iter().map(String::as_bytes).collect();
        assert_eq!(Tags::from(&encoded(&many)).list().len(), MAX_TAGS);
        let cut = encoded(&[b"whole", b"cut short"]);
        assert_eq!(Tags::from(&cut[..cut.len() - 1]).list().as_slice(), ["whole"]);
    }

    #[test]
    fn tags_beyond_the_bounds_are_refused_with_a_reason() {
        let many: Vec<String> = (0..=MAX_TAGS).map(|number| number.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let [most, long] = [MAX_TAG_LEN, MAX_TAG_LEN + 1].map(|len| "x".repeat(len));
        check_tags(&many[1..]).unwrap();
        check_tags(&[&most]).unwrap();
        check_tags(&[]).unwrap();
        for (tags, why) in [
            (&many[..], "16 tags at the most, not 17"),
            (&[""], "1 to 256 bytes"),
            (&[&*long], "has 257"),
            (&["a", "b", "a"], "twice"),
        ] {
            let error = check_tags(tags).unwrap_err();
            assert_eq!(error.code(), "ERR_HYPER_INVALID_ARG");
            assert!(error.to_string().contains(why), "{error}");
        }
    }
}
