use coattail::name::{ActionName, ReceiverName};
use coattail::wire::dev::{Kept, ReadPublications};
use coattail::wire::plugin::Kind;
use coattail::wire::{Failure, Publication};

use crate::store::{Received, Store};

/// The most that are read at once, and the most bytes of them: half of the frame that carries them.
const COUNT: usize = 1_000;
const BYTES: usize = 4 * 1024 * 1024;

/// Publications that are kept here, for their owner to look at.
pub(crate) async fn read(store: &Store, request: ReadPublications) -> Result<Vec<Kept>, Failure> {
    let ReadPublications { kind, name, after, count } = request;
    let most = COUNT.min(count as usize);
    match kind {
        Kind::Action => {
            let action = ActionName::new(&name)?;
            let after = match after {
                Some(after) => after,
                None => store.head(action.clone()).await?.map_or(0, |head| head.head.saturating_sub(count.into())),
            };
            Ok(store.batch(action, after, most, BYTES).await?.into_iter().map(published).collect())
        }
        Kind::Receiver => {
            let receiver = ReceiverName::new(&name)?;
            let after = match after {
                Some(after) => after,
                None => store.place_of_last_received(receiver.clone(), count.into()).await?,
            };
            Ok(store.received(receiver, after, most, BYTES).await?.into_iter().map(received).collect())
        }
    }
}

fn published(publication: Publication) -> Kept {
    let Publication { id, issuer, action, sequence, time, payload, hops, .. } = publication;
    Kept { place: sequence, id, issuer, action: action.to_string(), sequence, time, hops, payload }
}

fn received(received: Received) -> Kept {
    let Received { place, id, issuer, action, sequence, time, hops, payload } = received;
    Kept { place, id, issuer, action: action.to_string(), sequence, time, hops, payload }
}
