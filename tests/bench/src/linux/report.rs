//! The tables, in Markdown.

use super::counts::Cost;
use super::statistics::{Summary, Times, time};

/// What was to be reached, and what was.
#[derive(Debug)]
pub(super) struct Row {
    what: String,
    limit: String,
    reached: String,
    absolute: String,
    /// `None` where there is no limit.
    is_within: Option<bool>,
    reason: Option<&'static str>,
}

/// Someone who creates a bridge.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) name: &'static str,
    pub(super) time: Summary,
    /// In user space, where it was counted.
    pub(super) cost: Option<Cost>,
}

impl Row {
    /// A ratio that is at most so much.
    pub(super) fn ratio(what: &str, limit: f64, ratio: Summary, absolute: String) -> Self {
        let (limit, is_within) = if limit.is_finite() {
            (format!("≤ {limit}"), Some(ratio.median <= limit))
        } else {
            ("–".to_owned(), None)
        };
        Self::new(what, limit, ratio.to_string(), absolute, is_within)
    }

    /// A ratio that cannot be told from one of at most 1.
    pub(super) fn no_worse(what: &str, ratio: Summary, absolute: String) -> Self {
        Self::new(what, "no worse".to_owned(), ratio.to_string(), absolute, Some(ratio.low <= 1.0))
    }

    /// A ratio that is at least so much.
    pub(super) fn at_least(what: &str, limit: f64, ratio: Summary, absolute: String) -> Self {
        Self::new(what, format!("≥ {limit}"), ratio.to_string(), absolute, Some(ratio.median >= limit))
    }

    /// A number of things that is at most so large, and what it is for others.
    pub(super) fn count(what: &str, limit: String, reached: String, is_within: bool) -> Self {
        Self::new(what, limit, reached, String::new(), Some(is_within))
    }

    /// With the reason why it is what it is.
    pub(super) fn because(self, reason: &'static str) -> Self {
        Self { reason: Some(reason), ..self }
    }

    fn new(what: &str, limit: String, reached: String, absolute: String, is_within: Option<bool>) -> Self {
        Self { what: what.to_owned(), limit, reached, absolute, is_within, reason: None }
    }

    pub(super) fn markdown(&self) -> String {
        let Self { what, limit, reached, absolute, is_within, reason } = self;
        let verdict = match is_within {
            Some(true) => "ok",
            Some(false) => "**over**",
            None => "",
        };
        let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
        format!("| {what}{reason} | {limit} | {reached} | {absolute} | {verdict} |\n")
    }
}

impl Peer {
    fn markdown(&self) -> String {
        let Summary { low, median, high } = self.time;
        let (instructions, allocations) = match self.cost {
            Some(Cost { instructions, allocations }) => {
                (format!("{instructions:.0}"), format!("{allocations:.0}"))
            }
            None => Default::default(),
        };
        let (name, time) = (self.name, time(median));
        format!("| {name} | {time} ({low:.0}–{high:.0}) | {instructions} | {allocations} |\n")
    }
}

/// What two have taken, in words.
pub(super) fn same_unit(one: &Times, other: &Times) -> String {
    format!("{}; {}", time(one.summary().median), time(other.summary().median))
}

/// Where the README has the tables.
const MARKS: [&str; 2] = ["<!-- ci/bench -->\n", "<!-- /ci/bench -->\n"];

/// The tables, and what they are of.
pub(super) fn markdown(rows: &[Row], peers: &[Peer], date: &str, kernel: &str) -> String {
    let rows: String = rows.iter().map(Row::markdown).collect();
    let peers: String = peers.iter().map(Peer::markdown).collect();
    format!(
        "Measured by `ci/bench` on {date}, Linux {kernel}. Ratios are medians of those of neighbouring \
         measurements, with quartiles.\n\n\
         | what | limit | reached | medians | |\n|---|---|---|---|---|\n{rows}\n\
         | who creates a bridge with MAC and MTU, up | time, with quartiles | instructions in user space | allocations |\n\
         |---|---|--:|--:|\n{peers}"
    )
}

/// A text with something else between the marks.
pub(super) fn replace(old: &str, text: &str) -> String {
    let [begin, end] = MARKS;
    let (before, rest) = old.split_once(begin).expect("the first mark is there");
    let (_, after) = rest.split_once(end).expect("the second mark is there");
    format!("{before}{begin}\n{text}\n{end}{after}")
}
