//! While publications are accepted, delivered and handled.

use std::collections::VecDeque;

use super::check::nothing_is_lost;
use super::fleet::{Fleet, PUBLISHER, SUBSCRIBERS};
use super::points::{During, Side};
use super::rounds::Round;
use super::traffic::Traffic;

#[test]
fn p1_p2_p3_nothing_is_lost_when_the_publisher_is_killed_at_any_point() {
    deliver(|round| round.point.side == Side::Publisher || round.point.side == Side::Any && victim(round) == PUBLISHER);
}

#[test]
fn p1_p2_p3_nothing_is_lost_when_a_subscriber_is_killed_at_any_point() {
    deliver(|round| {
        round.point.side == Side::Subscriber || round.point.side == Side::Any && victim(round) != PUBLISHER
    });
}

fn deliver(is_ours: fn(&Round) -> bool) {
    let mut rounds: VecDeque<_> = Round::all(&[During::Delivering]).into_iter().filter(is_ours).collect();
    let mut fleet = Fleet::new("");
    let traffic = Traffic::begin(fleet.publisher());
    while let Some(round) = rounds.pop_front() {
        let victim = victim(&round);
        fleet.arm(victim, &round);
        fleet.wait_for_the_kill(victim, &round, |fleet| traffic.go_on_from(fleet.handled()));
        // One that is killed again needs no start in between; half of them have one.
        let is_next = rounds.front().is_some_and(|next| self::victim(next) == victim);
        if !is_next || round.chance % 2 == 0 {
            fleet.launch(victim);
        }
    }
    fleet.start_all();
    let accepted = traffic.end();
    nothing_is_lost(&fleet, &accepted);
}

/// Who is killed, among those who pass the point.
fn victim(round: &Round) -> usize {
    let chance = usize::try_from(round.chance).expect("small");
    match round.point.side {
        Side::Publisher => PUBLISHER,
        Side::Subscriber => 1 + chance % SUBSCRIBERS,
        Side::Any => chance % (1 + SUBSCRIBERS),
    }
}
