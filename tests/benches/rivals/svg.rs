//! A curve with its spread, as a picture.

use std::fmt;

#[derive(Debug)]
pub(super) struct Plot {
    pub(super) title: &'static str,
    pub(super) x: Axis,
    /// The unit.
    pub(super) y: &'static str,
    pub(super) curve: Curve,
}

#[derive(Debug)]
pub(super) struct Curve {
    /// Where, the least, the median, the most.
    pub(super) points: Vec<(f64, f64, f64, f64)>,
}

#[derive(Debug)]
pub(super) struct Axis {
    name: &'static str,
    is_logarithmic: bool,
}

impl Axis {
    pub(super) fn linear(name: &'static str) -> Self {
        Self { name, is_logarithmic: false }
    }

    pub(super) fn logarithmic(name: &'static str) -> Self {
        Self { name, is_logarithmic: true }
    }

    fn scale(&self, value: f64) -> f64 {
        if self.is_logarithmic { value.log10() } else { value }
    }
}

impl fmt::Display for Plot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let points = &self.curve.points;
        let (first, last) = (points.first().map_or(0.0, |point| point.0), points.last().map_or(1.0, |point| point.0));
        let (first, last) = (self.x.scale(first), self.x.scale(last));
        // From nothing, so that the picture does not make much of little.
        let top = nice(points.iter().map(|point| point.3).fold(f64::MIN_POSITIVE, f64::max));
        let x = |value: f64| LEFT + (self.x.scale(value) - first) / (last - first).max(f64::MIN_POSITIVE) * ACROSS;
        let y = |value: f64| TOP + DOWN - value / top * DOWN;
        let (width, height) = (LEFT + ACROSS + 24.0, TOP + DOWN + 48.0);
        writeln!(
            f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
             font-size=\"12\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n\
             <text x=\"{LEFT}\" y=\"20\" font-size=\"14\">{}</text>",
            self.title
        )?;
        for step in 0..=4 {
            let value = top * f64::from(step) / 4.0;
            let at = y(value);
            let right = LEFT + ACROSS;
            writeln!(f, "<path d=\"M{LEFT} {at:.1}H{right}\" stroke=\"#ddd\"/>")?;
            writeln!(f, "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>", LEFT - 6.0, at + 4.0)?;
        }
        writeln!(f, "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>", LEFT - 6.0, TOP - 10.0, self.y)?;
        for (value, ..) in points {
            let below = TOP + DOWN + 18.0;
            writeln!(f, "<text x=\"{:.1}\" y=\"{below}\" text-anchor=\"middle\">{}</text>", x(*value), short(*value))?;
        }
        let middle = LEFT + ACROSS / 2.0;
        writeln!(f, "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text>", TOP + DOWN + 38.0, self.x.name)?;
        let line: Vec<String> =
            points.iter().map(|(at, _, middle, _)| format!("{:.1} {:.1}", x(*at), y(*middle))).collect();
        let most = points.iter().map(|(at, _, _, most)| format!("{:.1} {:.1}", x(*at), y(*most)));
        let least = points.iter().rev().map(|(at, least, ..)| format!("{:.1} {:.1}", x(*at), y(*least)));
        let spread: Vec<String> = most.chain(least).collect();
        writeln!(f, "<path d=\"M{}Z\" fill=\"#2b6cb0\" fill-opacity=\".15\"/>", spread.join("L"))?;
        writeln!(f, "<path d=\"M{}\" fill=\"none\" stroke=\"#2b6cb0\" stroke-width=\"2\"/>\n</svg>", line.join("L"))
    }
}

const LEFT: f64 = 64.0;
const TOP: f64 = 48.0;
const ACROSS: f64 = 560.0;
const DOWN: f64 = 240.0;

/// The next number that people like.
fn nice(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    [1.0, 2.0, 4.0, 8.0, 10.0].map(|step| step * power).into_iter().find(|step| *step >= value).unwrap_or(value)
}

fn short(value: f64) -> String {
    if value >= 1e6 {
        format!("{} M", value / 1e6)
    } else if value >= 1e4 {
        format!("{} k", value / 1e3)
    } else {
        value.to_string()
    }
}
