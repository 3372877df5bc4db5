//! Terms, by which events are found. A term is a hash of a name, a tag or a request's id; an index maps it to rows.
//!
//! A hash has 40 bits and is keyed with a secret of the store, so that nobody can make terms collide. An accidental collision
//! only costs a read: every row that is found is compared with the event itself.

mod join;
mod rows;

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

pub(crate) use self::join::{Join, Postings};
pub(crate) use self::rows::{Run, Runs, TermRows};
use crate::event;
use crate::query::Query;

/// Bits of a term. Among two million terms, one look-up in half a million also finds rows of another term.
pub(crate) const TERM_BITS: u32 = 40;

/// The kind of a term. Part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An event's name, as text; bytes that are not UTF-8 are replaced.
    Name = 0,
    /// One of its tags.
    Tag = 1,
    /// The id of the request that brought it.
    Request = 2,
}

/// A hash of one property by which an event can be found.
pub(crate) type Term = u64;

/// Makes terms of events; each store has a key of its own. Events come in runs of one name, so the last one is remembered.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    hasher: SipHasher13,
    name: Vec<u8>,
    name_term: Term,
}

impl Terms {
    /// Terms of the store with this secret.
    pub(crate) fn new(secret: &[u8; 16]) -> Self {
        let mut terms = Terms { hasher: SipHasher13::new_with_key(secret), name: Vec::new(), name_term: 0 };
        terms.name_term = terms.of(Kind::Name, b"");
        terms
    }

    /// The term of one property.
    pub(crate) fn of(&self, kind: Kind, bytes: &[u8]) -> Term {
        let mut hasher = self.hasher;
        hasher.write(&[kind as u8]);
        hasher.write(bytes);
        hasher.finish() >> (u64::BITS - TERM_BITS)
    }

    /// Passes the terms of an event to `tell`, starting with the term of its name. A value that is not a container has none.
    pub(crate) fn of_value(&mut self, value: &[u8], mut tell: impl FnMut(Term)) {
        let Some(event) = event::parse(value) else { return };
        if self.name != event.name {
            self.name_term = self.of(Kind::Name, String::from_utf8_lossy(event.name).as_bytes());
            self.name.clear();
            self.name.extend_from_slice(event.name);
        }
        tell(self.name_term);
        if !event.tags.is_empty() {
            event.tags.list().iter().for_each(|tag| tell(self.of(Kind::Tag, tag.as_bytes())));
        }
        if let Some(request) = event.request {
            tell(self.of(Kind::Request, request));
        }
    }

    /// Which terms to look up for a query.
    pub(crate) fn plan(&self, query: &Query) -> Plan {
        let of = |kind, texts: &[Box<str>]| texts.iter().map(|text| self.of(kind, text.as_bytes())).collect::<Vec<_>>();
        let item = |item: &crate::query::Item| {
            // Tags first: they are rarer, and an item with a tag that no event has needs no further look-ups.
            let mut groups: Vec<_> = of(Kind::Tag, &item.tags).into_iter().map(|tag| vec![tag]).collect();
            if !item.names.is_empty() {
                groups.push(of(Kind::Name, &item.names));
            }
            groups
        };
        Plan(query.items().iter().map(item).collect())
    }

    /// Which terms to look up for the events of a request.
    pub(crate) fn plan_request(&self, id: &[u8]) -> Plan {
        Plan(vec![vec![vec![self.of(Kind::Request, id)]]])
    }
}

/// Terms to look up: a list of alternatives. Each alternative is a list of groups, and each group a list of terms. A row is a
/// candidate if, for one alternative, it has a term of every group.
#[derive(Clone, Debug)]
pub(crate) struct Plan(pub(crate) Vec<Vec<Vec<Term>>>);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{encode_tagged, put_tag, Encoding, ID_LEN};

    fn terms_of(terms: &mut Terms, value: &[u8]) -> Vec<Term> {
        let mut told = Vec::new();
        terms.of_value(value, |term| told.push(term));
        told
    }

    #[test]
    fn an_event_has_the_terms_of_its_name_its_tags_and_its_request() {
        let mut terms = Terms::new(&[7; 16]);
        let (mut value, mut tags) = (Vec::new(), Vec::new());
        ["a", "b"].iter().for_each(|tag| put_tag(&mut tags, tag));
        encode_tagged(&mut value, "a", b"", &[0; ID_LEN], 1, Encoding::V1, &tags);
        value.extend_from_slice(b"\x42\x01a");
        let wanted = [(Kind::Name, "a"), (Kind::Tag, "a"), (Kind::Tag, "b"), (Kind::Request, "a")];
        let wanted = wanted.map(|(kind, text)| terms.of(kind, text.as_bytes()));
        assert_eq!(terms_of(&mut terms, &value), wanted);
        assert!(wanted.iter().all(|term| term >> TERM_BITS == 0));
        assert_eq!(wanted.iter().collect::<std::collections::HashSet<_>>().len(), 4, "kinds are apart");
        assert!(terms_of(&mut terms, b"no container").is_empty());
        let [spoilt, replaced] = [&b"\x0a\x02x\xff\x12\x00"[..], "\x0a\x04x\u{FFFD}\x12\x00".as_bytes()];
        assert_eq!(terms_of(&mut terms, spoilt), terms_of(&mut terms, replaced), "a name is what 1.x reads");
    }

    /// Indexes on disk contain these hashes, so they must not change.
    #[test]
    fn terms_stay_what_they_are() {
        let terms = Terms::new(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
        let found = [Kind::Name, Kind::Tag, Kind::Request].map(|kind| terms.of(kind, b"order:7"));
        assert_eq!(found.map(|term| format!("{term:010x}")), ["56c900e526", "67f6874514", "a87f524edc"]);
    }

    #[test]
    fn nobody_who_does_not_know_the_store_can_choose_a_term() {
        let [one, other] = [[1; 16], [2; 16]].map(|secret| Terms::new(&secret));
        let same =
            (0..1000_u32).filter(|n| one.of(Kind::Tag, &n.to_le_bytes()) == other.of(Kind::Tag, &n.to_le_bytes()));
        assert_eq!(same.count(), 0);
    }
}
