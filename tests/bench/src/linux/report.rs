//! The tables, in Markdown.

use super::counts::Cost;
use super::create::Growth;
use super::statistics::{Summary, Times, time};

/// What was found out.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) rows: Vec<Row>,
    pub(super) peers: Vec<Peer>,
    pub(super) growth: Growth,
}

/// What was to be reached, and what was.
#[derive(Debug)]
pub(super) struct Row {
    what: String,
    /// The other that it is compared with.
    against: String,
    limit: Limit,
    reached: Summary,
    /// The medians of both, in words.
    ours: String,
    theirs: String,
    /// Why it is what it is.
    reason: Option<&'static str>,
}

/// What a figure is to be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Limit {
    AtMost(f64),
    AtLeast(f64),
    /// Not to be told from 1, or less.
    NoWorse,
    /// It is only of interest.
    None,
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
    /// How much longer something takes than the other.
    pub(super) fn time(what: &str, against: &str, limit: Limit, ours: &Times, theirs: &Times) -> Self {
        Self::new(
            what,
            against,
            limit,
            ours.over(theirs),
            [ours, theirs].map(|times| time(times.summary().median)),
        )
    }

    /// How much longer the other takes.
    pub(super) fn speed(what: &str, against: &str, limit: Limit, ours: &Times, theirs: &Times) -> Self {
        Self::new(
            what,
            against,
            limit,
            theirs.over(ours),
            [ours, theirs].map(|times| time(times.summary().median)),
        )
    }

    /// A ratio of other things.
    pub(super) fn new(
        what: &str,
        against: &str,
        limit: Limit,
        reached: Summary,
        [ours, theirs]: [String; 2],
    ) -> Self {
        let [what, against] = [what, against].map(str::to_owned);
        Self { what, against, limit, reached, ours, theirs, reason: None }
    }

    /// A number that is the same each time.
    pub(super) fn count(what: &str, limit: f64, reached: f64) -> Self {
        let reached = Summary { low: reached, median: reached, high: reached };
        Self::new(what, "", Limit::AtMost(limit), reached, Default::default())
    }

    /// With the reason why it is what it is.
    pub(super) fn because(self, reason: &'static str) -> Self {
        Self { reason: Some(reason), ..self }
    }

    fn markdown(&self) -> String {
        let Self { what, against, limit, reached, ours, theirs, .. } = self;
        let (limit, verdict) = match limit {
            Limit::AtMost(limit) => (format!("≤ {limit}"), verdict(reached.median <= *limit)),
            Limit::AtLeast(limit) => (format!("≥ {limit}"), verdict(reached.median >= *limit)),
            Limit::NoWorse => ("no worse (lower quartile ≤ 1)".to_owned(), verdict(reached.low <= 1.0)),
            Limit::None => ("–".to_owned(), ""),
        };
        format!("| {what} | {against} | {limit} | {reached} | {ours} | {theirs} | {verdict} |\n")
    }

    fn note(&self) -> String {
        let Self { what, against, .. } = self;
        self.reason.map(|reason| format!("- {what}, against {against}: {reason}\n")).unwrap_or_default()
    }
}

const fn verdict(is_within: bool) -> &'static str {
    if is_within { "ok" } else { "**over**" }
}

impl Peer {
    fn markdown(&self) -> String {
        let (instructions, allocations) = match self.cost {
            Some(Cost { instructions, allocations }) => {
                (format!("{instructions:.0}"), format!("{allocations:.0}"))
            }
            None => Default::default(),
        };
        let (name, [low, median, high]) = (self.name, [self.time.low, self.time.median, self.time.high].map(time));
        format!("| {name} | {median} ({low} – {high}) | {instructions} | {allocations} |\n")
    }
}

impl Report {
    /// The tables, and what they are of.
    pub(super) fn markdown(&self, of: &str) -> String {
        let notes: String = self.rows.iter().map(Row::note).collect();
        let rows = table(
            "| what | against | limit | reached | vmbridge | the other | |\n|---|---|---|---|--:|--:|---|\n",
            self.rows.iter().map(Row::markdown),
        );
        let peers = table(
            "| who creates one bridge | time, with quartiles | instructions in user space | allocations |\n\
             |---|--:|--:|--:|\n",
            self.peers.iter().map(Peer::markdown),
        );
        let head = format!(
            "`ci/bench`, {of}. What was reached is the median of the ratios of neighbouring measurements, with \
             quartiles.\n"
        );
        let parts = [head, rows, notes, peers];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
    }
}

/// Nothing without rows.
fn table(head: &str, rows: impl Iterator<Item = String>) -> String {
    let rows: String = rows.collect();
    if rows.is_empty() { rows } else { head.to_owned() + &rows }
}

/// Where the README has the tables.
const MARKS: [&str; 2] = ["<!-- ci/bench -->\n", "<!-- /ci/bench -->\n"];

/// A text with something else between the marks.
pub(super) fn replace(old: &str, text: &str) -> String {
    let [begin, end] = MARKS;
    let (before, rest) = old.split_once(begin).expect("the first mark is there");
    let (_, after) = rest.split_once(end).expect("the second mark is there");
    format!("{before}{begin}\n{text}\n{end}{after}")
}
