use jiff::Timestamp;

/// A time for people: `3 h ago`, `in 2 days`. What is no time is shown as it is.
pub(crate) fn ago(rfc3339: &str) -> String {
    relative(rfc3339, Timestamp::now())
}

/// A time for people who want to know it exactly: `2026-12-01T00:00:00Z (in 11 days)`.
pub(crate) fn when(rfc3339: &str) -> String {
    format!("{rfc3339} ({})", ago(rfc3339))
}

fn relative(rfc3339: &str, now: Timestamp) -> String {
    let Ok(time) = rfc3339.parse::<Timestamp>() else { return rfc3339.to_owned() };
    let seconds = time.as_second() - now.as_second();
    let amount = match seconds.unsigned_abs() {
        0..=4 => return "now".to_owned(),
        s @ 5..=119 => format!("{s} s"),
        s @ 120..=7_199 => format!("{} min", s / 60),
        s @ 7_200..=172_799 => format!("{} h", s / 3_600),
        s => format!("{} days", s / 86_400),
    };
    if seconds < 0 { format!("{amount} ago") } else { format!("in {amount}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_people_tell_them() {
        let now = "2026-01-02T00:00:00Z".parse().expect("a time");
        for (time, told) in [
            ("2026-01-02T00:00:00Z", "now"),
            ("2026-01-01T23:59:30Z", "30 s ago"),
            ("2026-01-02T00:10:00Z", "in 10 min"),
            ("2026-01-01T20:00:00Z", "4 h ago"),
            ("2026-02-02T00:00:00Z", "in 31 days"),
            ("soon", "soon"),
        ] {
            assert_eq!(relative(time, now), told);
        }
    }
}
