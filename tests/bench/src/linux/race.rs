//! Several contenders who create bridges by turns.

use std::ops::Range;

use super::contender::{Contender, Creator};
use super::namespace::{Namespace, Namespaces};
use super::statistics::Times;
use super::tools::Tools;

/// The contenders, and the network namespaces that they are in.
pub(super) struct Race {
    runners: Vec<Runner>,
    laps: usize,
    /// The number of the next bridge.
    next: u32,
    /// Dropped after those that have sockets in them.
    namespaces: Vec<Namespace>,
}

struct Runner {
    contender: Contender,
    creator: Box<dyn Creator>,
    times: Times,
    /// The bridges that it created last.
    last: Range<u32>,
}

impl Race {
    /// Each in a fresh namespace of its own.
    pub(super) fn apart(namespaces: &Namespaces, tools: &Tools, contenders: &[Contender]) -> Self {
        // All of them before the first is used: each is had only when the kernel is at rest.
        let namespaces: Vec<Namespace> = contenders.iter().map(|_| namespaces.fresh()).collect();
        let enter = |(&contender, namespace): (&Contender, &Namespace)| {
            namespace.enter();
            Runner::new(contender, tools)
        };
        let runners = contenders.iter().zip(&namespaces).map(enter).collect();
        Self { runners, laps: 0, next: 1, namespaces }
    }

    /// All in one.
    pub(super) fn together(namespaces: &Namespaces, tools: &Tools, contenders: &[Contender]) -> Self {
        let namespace = namespaces.fresh();
        let runners = contenders.iter().map(|&contender| Runner::new(contender, tools)).collect();
        Self { runners, laps: 0, next: 1, namespaces: vec![namespace] }
    }

    /// As if it had gone so many laps already, so that not every race begins with the same one.
    pub(super) fn at_lap(self, laps: usize) -> Self {
        Self { laps, ..self }
    }

    /// Has each create so many bridges, which is not recorded: what is done for the first time takes longer.
    pub(super) fn warm_up(&mut self, count: u32) {
        for runner in &mut self.runners {
            runner.run(&mut self.next, count);
        }
    }

    /// Has each create so many bridges. Every other time they go in reverse, so that none always comes after the
    /// same one.
    pub(super) fn lap(&mut self, count: u32) {
        let mut order: Vec<&mut Runner> = self.runners.iter_mut().collect();
        let runners = order.len();
        order.rotate_left(self.laps / 2 % runners);
        if self.laps % 2 == 1 {
            order.reverse();
        }
        for runner in order {
            let time = runner.run(&mut self.next, count);
            runner.times.push(time, count);
        }
        self.laps += 1;
    }

    /// How many bridges have been created, by all.
    pub(super) const fn created(&self) -> u32 {
        self.next - 1
    }

    /// Takes out what each has taken for one bridge.
    pub(super) fn times(&mut self) -> Vec<(Contender, Times)> {
        self.runners.iter_mut().map(|runner| (runner.contender, std::mem::take(&mut runner.times))).collect()
    }

    /// The bridges that a contender created last; the calling thread goes to where they are.
    pub(super) fn visit(&self, contender: Contender) -> Range<u32> {
        let place = self.runners.iter().position(|runner| runner.contender == contender).expect("it takes part");
        self.namespaces[place % self.namespaces.len()].enter();
        self.runners[place].last.clone()
    }
}

impl Runner {
    fn new(contender: Contender, tools: &Tools) -> Self {
        Self { contender, creator: contender.open(&tools.plain), times: Times::default(), last: 0..0 }
    }

    fn run(&mut self, next: &mut u32, count: u32) -> std::time::Duration {
        self.last = *next..*next + count;
        *next += count;
        self.creator.prepare(self.last.start, count);
        self.creator.create(self.last.len())
    }
}

/// What one of them has taken.
pub(super) fn of(times: &[(Contender, Times)], wanted: Contender) -> &Times {
    let found = times.iter().find(|(contender, _)| *contender == wanted);
    &found.expect("it takes part").1
}

/// What all have taken, in one more race.
pub(super) fn add(sum: &mut Vec<(Contender, Times)>, times: Vec<(Contender, Times)>) {
    if sum.is_empty() {
        *sum = times;
    } else {
        for ((_, sum), (_, times)) in sum.iter_mut().zip(times) {
            sum.0.extend(times.0);
        }
    }
}
