use std::path::Path;

use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::{Database, Error, Store};

impl Store {
    /// Reads the whole file, which is that at `path`, while others work with it. If something is wrong with it, nothing is
    /// written from then on, so that it is not worked with as if it were shorter.
    ///
    /// # Errors
    /// With what is wrong. Nothing if it could not be read to the end.
    pub async fn inspect(&self, path: &Path, cancel: &CancellationToken) -> Result<(), Error> {
        let database = Database::open(path)?;
        let interrupt = database.connection.get_interrupt_handle();
        let check = spawn_blocking(move || database.check());
        tokio::pin!(check);
        let checked = tokio::select! {
            biased;
            checked = &mut check => checked,
            () = cancel.cancelled() => {
                interrupt.interrupt();
                check.await
            }
        };
        match checked {
            Ok(Err(error @ (Error::Faulty { .. } | Error::Damaged(_)))) => Err(self.fail(error)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use coattail::wire::ErrorCode;

    use super::*;
    use crate::store::testing::{draft, store};

    #[tokio::test]
    async fn nothing_is_written_once_something_is_wrong() {
        let store = store();
        let value = format!("\"{}\"", "x".repeat(1 << 16));
        store.append_all((0..9).map(|_| draft("a", &value)).collect()).await.unwrap();
        store.inspect(&store.path, &CancellationToken::new()).await.unwrap();
        store.append(draft("a", "1")).await.unwrap();
        // What is still in the write-ahead log is not looked for in the file.
        let checkpoint = "PRAGMA wal_checkpoint(FULL)";
        rusqlite::Connection::open(&store.path).unwrap().query_row(checkpoint, [], |_| Ok(())).unwrap();
        let file = std::fs::OpenOptions::new().write(true).open(&store.path).unwrap();
        file.write_all_at(&[0xaa; 4096], file.metadata().unwrap().len() - 4096).unwrap();
        let found = store.inspect(&store.path, &CancellationToken::new()).await.unwrap_err();
        assert!(found.hint().is_some_and(|hint| hint.contains("restore")), "{found}");
        assert_eq!(store.append(draft("a", "1")).await.unwrap_err().code(), ErrorCode::StorageFailed);
    }
}
