use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::backup::Backup;
use rusqlite::{Connection, OpenFlags, params};

use super::Error;
use super::epochs::put_back;
use super::migrate::{check_version, connect};

/// Copies a database, as it is at one moment, into a new private file. Others may work with it meanwhile. Blocks.
pub fn copy_database(from: &Path, to: &Path) -> Result<(), Error> {
    let source = connect(from, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    check_version(&source, from)?;
    let create = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
    create.map_err(|source| Error::Open { path: to.to_owned(), source: Arc::new(source) })?;
    let mut copy = connect(to, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // All pages in one step: that is one transaction.
    Backup::new(&source, &mut copy)?.run_to_completion(i32::MAX, PAUSE, None)?;
    // One file, without a log beside it.
    copy.pragma_update(None, "journal_mode", "delete")?;
    Ok(())
}

/// Makes a copy from a backup the database of its instance again. What the one that it replaces still tells is not
/// forgotten: how far its logs reached, so that no sequence which is known to be given out is given out again. `last` is
/// the last epoch that is known of, `now` is in milliseconds.
pub fn adopt(copy: &Path, replaced: Option<&Path>, last: Option<i64>, now: i64) -> Result<(), Error> {
    let connection = connect(copy, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    check_version(&connection, copy)?;
    let transaction = connection.unchecked_transaction()?;
    put_back(&transaction, now)?;
    transaction.execute("UPDATE openings SET epoch = max(epoch, ?1)", [last.unwrap_or(0)])?;
    // It may be what the backup is needed for: then it tells nothing.
    for (action, head) in replaced.and_then(|path| heads(path).ok()).unwrap_or_default() {
        let raise = "INSERT INTO logs (action, head, oldest, bytes) VALUES (?1, ?2, ?2 + 1, 0)
                     ON CONFLICT (action) DO UPDATE SET head = max(head, excluded.head)";
        transaction.execute(raise, params![action, head])?;
    }
    Ok(transaction.commit()?)
}

fn heads(path: &Path) -> Result<Vec<(String, i64)>, Error> {
    let connection: Connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let mut query = connection.prepare("SELECT action, head FROM logs")?;
    let heads = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(heads.collect::<Result<_, _>>()?)
}

/// How long to wait when the database is locked.
const PAUSE: Duration = Duration::from_millis(50);
