use coattail::wire::Failure;
use coattail::wire::dev::{ReadReceived, Received};

use crate::store::{self, Store};

/// The most that are read at once, and the most bytes of them: half of the frame that carries them.
const COUNT: usize = 1_000;
const BYTES: usize = 4 * 1024 * 1024;

/// What a receiver was sent and has not handled, for its owner to look at.
pub(crate) async fn read(store: &Store, request: ReadReceived) -> Result<Vec<Received>, Failure> {
    let ReadReceived { receiver, after, count } = request;
    let after = match after {
        Some(after) => after,
        None => store.place_of_last_received(receiver.clone(), count.into()).await?,
    };
    let received = store.received(receiver, after, COUNT.min(count as usize), BYTES).await?;
    Ok(received.into_iter().map(shown).collect())
}

fn shown(received: store::Received) -> Received {
    let store::Received { place, id, issuer, action, sequence, time, hops, payload } = received;
    Received { place, id, issuer, action: action.to_string(), sequence, time, hops, payload }
}
