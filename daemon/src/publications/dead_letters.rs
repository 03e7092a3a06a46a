use coattail::name::ReceiverName;
use coattail::wire::dead_letters::{
    self as wire, DeadLetterId, DropDeadLetters, Dropped, ListDeadLetters, ReplayDeadLetters, Replayed,
};
use coattail::wire::{ErrorCode, Failure};

use super::Inbox;
use crate::store::{DeadLetter, Store, WhichDead};

/// What receivers did not take: shown, put back, deleted. Cheap to clone.
#[derive(Clone)]
pub(crate) struct DeadLetters {
    store: Store,
    inbox: Inbox,
}

impl DeadLetters {
    pub(crate) fn new(store: Store, inbox: Inbox) -> Self {
        Self { store, inbox }
    }

    pub(crate) async fn list(&self, request: ListDeadLetters) -> Result<Vec<wire::DeadLetter>, Failure> {
        let which = request.receiver.map_or(WhichDead::All, WhichDead::Of);
        let dead = self.store.dead_letters(which, request.limit.unwrap_or(LISTED).min(MOST_LISTED)).await?;
        Ok(dead.into_iter().map(|dead| wire::DeadLetter { output: Vec::new(), ..described(dead) }).collect())
    }

    pub(crate) async fn show(&self, id: DeadLetterId) -> Result<wire::DeadLetter, Failure> {
        let found = self.store.dead_letters(WhichDead::One(id), 1).await?.pop();
        let found = found.map(described).ok_or_else(|| not_found(id))?;
        Ok(wire::DeadLetter { payload: self.store.dead_payload(id).await?, ..found })
    }

    /// Puts them back, and has their receivers called. A kill in the middle leaves some of them where they were.
    pub(crate) async fn replay(&self, request: ReplayDeadLetters) -> Result<Replayed, Failure> {
        let ReplayDeadLetters { id, receiver, all, dry_run } = request;
        let which = self.chosen(id, receiver, all).await?;
        if dry_run {
            return Ok(Replayed { replayed: self.store.count_dead_letters(which).await? });
        }
        let mut replayed = 0;
        // What dies again meanwhile is not taken up again.
        let most = self.store.count_dead_letters(which.clone()).await?;
        while replayed < most {
            let portion = u32::try_from(most - replayed).map_or(PORTION, |left| left.min(PORTION));
            match self.store.replay_dead_letters(which.clone(), portion).await? {
                0 => break,
                number => replayed += number,
            }
            self.inbox.look_again().await?;
        }
        Ok(Replayed { replayed })
    }

    /// A kill in the middle leaves some of them.
    pub(crate) async fn drop(&self, request: DropDeadLetters) -> Result<Dropped, Failure> {
        let DropDeadLetters { id, receiver, all, dry_run } = request;
        let which = self.chosen(id, receiver, all).await?;
        let most = self.store.count_dead_letters(which.clone()).await?;
        if dry_run {
            return Ok(Dropped { dropped: most });
        }
        let mut dropped = 0;
        // What dies meanwhile was not meant.
        while dropped < most {
            let portion = u32::try_from(most - dropped).map_or(PORTION, |left| left.min(PORTION));
            match self.store.drop_dead_letters(which.clone(), portion).await? {
                0 => break,
                number => dropped += number,
            }
        }
        Ok(Dropped { dropped })
    }

    /// Which are meant. One that is named has to be there; of many there may be none.
    async fn chosen(
        &self,
        id: Option<DeadLetterId>,
        receiver: Option<ReceiverName>,
        all: bool,
    ) -> Result<WhichDead, Failure> {
        let which = match (id, receiver, all) {
            (Some(id), None, false) => WhichDead::One(id),
            (None, Some(receiver), false) => WhichDead::Of(receiver),
            (None, None, true) => WhichDead::All,
            _ => {
                return Err(Failure::new(ErrorCode::InvalidInput, "it has to be said which dead letters, in one way")
                    .hint("name one by its number, those of a receiver, or all"));
            }
        };
        match which {
            WhichDead::One(id) if self.store.count_dead_letters(which.clone()).await? == 0 => Err(not_found(id)),
            which => Ok(which),
        }
    }
}

fn described(dead: DeadLetter) -> wire::DeadLetter {
    wire::DeadLetter {
        id: dead.id,
        subscription: dead.subscription,
        sequence: dead.place.sequence,
        publication: dead.publication,
        issuer: dead.issuer,
        action: dead.action,
        receiver: dead.receiver,
        published: rfc3339(dead.time),
        attempts: dead.attempts,
        first_attempt: rfc3339(dead.first_attempt),
        last_attempt: rfc3339(dead.buried),
        reason: dead.reason,
        output: dead.output.lines().map(str::to_owned).collect(),
        payload: None,
    }
}

fn rfc3339(millis: i64) -> String {
    jiff::Timestamp::from_millisecond(millis).unwrap_or_default().to_string()
}

fn not_found(id: DeadLetterId) -> Failure {
    Failure::new(ErrorCode::NotFound, format!("there is no dead letter {id}"))
        .hint("`coattail dead-letters list` shows them")
}

/// Dead letters that are listed unless it is said how many, and at the most: each may have 2 KiB of reasons, and all of
/// them have to fit in one frame.
const LISTED: u32 = 500;
const MOST_LISTED: u32 = 2_000;

/// Dead letters that one transaction moves: others' writes wait for it, some milliseconds.
const PORTION: u32 = 500;
