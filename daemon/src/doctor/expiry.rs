use std::fmt::Display;

use coattail::wire::doctor::{Finding, Level};
use jiff::{SignedDuration, Timestamp};

use super::finding::Area;

/// How long before its end a token or a certificate is worth a warning: time to ask somebody else for a new one.
pub(super) const SOON: SignedDuration = SignedDuration::from_hours(14 * 24);

/// Something that ends.
pub(super) struct Ending<'a> {
    pub(super) area: Area,
    /// How bad it is when it has ended.
    pub(super) ended: Level,
    pub(super) hint: &'a str,
}

impl Ending<'_> {
    /// What there is to say of its end, if it is near or over.
    pub(super) fn check(&self, subject: impl Display, expires: Option<Timestamp>, now: Timestamp) -> Option<Finding> {
        let expires = expires?;
        let left = expires.duration_since(now);
        if left > SOON {
            return None;
        }
        if left.is_positive() {
            let days = left.as_hours() / 24;
            let when = if days == 0 { "within a day".to_owned() } else { format!("in {days} days") };
            return Some(self.area.warning(subject, format!("ends {when}, at {expires}"), self.hint));
        }
        let message = format!("has ended, at {expires}");
        let finding = self.area.failure(subject, message, self.hint);
        Some(Finding { level: self.ended, ..finding })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_fourteen_days_are_worth_a_warning() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let ending = Ending { area: Area("tokens"), ended: Level::Failure, hint: "renew it" };
        for (expires, found) in [
            (None, None),
            (Some("2026-01-15T00:00:01Z"), None),
            (Some("2026-01-15T00:00:00Z"), Some((Level::Warning, "ends in 14 days, at 2026-01-15T00:00:00Z"))),
            (Some("2026-01-01T12:00:00Z"), Some((Level::Warning, "ends within a day, at 2026-01-01T12:00:00Z"))),
            (Some("2026-01-01T00:00:00Z"), Some((Level::Failure, "has ended, at 2026-01-01T00:00:00Z"))),
            (Some("2020-01-01T00:00:00Z"), Some((Level::Failure, "has ended, at 2020-01-01T00:00:00Z"))),
        ] {
            let finding = ending.check("it", expires.map(|at| at.parse().unwrap()), now);
            let got = finding.as_ref().map(|finding| (finding.level, finding.message.as_str()));
            assert_eq!(got, found, "{expires:?}");
        }
    }
}
