//! Plans our own events as rows.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use smallvec::SmallVec;

use super::Writer;
use crate::error::{Error, Result};
use crate::event;
use crate::hyperlog::batch::Event;
use crate::hyperlog::commit_group::CommitGroup;
use crate::hyperlog::value_buffer::ValueBuffer;
use crate::hyperlog::{Ack, AckKind, Batch};
use crate::row::{share_nodes, NewRow};

impl Writer {
    /// Plans the events of a batch. An event that may not be stored is answered with an error, and the others are planned.
    pub(super) fn plan_appends(&mut self, group: &mut CommitGroup, batch: &Batch) {
        if let Some(author) = &self.sealed_by_other {
            let error = Error::Identity { author: author.clone() };
            group.answers.appended += batch.cost();
            group.answers.acks.extend(std::iter::repeat_n(Ack::failed(error), batch.acks()));
            return;
        }
        if let Some(error) = self.why_not(batch) {
            group.answers.appended += batch.cost();
            group.answers.acks.extend(std::iter::repeat_n(Ack::failed(error), batch.acks()));
            return;
        }
        match self.meet(batch) {
            Ok(None) => add_facts(group, batch),
            Ok(Some(nodes)) => {
                add_facts(group, batch);
                group.answers.appended += batch.cost();
                for (event, node) in batch.iter().zip(nodes) {
                    group.answers.acks.extend(event.ack.of(node.change, || Some(node)));
                }
                return;
            }
            Err(error) => {
                group.answers.appended += batch.cost();
                group.answers.acks.extend(std::iter::repeat_n(Ack::failed(error), batch.acks()));
                return;
            }
        }
        let time = now_ms();
        group.answers.appended += batch.cost();
        let buffer = if self.shared.store.is_immediate() { ValueBuffer::to_keep } else { ValueBuffer::to_pass_on };
        let mut values = buffer(batch.cost());
        // For each event, where its value ends in the buffer, or why it may not be stored.
        let mut checked: SmallVec<[_; 1]> = SmallVec::with_capacity(batch.len());
        // Events come in runs of one name.
        let mut sound: Option<&Arc<str>> = None;
        let mut behind = Vec::new();
        let mut id = batch.demands().and_then(|demands| demands.id.as_deref());
        for (following, event) in (0..batch.len()).rev().zip(batch.iter()) {
            let sound_name = sound.is_some_and(|name| Arc::ptr_eq(name, event.name));
            let fit = check(&event, sound_name, self.options.max_event_size);
            if fit.is_ok() {
                sound = Some(event.name);
                if batch.is_whole() {
                    behind.clear();
                    if batch.len() > 1 {
                        event::put_following(&mut behind, following);
                    }
                    if let Some(id) = id.take() {
                        event::put_request(&mut behind, id);
                    }
                }
                values.push(&event, self.ids.next(), time, &behind);
            }
            checked.push(fit.map(|()| values.len()));
        }
        let values = values.freeze();
        let mut start = 0;
        let mut planned: SmallVec<[_; 1]> = SmallVec::with_capacity(batch.len());
        for end in checked.iter().flatten() {
            let value = values.slice(start..*end);
            let belongs = batch.is_whole() && start > 0;
            planned.push(if belongs { self.planner.append_next(value) } else { self.planner.append(value) });
            start = *end;
        }
        let first = group.commit.rows.len();
        group.commit.rows.extend(share_nodes(planned));
        group.answers.acks.reserve(batch.acks());
        if let Some(node) = group.commit.rows.get(first).and_then(NewRow::node) {
            self.planner.note_shared(node.clone());
            if let Some(condition) = batch.demands().and_then(|demands| demands.fail_if.as_ref()) {
                self.decisions.note(condition.query.clone(), node.change, node.seq);
            }
        }
        let mut rows = group.commit.rows.iter().skip(first);
        for (event, fit) in batch.iter().zip(checked) {
            let row = match fit {
                Ok(_) => rows.next(),
                Err(error) => {
                    if event.ack != AckKind::None {
                        group.answers.acks.push(Ack::failed(error));
                    }
                    continue;
                }
            };
            let change = row.map_or(0, |row| row.at.change);
            group.answers.acks.extend(event.ack.of(change, || row.and_then(NewRow::node).cloned()));
        }
    }
}

impl Writer {
    /// Why an atomic batch may not be stored, if one of its events may not.
    fn why_not(&self, batch: &Batch) -> Option<Error> {
        if !batch.is_whole() {
            return None;
        }
        batch.iter().find_map(|event| check(&event, false, self.options.max_event_size).err())
    }
}

/// Checks whether this event may be stored. `sound_name` says that its name has passed this check before.
fn check(event: &Event<'_>, sound_name: bool, max_event_size: usize) -> Result<()> {
    if !sound_name {
        event::check_name(event.name)?;
    }
    let size = event.size();
    if size > max_event_size {
        return Err(Error::TooLarge { name: event.name.to_string(), size, limit: max_event_size });
    }
    Ok(())
}

/// The facts of an append join its commit.
fn add_facts(group: &mut CommitGroup, batch: &Batch) {
    group.commit.meta.extend(batch.demands().into_iter().flat_map(|demands| demands.facts.iter().cloned()));
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
