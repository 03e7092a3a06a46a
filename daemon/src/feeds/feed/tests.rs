use coattail::rpc::{Limits, Service, pair};
use tokio_util::sync::CancellationToken;

use super::*;

const MINUTE: Duration = Duration::from_mins(1);

/// How much room there is, and what was sent.
type Kept = (usize, Vec<Event>);

/// Keeps what it is sent, for as long as there is room.
fn keeper(room: usize) -> (Sink, Arc<Mutex<Kept>>) {
    let kept = Arc::new(Mutex::new((room, Vec::new())));
    let sink = {
        let kept = kept.clone();
        Sink::new(move |_, event| {
            let mut kept = kept.lock().unwrap();
            let has_room = kept.0 > 0;
            if has_room {
                kept.0 -= 1;
                kept.1.push(event.clone());
            }
            has_room
        })
    };
    (sink, kept)
}

fn count() -> Speaker {
    Speaker::Plugin(Kind::Action, "Count".to_owned())
}

fn say(text: &str) -> Event {
    Event::Log { level: Level::Info, message: text.to_owned() }
}

fn session() -> Session {
    let ((session, _), _) = pair(Service::new(), Service::new(), &Limits::default(), &CancellationToken::new());
    session
}

#[tokio::test]
async fn a_call_is_spoken_of_by_its_plugin_and_its_owner_and_nobody_else() {
    let (feeds, call, (sink, kept)) = (Feeds::default(), CallId::new(), keeper(10));
    assert!(!feeds.say(&count(), call, say("too early")));
    let open = feeds.open(call, count(), Deadline::new(MINUTE), Some(sink)).unwrap();
    let twice = feeds.open(call, count(), Deadline::new(MINUTE), None).unwrap_err();
    assert_eq!(twice.code, ErrorCode::AlreadyExists);
    assert!(feeds.say(&count(), call, say("one")));
    assert!(feeds.say(&Speaker::Owner, call, say("two")));
    for (stranger, text) in [
        (Speaker::Plugin(Kind::Receiver, "Count".to_owned()), "a receiver"),
        (Speaker::Plugin(Kind::Action, "Other".to_owned()), "another action"),
        (Speaker::Peer(session()), "a peer"),
    ] {
        assert!(!feeds.say(&stranger, call, say(text)), "{text}");
        assert!(!feeds.retry_after(&stranger, call, MINUTE), "{text}");
    }
    assert!(!feeds.say(&count(), CallId::new(), say("of another call")));
    assert_eq!(open.retry_after(), None);
    drop(open);
    assert!(!feeds.say(&count(), call, say("too late")));
    assert_eq!(kept.lock().unwrap().1, [say("one"), say("two")]);
}

#[tokio::test]
async fn a_call_at_a_peer_is_spoken_of_over_its_own_session_only() {
    let (feeds, call, (sink, kept)) = (Feeds::default(), CallId::new(), keeper(10));
    let (asked, other) = (session(), session());
    let _open = feeds.open(call, Speaker::Peer(asked.clone()), Deadline::new(MINUTE), Some(sink)).unwrap();
    // The peer may be this very instance: then the call is under way here, too.
    let _here = feeds.open(call, count(), Deadline::new(MINUTE), None).unwrap();
    assert!(!feeds.say(&Speaker::Peer(other), call, say("of somebody else's call")));
    assert!(feeds.say(&Speaker::Peer(asked), call, say("of mine")));
    assert_eq!(kept.lock().unwrap().1, [say("of mine")]);
}

#[tokio::test]
async fn who_is_slow_is_told_how_many_lines_were_left_out() {
    let (feeds, call, (sink, kept)) = (Feeds::default(), CallId::new(), keeper(1));
    let open = feeds.open(call, count(), Deadline::new(MINUTE), Some(sink)).unwrap();
    for text in ["one", "two", "three"] {
        feeds.say(&count(), call, say(text));
    }
    assert_eq!(kept.lock().unwrap().1, [say("one")]);
    kept.lock().unwrap().0 = 2;
    feeds.say(&count(), call, say("four"));
    feeds.say(&count(), call, say("five"));
    kept.lock().unwrap().0 = 1;
    drop(open);
    let slow = |count| left_out(count, "the connection was too slow");
    assert_eq!(kept.lock().unwrap().1, [say("one"), slow(2), say("four"), slow(1)]);
}

#[tokio::test]
async fn a_chatty_call_is_heard_in_part_and_the_rest_counted() {
    let (feeds, call, (sink, kept)) = (Feeds::default(), CallId::new(), keeper(10_000));
    let open = feeds.open(call, count(), Deadline::new(MINUTE), Some(sink)).unwrap();
    for _ in 0..1_000 {
        feeds.say(&count(), call, say(&"é".repeat(MESSAGE)));
    }
    drop(open);
    let heard = std::mem::take(&mut kept.lock().unwrap().1);
    let Some(Event::Log { level: Level::Warn, message }) = heard.last() else { panic!("{:?}", heard.last()) };
    let left_out: usize = message.split(' ').next().unwrap().parse().unwrap();
    assert!(left_out > 500, "{message}");
    // The machine may be slow, and the lines be said in more than a second.
    let notes = heard.iter().filter(|event| matches!(event, Event::Log { level: Level::Warn, .. })).count();
    assert!(heard.len() - notes <= 1_000 - left_out);
    let Event::Log { message, .. } = &heard[0] else { panic!("{:?}", heard[0]) };
    assert_eq!(message.len(), MESSAGE);
}

#[tokio::test]
async fn working_moves_the_deadline() {
    let (feeds, call, deadline) = (Feeds::default(), CallId::new(), Deadline::new(MINUTE));
    let (sink, kept) = keeper(10);
    let _open = feeds.open(call, count(), deadline.clone(), Some(sink)).unwrap();
    let before = deadline.at();
    assert!(!feeds.say(&Speaker::Peer(session()), call, Event::Working));
    assert_eq!(deadline.at(), before);
    assert!(feeds.say(&count(), call, Event::Working));
    assert!(deadline.at() > before);
    assert_eq!(kept.lock().unwrap().1, [Event::Working]);
}

#[test]
fn who_gets_what() {
    let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let _guard = tokio.enter();
    let said = [say("on purpose"), Event::Progress { fraction: None, message: None }];
    for (sink, working, deliberate, output) in [
        (Sink::caller(session(), true), true, true, true),
        (Sink::caller(session(), false), true, false, false),
        (Sink::peer(session(), true), true, true, false),
        (Sink::peer(session(), false), true, false, false),
    ] {
        assert_eq!(sink.wants(&Event::Working), working);
        assert!(said.iter().all(|event| sink.wants(event) == deliberate));
        assert_eq!(sink.wants(&Event::Output("raw".to_owned())), output);
    }
}

#[tokio::test]
async fn not_more_than_some_follow_one_call() {
    let (feeds, call) = (Feeds::default(), CallId::new());
    let follow = || feeds.follow(call, keeper(1).0);
    assert_eq!(follow().unwrap_err().code, ErrorCode::NotFound);
    let _open = feeds.open(call, count(), Deadline::new(MINUTE), None).unwrap();
    assert!((0..FOLLOWERS).all(|_| follow().is_ok()));
    assert_eq!(follow().unwrap_err().code, ErrorCode::Busy);
}
