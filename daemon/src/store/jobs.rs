use std::collections::HashSet;

use coattail::id::{CallId, IssuerHash, PeerId, PublicationId, TokenId};
use coattail::key::Key;
use coattail::name::ActionName;
use coattail::wire::jobs::JobState;
use coattail::wire::peer::Published;
use coattail::wire::{ErrorCode, Failure, Raw};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::columns::{parsed, parsed_if_any, payload_if_any, signed, unsigned};
use super::group::Group;
use super::{Error, Store};

/// Somebody else who asked for a job: an instance, with one of our tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Asker {
    /// Who.
    pub issuer: IssuerHash,
    /// With which token; what was asked for with it goes with it.
    pub token: TokenId,
}

/// A call that is to be a job.
#[derive(Debug, Clone)]
pub struct JobDraft {
    /// Names it.
    pub id: CallId,
    /// Who asked; `None` for this instance itself.
    pub asker: Option<Asker>,
    /// Where it is performed; `None` for this instance.
    pub peer: Option<PeerId>,
    /// What.
    pub action: ActionName,
    /// The same key is the same job: of whoever asked, at that place, for that action.
    pub key: Option<Key>,
    /// A hash of all that makes two calls the same.
    pub digest: [u8; 32],
    /// What to give to it.
    pub input: Option<Raw>,
    /// Whether to publish the result.
    pub publish: bool,
    /// How long it may take once it has begun, in milliseconds.
    pub timeout: Option<u64>,
    /// How long it may wait before it has begun, in milliseconds.
    pub start_timeout: Option<u64>,
    /// Whether it is done although nobody waits for it.
    pub detached: bool,
    /// What led to it: a publication, and the hops of what is published because of it.
    pub cause: Option<(PublicationId, u8)>,
    /// When it was asked for, in milliseconds.
    pub created: i64,
}

/// A job, as it is now. Without its input once it has ended.
#[derive(Debug, Clone)]
pub struct JobRow {
    /// What was asked for.
    pub draft: JobDraft,
    /// How far it is.
    pub state: JobState,
    /// When it began, in milliseconds.
    pub started: Option<i64>,
    /// When it ended, in milliseconds.
    pub finished: Option<i64>,
    /// What became of it, once it has ended.
    pub outcome: Option<Result<JobResult, Failure>>,
}

/// How a job ends.
#[derive(Debug, Clone)]
pub struct JobEnd {
    /// In which state.
    pub state: JobState,
    /// What became of it.
    pub outcome: Result<JobResult, Failure>,
    /// Nothing was done, so that its key is free again.
    pub untouched: bool,
    /// When, in milliseconds.
    pub finished: i64,
}

/// What a job that succeeded has left.
#[derive(Debug, Clone, Default)]
pub struct JobResult {
    /// What the action returned.
    pub result: Option<Raw>,
    /// The publication of it.
    pub publication: Option<Published>,
    /// Why it could not be published.
    pub publication_error: Option<String>,
}

/// How many jobs of one asker may not be done.
#[derive(Debug, Clone, Copy)]
pub struct MostJobs {
    /// So many.
    pub count: u64,
    /// Bytes of their inputs.
    pub bytes: u64,
}

/// Whether a job was added.
#[derive(Debug)]
pub enum Added {
    /// It is on disk.
    New,
    /// There is one of the same key: this.
    Known(Box<JobRow>),
    /// Whoever asked has too many that are not done.
    Full,
}

impl Store {
    /// Stores a job, unless there is one of its key, or too many of the same asker are not done.
    pub async fn add_job(&self, draft: JobDraft, most: MostJobs) -> Result<Added, Error> {
        self.write(move |group| add(group, &draft, most)).await
    }

