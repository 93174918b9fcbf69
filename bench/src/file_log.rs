//! The limit: group commit to a plain file. Whatever came during the last fdatasync is written and synced at once.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use tokio::sync::{mpsc, oneshot};

/// The handle of its writers.
#[derive(Clone)]
pub(crate) struct FileLog(mpsc::Sender<(Vec<u8>, oneshot::Sender<()>)>);

impl FileLog {
    /// Begins a file, which a thread of its own writes.
    pub(crate) fn create(path: &Path, writers: usize) -> io::Result<Self> {
        let mut file = File::create(path)?;
        let (sender, mut records) = mpsc::channel::<(Vec<u8>, oneshot::Sender<()>)>(writers);
        std::thread::spawn(move || -> io::Result<()> {
            let (mut batch, mut bytes) = (Vec::new(), Vec::new());
            while records.blocking_recv_many(&mut batch, writers) > 0 {
                bytes.clear();
                batch.iter().for_each(|(record, _)| bytes.extend_from_slice(record));
                file.write_all(&bytes)?;
                file.sync_data()?;
                for (_, answer) in batch.drain(..) {
                    let _ = answer.send(());
                }
            }
            Ok(())
        });
        Ok(Self(sender))
    }

    /// Returns once the record is on the disk.
    pub(crate) async fn append(&self, record: Vec<u8>) -> anyhow::Result<()> {
        let (answer, done) = oneshot::channel();
        self.0.send((record, answer)).await?;
        Ok(done.await?)
    }
}
