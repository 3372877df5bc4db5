//! Small numbers for texts that cross the boundary often: event names and log ids.

use std::collections::HashMap;
use std::sync::Arc;

/// Names with a number, per emitter. The bound is below 2^16, because the emit buffer has 16 bits for the number. Programs have
/// dozens of names. If a program generates names without end, those beyond this bound are spelled out, so that memory does not grow
/// without bound.
pub const MAX_NAMES: usize = 16 * 1024;

/// Longest name that gets a number, in bytes.
const MAX_NAME_LEN: usize = 256;

/// Maps texts to numbers and back. Numbers count from 0 and never change.
pub struct TextTable {
    limit: usize,
    by_number: Vec<Arc<str>>,
    by_text: HashMap<Arc<str>, u32>,
}

impl Default for TextTable {
    fn default() -> Self {
        TextTable { limit: MAX_NAMES, by_number: Vec::new(), by_text: HashMap::new() }
    }
}

impl TextTable {
    /// A table for log ids. It needs no bound of its own, because the core keeps every log's head in memory.
    #[must_use]
    pub fn for_logs() -> Self {
        TextTable { limit: usize::MAX, ..TextTable::default() }
    }

    /// The text's number, new if there is room for it.
    pub fn number(&mut self, text: &str) -> Option<u32> {
        if let Some(&number) = self.by_text.get(text) {
            return Some(number);
        }
        if self.by_number.len() >= self.limit || text.len() > MAX_NAME_LEN {
            return None;
        }
        let number = u32::try_from(self.by_number.len()).ok()?;
        let text: Arc<str> = text.into();
        self.by_number.push(text.clone());
        self.by_text.insert(text, number);
        Some(number)
    }

    /// The text with this number.
    #[must_use]
    pub fn text(&self, number: u32) -> Option<&Arc<str>> {
        self.by_number.get(usize::try_from(number).ok()?)
    }
}

/// Which event names have listeners.
#[derive(Default)]
pub struct Interest {
    heard: HashMap<Box<str>, u32>,
}

impl Interest {
    /// Sets the number by which JavaScript knows the listeners for `name`; `None` if there are no listeners any more.
    pub fn set(&mut self, name: &str, number: Option<u32>) {
        match number {
            Some(number) => {
                self.heard.insert(name.into(), number);
            }
            None => {
                self.heard.remove(name);
            }
        }
    }

    /// The number of a name that is listened to.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u32> {
        self.heard.get(name).copied()
    }

    /// Whether nobody listens to anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heard.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::js::layout::UNNUMBERED;

    #[test]
    fn numbers_are_stable_and_bounded() {
        let mut texts = TextTable::default();
        assert_eq!((texts.number("a"), texts.number("b"), texts.number("a")), (Some(0), Some(1), Some(0)));
        for n in 0..2 * MAX_NAMES {
            let _ = texts.number(&n.to_string());
        }
        assert_eq!(texts.number("one too many"), None);
        assert_eq!(texts.number("b"), Some(1));
        assert_eq!(texts.text(1).map(|text| &**text), Some("b"));
        assert_eq!(texts.text(UNNUMBERED), None);
        let long = |len: usize| TextTable::default().number(&"x".repeat(len));
        assert_eq!((long(MAX_NAME_LEN), long(MAX_NAME_LEN + 1)), (Some(0), None));
    }
}
