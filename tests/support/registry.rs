//! The registry of a test program: which tests it has, their names, and what they need.
//!
//! The name of a test is the path of its function within the program. The values that it runs with
//! follow the path, the backend first: `faults::fails_once::netlink::sendto::ENOMEM::create`.

use std::cell::RefCell;
use std::rc::Rc;

use libtest_mimic::{Arguments, Trial};
use vmbridge::Available;

use super::{isolated, prepare};

/// The path of a function of this module.
macro_rules! path_of {
    ($function:ident) => {
        concat!(module_path!(), "::", stringify!($function))
    };
}
pub(crate) use path_of;

/// Functions of this module, each with its path.
macro_rules! tests {
    ($($function:ident),+ $(,)?) => {
        [$(($crate::support::path_of!($function), $function)),+]
    };
}
pub(crate) use tests;

/// A test that runs on one backend.
pub(crate) type BackendTest = fn(&Available);

/// What a test does.
pub(crate) type Test = Box<dyn FnOnce() + Send>;

/// Runs a test of this name, in whatever place it needs.
pub(crate) type Runner = fn(name: &str, test: Test);

/// Runs the tests of a program that `register` adds, as the command line says.
pub(crate) fn run(register: impl FnOnce(&Registry)) -> ! {
    let args = Arguments::from_args();
    prepare();
    let trials = Rc::default();
    register(&Registry { trials: Rc::clone(&trials), needs: None, runner: isolated });
    libtest_mimic::run(&args, trials.take()).exit()
}

/// Takes the tests of a program. Tests added through [`Registry::needs`] or [`Registry::run_by`] join the
/// same program.
#[derive(Clone)]
pub(crate) struct Registry {
    trials: Rc<RefCell<Vec<Trial>>>,
    needs: Option<&'static str>,
    runner: Runner,
}

impl Registry {
    /// For tests that need more than every machine has. They are ignored unless asked for
    /// (`--include-ignored`). `None` is for a machine that has what they need.
    pub(crate) fn needs(&self, what: impl Into<Option<&'static str>>) -> Self {
        Self { needs: what.into(), ..self.clone() }
    }

    /// For tests that this function runs, in place of a network namespace or a jail of their own.
    pub(crate) fn run_by(&self, runner: Runner) -> Self {
        Self { runner, ..self.clone() }
    }

    /// For tests that run on the host itself, and leave its network alone.
    pub(crate) fn on_host(&self) -> Self {
        self.run_by(|_, test| test())
    }

    /// Adds tests.
    pub(crate) fn add(&self, tests: &[(&str, fn())]) {
        for &(path, test) in tests {
            self.add_with(path, &[], test);
        }
    }

    /// Adds tests that run once for each backend.
    pub(crate) fn add_on_each_backend(&self, tests: &[(&str, BackendTest)]) {
        for backend in vmbridge::AVAILABLE {
            for &(path, test) in tests {
                self.add_with(path, &[backend.name], move || test(backend));
            }
        }
    }

    /// Adds a test that runs with these values.
    pub(crate) fn add_with(&self, path: &str, values: &[&str], test: impl FnOnce() + Send + 'static) {
        let (_program, path) = path.split_once("::").expect("a path begins with its program");
        let name = [&[path], values].concat().join("::");
        let runner = self.runner;
        let trial = Trial::test(name.clone(), move || {
            runner(&name, Box::new(test));
            Ok(())
        });
        self.trials.borrow_mut().push(match self.needs {
            Some(what) => trial.with_kind(format!("needs {what}")).with_ignored_flag(true),
            None => trial,
        });
    }
}
