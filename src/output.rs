//! Lines for people and documents for programs on standard output, and what may reach a terminal at all.

use std::io::{self, Write};

use crate::failure::Failure;

/// A line on standard output, fit for a terminal.
pub(crate) fn print(line: &str) -> Result<(), Failure> {
    write(format!("{}\n", printable(line)).as_bytes())
}

/// A JSON document on standard output, as it is: JSON has its own way with control characters.
pub(crate) fn print_document(json: &str) -> Result<(), Failure> {
    write(format!("{json}\n").as_bytes())
}

/// Bytes on standard output. Whoever reads it may stop early (`| head`): then the work goes on, and ends with the exit code that
/// it would have ended with.
pub(crate) fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// The text in one line that a terminal takes for nothing but text: every control character becomes a space. What a
/// slide or a file's name says of itself may hold any, line breaks and escape sequences too.
pub(crate) fn printable(text: &str) -> String {
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_become_spaces() {
        assert_eq!(printable("a\x1b[31mb\r\nc\u{9b}d\x7f\u{e9}"), "a [31mb  c d \u{e9}");
    }
}
