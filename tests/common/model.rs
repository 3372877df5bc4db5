//! A plain model of a log with batches, conditions and ids, and random appends with which a log is compared to it.

use std::collections::HashMap;

use hyperemitter::event::{self, Encoding};
use hyperemitter::hyperlog::{AckKind, Batch, Condition, Demands};
use hyperemitter::query::{Item, Query};
use hyperemitter::store::conformance::Random;
use hyperemitter::store::Row;

const NAMES: [&str; 3] = ["a", "b", "c"];
const TAGS: [&str; 8] = ["tag:0", "tag:1", "tag:2", "tag:3", "tag:4", "tag:5", "tag:6", "tag:7"];

/// Most events of a random append.
const MOST: usize = 3;

/// Ids from which appends choose. Few, so that most of them are used again.
const IDS: usize = 40;

/// An event without what the log adds to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Plain {
    pub name: String,
    pub payload: String,
    pub tags: Vec<String>,
}

impl Plain {
    /// The event in a row.
    pub fn of(row: &Row) -> Self {
        let event = event::decode(&row.node.value).unwrap();
        Plain {
            name: event.name.to_string(),
            payload: String::from_utf8_lossy(event.payload).into_owned(),
            tags: event.tags.list().iter().map(ToString::to_string).collect(),
        }
    }

    fn random(random: &mut Random, payload: String) -> Self {
        let mut tags: Vec<usize> = (0..random.below(3)).map(|at| (at * 3 + random.below(3)).min(7)).collect();
        tags.dedup();
        Plain {
            name: NAMES[random.below(NAMES.len())].to_owned(),
            payload,
            tags: tags.into_iter().map(|tag| TAGS[tag].to_owned()).collect(),
        }
    }

    fn matches(&self, item: &Item) -> bool {
        (item.names.is_empty() || item.names.iter().any(|name| **name == *self.name))
            && item.tags.iter().all(|tag| self.tags.iter().any(|one| **one == **tag))
    }
}

/// A query with one item, which matches some of the random events.
pub fn random_query(random: &mut Random) -> Query {
    let names = NAMES.iter().filter(|_| random.below(3) == 0).map(|name| Box::from(*name)).collect::<Vec<_>>();
    let mut tags = TAGS.iter().filter(|_| random.below(6) == 0).map(|tag| Box::from(*tag)).collect::<Vec<_>>();
    if names.is_empty() && tags.is_empty() {
        tags.push("tag:1".into());
    }
    Query::new(vec![Item { names, tags }]).unwrap()
}

/// How each event of an append has to be answered: its change, or the error's code.
pub type Answers = Vec<Result<u64, &'static str>>;

/// A log as a list.
#[derive(Default)]
pub struct Model {
    /// The event of each change.
    pub events: Vec<Plain>,
    /// How many events there were after each append.
    ends: Vec<usize>,
    /// For each id, how many events there were before its append, and how many it has.
    requests: HashMap<String, (usize, usize)>,
    /// Appends so far, so that each event has a payload of its own.
    appends: usize,
}

impl Model {
    /// The changes after `after` and up to `until` whose events match.
    pub fn find<'a>(&'a self, query: &'a Query, after: u64, until: u64) -> impl Iterator<Item = u64> + 'a {
        let events = self.events.iter().take(until as usize).skip(after as usize);
        let found = (after + 1..).zip(events).filter(|(_, event)| query.items().iter().any(|item| event.matches(item)));
        found.map(|(change, _)| change)
    }

    /// Events that nobody has appended yet.
    pub fn random_events(&mut self, random: &mut Random) -> Vec<Plain> {
        self.appends += 1;
        let append = self.appends;
        (0..1 + random.below(MOST)).map(|at| Plain::random(random, format!("{append} {at}"))).collect()
    }

    /// Notes events that have been stored together without conditions.
    pub fn push(&mut self, events: Vec<Plain>) {
        self.events.extend(events);
        self.ends.push(self.events.len());
    }

    /// A random append, which counts as made, and how the log has to answer it.
    pub fn append(&mut self, random: &mut Random) -> (Batch, Answers) {
        let (mut events, mut demands) = (self.random_events(random), Demands::default());
        let end = self.events.len();
        let mut holds = true;
        if random.once_in(2) {
            let query = random_query(random);
            let after = if random.once_in(4) { random.below(end + 1) } else { end - random.below(end.min(6) + 1) };
            holds = self.find(&query, after as u64, end as u64).next().is_none();
            demands.fail_if = Some(Condition { query, after: after as u64 });
        }
        let id = random.once_in(3).then(|| format!("request {}", random.below(IDS)));
        demands.id = id.as_deref().map(Box::from);
        let earlier = id.as_ref().and_then(|id| self.requests.get(id).copied());
        // The same append again, or another one with its id.
        let repeated = earlier.filter(|_| random.once_in(2));
        if let Some((before, count)) = repeated {
            events = self.events[before..before + count].to_vec();
        }
        let count = events.len();
        let mut batch = Batch::default();
        for Plain { name, payload, tags } in &events {
            let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
            batch.push_tagged(&(**name).into(), payload.as_bytes(), &tags, Encoding::V1, AckKind::Node).unwrap();
        }
        batch.make_demanding(demands).unwrap();
        let stored = |before: usize| (before as u64 + 1..).map(Ok).take(count).collect();
        let answers = match (repeated, earlier) {
            (Some((before, _)), _) => stored(before),
            (None, Some(_)) => vec![Err("ERR_HYPER_ID_REUSED"); count],
            (None, None) if !holds => vec![Err("ERR_HYPER_CONDITION"); count],
            (None, None) => {
                self.requests.extend(id.map(|id| (id, (end, count))));
                self.push(events);
                stored(end)
            }
        };
        (batch, answers)
    }

    /// Forgets the events that are lost if the log holds only the first `held` ones.
    ///
    /// # Errors
    /// If it then holds a part of an append.
    pub fn rewind(&mut self, held: usize) -> Result<(), String> {
        if held > 0 && !self.ends.contains(&held) {
            return Err(format!("{held} events end within an append"));
        }
        self.ends.retain(|end| *end <= held);
        self.events.truncate(held);
        self.requests.retain(|_, (before, _)| *before < held);
        Ok(())
    }
}
