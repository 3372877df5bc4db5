//! What went wrong with the index.

use std::fmt;
use std::io;
use std::sync::Arc;

/// A failure of the index. The log is whole; an index opened anew, or made anew, is as good as this one was.
#[derive(Debug, Clone)]
pub(super) enum Fault {
    /// The system refused a call.
    System(Arc<io::Error>),
    /// What is in it is not what was written, or sled failed in a way of its own.
    Content(String),
    /// The store was closed, or the index was opened anew meanwhile.
    Closed,
}

impl Fault {
    pub(super) fn content(detail: impl Into<String>) -> Self {
        Fault::Content(detail.into())
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Fault::System(Arc::new(error))
    }
}

impl From<sled::Error> for Fault {
    fn from(error: sled::Error) -> Self {
        match error {
            sled::Error::Io(error) => original(error).into(),
            error => Fault::content(error.to_string()),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::System(error) => error.fmt(f),
            Fault::Content(detail) => f.write_str(detail),
            Fault::Closed => f.write_str("it is closed"),
        }
    }
}

/// The system's error behind one of sled's. sled keeps its first error for all later calls as a text, in which the number
/// stands behind "code: ".
fn original(error: io::Error) -> io::Error {
    if error.raw_os_error().is_some() {
        return error;
    }
    let text = error.to_string();
    let digits = text.split_once("code: ").map(|(_, rest)| rest.split(|c: char| !c.is_ascii_digit()).next());
    let code = digits.flatten().and_then(|digits| digits.parse().ok());
    code.map_or(error, io::Error::from_raw_os_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_an_error_survives_what_sled_makes_of_it() {
        let first = sled::Error::Io(io::Error::from_raw_os_error(24));
        let later = first.clone();
        let Fault::System(later) = Fault::from(later) else { panic!("{first}") };
        assert_eq!(later.raw_os_error(), Some(24));
        let Fault::System(other) = Fault::from(sled::Error::Io(io::Error::other("odd"))) else { panic!() };
        assert_eq!(other.to_string(), "odd");
    }
}