    /// A job begins: from here on nobody knows whether it was done, unless it is finished.
    pub async fn begin_job(&self, id: CallId, now: i64) -> Result<(), Error> {
        let begin = "UPDATE jobs SET state = 'running', started = coalesce(started, ?2)
                     WHERE id = ?1 AND finished IS NULL";
        self.write(move |group| match group.db().prepare_cached(begin)?.execute(params![id.to_string(), now])? {
            0 => Err(Error::Missing("job")),
            _ => Ok(()),
        })
        .await
    }

    /// What a job was sent for was not begun there, for certain: it waits again.
    pub async fn requeue_job(&self, id: CallId) -> Result<(), Error> {
        let requeue = "UPDATE jobs SET state = 'queued', started = NULL WHERE id = ?1 AND finished IS NULL";
        self.write(move |group| Ok(group.db().prepare_cached(requeue)?.execute([id.to_string()]).map(drop)?)).await
    }

    /// A job has ended. Returns whether it was there: it may have gone with the token that it was asked for with, or
    /// have ended before.
    pub async fn finish_job(&self, id: CallId, end: JobEnd) -> Result<bool, Error> {
        self.write(move |group| finish(group.db(), id, &end)).await
    }

    /// Deletes a job that has not ended: nothing was done, and nobody asks for it.
    pub async fn forget_job(&self, id: CallId) -> Result<(), Error> {
        let forget = "DELETE FROM jobs WHERE id = ?1 AND finished IS NULL";
        self.write(move |group| Ok(group.db().prepare_cached(forget)?.execute([id.to_string()]).map(drop)?)).await
    }

    /// One job.
    pub async fn job(&self, id: CallId) -> Result<Option<JobRow>, Error> {
        self.read(move |db| find(db, id)).await
    }

    /// The jobs that this instance itself has asked for, the oldest first, at most `limit` of the newest.
    pub async fn jobs(&self, limit: u32) -> Result<Vec<JobRow>, Error> {
        let query = format!("{HEADS} WHERE token IS NULL ORDER BY created DESC, id DESC LIMIT ?1");
        self.read(move |db| {
            let mut query = db.prepare_cached(&query)?;
            let rows = query.query_map([limit], job)?;
            let mut rows = rows.collect::<Result<Vec<_>, _>>()?;
            rows.reverse();
            Ok(rows)
        })
        .await
    }

    /// After a stop or a crash: what had begun here is lost, what had not and has nobody left who waits goes. Returns
    /// how many were lost. What had begun at a peer can be asked for there.
    pub async fn recover_jobs(&self, now: i64) -> Result<u64, Error> {
        self.write(move |group| {
            let lose = "UPDATE jobs SET state = 'lost', finished = ?1, input = NULL, bytes = 0, error = ?2, message = ?3, hint = ?4
                        WHERE finished IS NULL AND state = 'running' AND peer IS NULL";
            let lost = group.db().prepare_cached(lose)?.execute(params![
                now,
                ErrorCode::Lost.number(),
                "the service went away while it ran",
                LOST_HINT
            ])?;
            let forget = "DELETE FROM jobs WHERE finished IS NULL AND state = 'queued' AND NOT detached";
            group.db().prepare_cached(forget)?.execute([])?;
            Ok(lost as u64)
        })
        .await
    }

