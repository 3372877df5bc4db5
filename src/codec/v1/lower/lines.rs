//! Text whose statements stay on the lines they came from.

/// See the module's documentation.
pub(super) struct Lines<'s> {
    source: &'s str,
    /// How many bytes of the source have been passed: all their line feeds are in `text`.
    passed: usize,
    pub(super) text: String,
}

impl<'s> Lines<'s> {
    pub(super) fn new(source: &'s str) -> Self {
        Lines { source, passed: 0, text: String::new() }
    }

    /// Moves to the line of byte `at` of the source, unless that line was passed already.
    pub(super) fn advance(&mut self, at: usize) {
        if let Some(between) = self.source.as_bytes().get(self.passed..at) {
            self.text.extend(between.iter().filter(|byte| **byte == b'\n').map(|_| '\n'));
            self.passed = at;
        }
    }

    pub(super) fn write(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push(' ');
    }
}
