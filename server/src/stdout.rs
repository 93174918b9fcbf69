//! Standard output, whose reader may leave before the end: whoever reads no further does not want the rest.

use std::io::{self, Write};

/// Standard output.
pub struct Out {
    stdout: io::Stdout,
    unread: Unread,
}

/// What becomes of a command once nobody reads what it prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    /// It goes on in silence: it does more than print, or its verdict counts.
    GoesOn,
    /// It ends, and well: it was for the reader only.
    Ends,
}

#[derive(Debug, thiserror::Error)]
#[error("nobody reads standard output any more")]
struct ReaderLeft;

impl Out {
    /// Standard output of a command.
    pub fn new(unread: Unread) -> Self {
        Self { stdout: io::stdout(), unread }
    }

    fn done<T>(&self, done: io::Result<T>, in_silence: T) -> io::Result<T> {
        match done {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => match self.unread {
                Unread::GoesOn => Ok(in_silence),
                Unread::Ends => Err(io::Error::new(error.kind(), ReaderLeft)),
            },
            Err(error) => Err(io::Error::new(error.kind(), format!("standard output cannot be written: {error}"))),
            done => done,
        }
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.stdout.write(bytes);
        self.done(written, bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.stdout.flush();
        self.done(flushed, ())
    }
}

/// Whether a command ended only because nobody reads any more.
pub fn ends_at_reader(error: &anyhow::Error) -> bool {
    let left = |error: &io::Error| error.get_ref().is_some_and(|inner| inner.is::<ReaderLeft>());
    error.chain().filter_map(|cause| cause.downcast_ref()).any(left)
}