    /// The jobs that are not done, the oldest first.
    pub async fn unfinished_jobs(&self) -> Result<Vec<CallId>, Error> {
        let query = "SELECT id FROM jobs WHERE finished IS NULL ORDER BY created, id";
        self.read(move |db| {
            let mut query = db.prepare_cached(query)?;
            Ok(query.query_map([], |row| parsed(row, "id"))?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// The ids of all jobs.
    pub async fn job_ids(&self) -> Result<HashSet<CallId>, Error> {
        self.read(|db| {
            let mut query = db.prepare_cached("SELECT id FROM jobs")?;
            Ok(query.query_map([], |row| parsed(row, "id"))?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Removes jobs that ended before a time and, of each asker, the oldest beyond so many or so many bytes. Returns
    /// which.
    pub async fn trim_jobs(&self, before: i64, kept: u64, bytes: u64) -> Result<Vec<CallId>, Error> {
        let trim = "DELETE FROM jobs WHERE id IN (
                        SELECT id FROM (
                            SELECT id, finished, row_number() OVER newest AS place, sum(bytes) OVER newest AS total
                            FROM jobs WHERE finished IS NOT NULL
                            WINDOW newest AS (PARTITION BY token ORDER BY finished DESC, id DESC)
                        ) WHERE finished < ?1 OR place > ?2 OR total > ?3
                    ) RETURNING id";
        self.write(move |group| {
            let mut trim = group.db().prepare_cached(trim)?;
            let gone = trim.query_map(params![before, signed(kept), signed(bytes)], |row| parsed(row, "id"))?;
            Ok(gone.collect::<Result<_, _>>()?)
        })
        .await
    }
}

/// All of a job but what makes it large.
const HEADS: &str =
    "SELECT id, issuer, token, peer, action, key, digest, publish, timeout, start_timeout, detached, cause,
    hops, state, created, started, finished, error, message, hint, publication, sequence, publication_error,
    NULL AS input, NULL AS result, NULL AS thrown FROM jobs";

/// What to do about a job of which nobody knows whether it was done.
pub const LOST_HINT: &str = "it may or may not have been done: look before you start it again";

fn add(group: &mut Group<'_>, draft: &JobDraft, most: MostJobs) -> Result<Added, Error> {
    let db = group.db();
    let (issuer, token) = (draft.asker.map(|by| by.issuer.to_string()), draft.asker.map(|by| by.token.to_string()));
    let peer = draft.peer.map(|peer| peer.to_string());
    if let Some(key) = &draft.key {
        let query = "SELECT * FROM jobs WHERE coalesce(token, '') = coalesce(?1, '')
                     AND coalesce(issuer, '') = coalesce(?2, '') AND coalesce(peer, '') = coalesce(?3, '')
                     AND action = ?4 AND key = ?5";
        let known = params![token, issuer, peer, draft.action.as_str(), key.as_str()];
        if let Some(known) = db.prepare_cached(query)?.query_row(known, job).optional()? {
            return Ok(Added::Known(Box::new(known)));
        }
    }
    let input = draft.input.as_ref().map(|input| input.get());
    let size = input.map_or(0, str::len) as u64;
    let query = "SELECT count(*) AS count, coalesce(sum(bytes), 0) AS bytes FROM jobs
                 WHERE finished IS NULL AND token IS ?1";
    let unfinished = |row: &Row<'_>| Ok((unsigned(row, "count")?, unsigned(row, "bytes")?));
    let (count, bytes) = db.prepare_cached(query)?.query_row([&token], unfinished)?;
    if count >= most.count || (count > 0 && bytes + size > most.bytes) {
        return Ok(Added::Full);
    }
    group.take_room(size)?;
    let (cause, hops) = draft.cause.map(|(publication, hops)| (publication.to_string(), hops)).unzip();
    let insert =
        "INSERT INTO jobs (id, issuer, token, peer, action, key, digest, input, publish, timeout, start_timeout,
                      detached, cause, hops, state, created, bytes)
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, 'queued', ?15, ?16)";
    let row = params![
        draft.id.to_string(),
        issuer,
        token,
        peer,
        draft.action.as_str(),
        draft.key.as_ref().map(Key::as_str),
        draft.digest,
        input,
        draft.publish,
        draft.timeout.map(signed),
        draft.start_timeout.map(signed),
        draft.detached,
        cause,
        hops.unwrap_or(0),
        draft.created,
        signed(size),
    ];
    match db.prepare_cached(insert)?.execute(row) {
        Ok(_) => Ok(Added::New),
        Err(error) if Error::is_constraint(&error) && find(db, draft.id)?.is_some() => Err(Error::Exists("the job")),
        // The token was revoked in this moment.
        Err(error) if Error::is_constraint(&error) => Err(Error::Missing("token")),
        Err(error) => Err(error.into()),
    }
}

fn finish(db: &Connection, id: CallId, end: &JobEnd) -> Result<bool, Error> {
    let nothing = JobResult::default();
    let (done, failure) = match &end.outcome {
        Ok(done) => (done, None),
        Err(failure) => (&nothing, Some(failure)),
    };
    let result = done.result.as_ref().map(|result| result.get());
    let thrown = failure.and_then(|failure| failure.data.as_ref()).map(|thrown| thrown.get());
    let message = failure.map(|failure| failure.message.as_str());
    let bytes: usize = [result, thrown, message].iter().flatten().map(|text| text.len()).sum();
    let finish = "UPDATE jobs SET state = ?2, finished = ?3, input = NULL, result = ?4, error = ?5, message = ?6,
                      hint = ?7, thrown = ?8, publication = ?9, sequence = ?10, publication_error = ?11, bytes = ?12,
                      key = CASE WHEN ?13 THEN NULL ELSE key END
                  WHERE id = ?1 AND finished IS NULL";
    let changed = db.prepare_cached(finish)?.execute(params![
        id.to_string(),
        end.state.name(),
        end.finished,
        result,
        failure.map(|failure| failure.code.number()),
        message,
        failure.and_then(|failure| failure.hint.as_deref()),
        thrown,
        done.publication.as_ref().map(|published| published.id.to_string()),
        done.publication.as_ref().map(|published| signed(published.sequence)),
        done.publication_error,
        signed(bytes as u64),
        end.untouched,
    ])?;
    Ok(changed > 0)
}

fn find(db: &Connection, id: CallId) -> Result<Option<JobRow>, Error> {
    let query = "SELECT * FROM jobs WHERE id = ?1";
    Ok(db.prepare_cached(query)?.query_row([id.to_string()], job).optional()?)
}

fn job(row: &Row<'_>) -> rusqlite::Result<JobRow> {
    let issuer = parsed_if_any(row, "issuer")?;
    let asker = match (issuer, parsed_if_any(row, "token")?) {
        (Some(issuer), Some(token)) => Some(Asker { issuer, token }),
        _ => None,
    };
    let cause = parsed_if_any(row, "cause")?;
    let hops: u8 = row.get("hops")?;
    let limit = |column| row.get::<_, Option<i64>>(column).map(|number| number.map(i64::unsigned_abs));
    let draft = JobDraft {
        id: parsed(row, "id")?,
        asker,
        peer: parsed_if_any(row, "peer")?,
        action: parsed(row, "action")?,
        key: parsed_if_any(row, "key")?,
        digest: row.get("digest")?,
        input: payload_if_any(row, "input")?,
        publish: row.get("publish")?,
        timeout: limit("timeout")?,
        start_timeout: limit("start_timeout")?,
        detached: row.get("detached")?,
        cause: cause.map(|publication| (publication, hops)),
        created: row.get("created")?,
    };
    let state: String = row.get("state")?;
    // The table takes no others.
    let state = JobState::from_name(&state).unwrap_or(JobState::Lost);
    let outcome = match state {
        JobState::Queued | JobState::Running => None,
        JobState::Succeeded => Some(Ok(result(row)?)),
        _ => Some(Err(failure(row)?)),
    };
    Ok(JobRow { draft, state, started: row.get("started")?, finished: row.get("finished")?, outcome })
}

fn result(row: &Row<'_>) -> rusqlite::Result<JobResult> {
    let publication = match parsed_if_any(row, "publication")? {
        Some(id) => Some(Published { id, sequence: unsigned(row, "sequence")?, duplicate: false }),
        None => None,
    };
    let publication_error = row.get("publication_error")?;
    Ok(JobResult { result: payload_if_any(row, "result")?, publication, publication_error })
}

fn failure(row: &Row<'_>) -> rusqlite::Result<Failure> {
    let code = ErrorCode::from_number(row.get::<_, Option<i32>>("error")?.unwrap_or_default());
    let message: Option<String> = row.get("message")?;
    let failure = Failure::new(code, message.unwrap_or_default()).data(payload_if_any(row, "thrown")?);
    Ok(Failure { hint: row.get("hint")?, ..failure })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{action, issuer, raw, rows, store, token};

    const MOST: MostJobs = MostJobs { count: 9, bytes: 100 };
    const TWO: MostJobs = MostJobs { count: 2, ..MOST };

    fn draft(key: Option<&str>) -> JobDraft {
        JobDraft {
            id: CallId::new(),
            asker: None,
            peer: None,
            action: action("a"),
            key: key.map(|key| key.parse().unwrap()),
            digest: [7; 32],
            input: Some(raw("1.50")),
            publish: true,
            timeout: Some(5),
            start_timeout: None,
            detached: true,
            cause: Some((PublicationId::new(), 3)),
            created: 10,
        }
    }

    fn done(json: &str, finished: i64) -> JobEnd {
        let publication = Some(Published { id: PublicationId::new(), sequence: 4, duplicate: false });
        let outcome = Ok(JobResult { result: Some(raw(json)), publication, publication_error: None });
        JobEnd { state: JobState::Succeeded, outcome, untouched: false, finished }
    }

    #[tokio::test]
    async fn a_job_goes_from_queued_to_its_end_and_no_further() {
        let store = store();
        let draft = draft(Some("k"));
        assert!(matches!(store.add_job(draft.clone(), MOST).await.unwrap(), Added::New));
        let row = store.job(draft.id).await.unwrap().unwrap();
        assert_eq!((row.state, row.started, row.draft.input.unwrap().get()), (JobState::Queued, None, "1.50"));
        assert_eq!((row.draft.cause, row.draft.timeout), (draft.cause, Some(5)));
        store.begin_job(draft.id, 20).await.unwrap();
        store.begin_job(draft.id, 21).await.unwrap();
        assert!(store.finish_job(draft.id, done("2.50", 30)).await.unwrap());
        let row = store.job(draft.id).await.unwrap().unwrap();
        assert_eq!((row.state, row.started, row.finished), (JobState::Succeeded, Some(20), Some(30)));
        let result = row.outcome.unwrap().unwrap();
        assert_eq!((result.result.unwrap().get(), result.publication.unwrap().sequence), ("2.50", 4));
        assert!(row.draft.input.is_none());
        assert!(!store.finish_job(draft.id, done("3.50", 40)).await.unwrap());
        assert!(matches!(store.begin_job(draft.id, 40).await, Err(Error::Missing(_))));
    }

    #[tokio::test]
    async fn a_key_belongs_to_whoever_asked_and_is_free_again_if_nothing_was_done() {
        let store = store();
        let (one, other) = (token(None), token(None));
        for token in [&one, &other] {
            store.add_token(token.clone()).await.unwrap();
        }
        let by = |name: &str, token: TokenId| JobDraft {
            asker: Some(Asker { issuer: issuer(name), token }),
            ..draft(Some("k"))
        };
        let first = draft(Some("k"));
        let elsewhere = JobDraft { action: action("b"), ..draft(Some("k")) };
        let at_a_peer = JobDraft { peer: Some(PeerId::new()), ..draft(Some("k")) };
        for new in [&first, &elsewhere, &at_a_peer, &by("x", one.id), &by("y", one.id), &by("x", other.id)] {
            assert!(matches!(store.add_job(new.clone(), MOST).await.unwrap(), Added::New), "{new:?}");
        }
        for (again, id) in [(draft(Some("k")), Some(first.id)), (by("x", one.id), None)] {
            let Added::Known(known) = store.add_job(again, MOST).await.unwrap() else { panic!("it is known") };
            assert!(id.is_none_or(|id| id == known.draft.id));
        }
        let refused = Failure::new(ErrorCode::NotFound, "no such action").hint("look").data(Some(raw("1")));
        let end = JobEnd { state: JobState::Refused, outcome: Err(refused), untouched: true, finished: 5 };
        assert!(store.finish_job(first.id, end).await.unwrap());
        let row = store.job(first.id).await.unwrap().unwrap();
        let failure = row.outcome.unwrap().unwrap_err();
        assert_eq!((failure.code, failure.message.as_str()), (ErrorCode::NotFound, "no such action"));
        assert_eq!((failure.hint.as_deref(), failure.data.unwrap().get()), (Some("look"), "1"));
        assert!(matches!(store.add_job(draft(Some("k")), MOST).await.unwrap(), Added::New));

        store.revoke_token(one.id).await.unwrap();
        assert_eq!(rows(&store, "jobs").await, 5, "what was asked for with a token goes with it");
        let late = store.add_job(by("x", one.id), MOST).await;
        assert!(matches!(late, Err(Error::Missing("token"))));
        assert_eq!(store.jobs(9).await.unwrap().len(), 4, "only what this instance itself has asked for is listed");
    }

    #[tokio::test]
    async fn each_who_asks_has_so_many_that_are_not_done() {
        let store = store();
        for _ in 0..2 {
            assert!(matches!(store.add_job(draft(None), TWO).await.unwrap(), Added::New));
        }
        assert!(matches!(store.add_job(draft(None), TWO).await.unwrap(), Added::Full));
        let token = token(None);
        store.add_token(token.clone()).await.unwrap();
        let asker = Some(Asker { issuer: issuer("x"), token: token.id });
        assert!(matches!(store.add_job(JobDraft { asker, ..draft(None) }, TWO).await.unwrap(), Added::New));
    }

    #[tokio::test]
    async fn after_a_crash_what_had_begun_here_is_lost_and_the_rest_waits() {
        let store = store();
        let (waits, ran, asked, at_peer) = (
            draft(None),
            draft(Some("k")),
            JobDraft { detached: false, ..draft(Some("other")) },
            JobDraft { peer: Some(PeerId::new()), ..draft(None) },
        );
        for new in [&waits, &ran, &asked, &at_peer] {
            store.add_job(new.clone(), MOST).await.unwrap();
        }
        for begun in [&ran, &at_peer] {
            store.begin_job(begun.id, 20).await.unwrap();
        }
        assert_eq!(store.recover_jobs(30).await.unwrap(), 1);
        let row = store.job(ran.id).await.unwrap().unwrap();
        assert_eq!((row.state, row.draft.key), (JobState::Lost, ran.key));
        assert_eq!(row.outcome.unwrap().unwrap_err().code, ErrorCode::Lost);
        assert!(store.job(asked.id).await.unwrap().is_none(), "nobody waits for it, and nothing was done");
        let mut left = vec![waits.id, at_peer.id];
        left.sort();
        assert_eq!(store.unfinished_jobs().await.unwrap(), left);
    }

    #[tokio::test]
    async fn the_oldest_outcomes_go_first_and_nothing_that_is_not_done() {
        let store = store();
        let drafts: Vec<_> = (0..5).map(|_| draft(None)).collect();
        for (at, draft) in drafts.iter().enumerate() {
            store.add_job(draft.clone(), MOST).await.unwrap();
            if at < 4 {
                store.finish_job(draft.id, done("12345678", at as i64)).await.unwrap();
            }
        }
        assert_eq!(store.trim_jobs(0, 9, 32).await.unwrap(), []);
        assert_eq!(store.trim_jobs(1, 9, 32).await.unwrap(), [drafts[0].id]);
        assert_eq!(store.trim_jobs(0, 2, 32).await.unwrap(), [drafts[1].id]);
        assert_eq!(store.trim_jobs(0, 9, 15).await.unwrap(), [drafts[2].id]);
        assert_eq!(store.jobs(9).await.unwrap().len(), 2);
    }
}
