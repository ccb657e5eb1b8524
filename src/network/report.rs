//! What the errors of networks have in common: one sentence with all causes, and the way to the
//! error of the backend.
//!
//! `Display` of an error leaves out its source: callers that print a chain print the source next.

use std::error::Error;
use std::fmt;

/// Displays what a function writes (`std::fmt::from_fn`, which Rust 1.85 lacks).
pub(super) fn from_fn(write: impl Fn(&mut fmt::Formatter<'_>) -> fmt::Result) -> impl fmt::Display {
    struct FromFn<F>(F);

    impl<F: Fn(&mut fmt::Formatter<'_>) -> fmt::Result> fmt::Display for FromFn<F> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            (self.0)(f)
        }
    }

    FromFn(write)
}

/// Returns the first error of a backend among the causes of an error.
pub(super) fn backend_error<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e crate::Error> {
    std::iter::successors(Some(error), |&error| error.source()).find_map(|error| error.downcast_ref())
}

/// Writes what an error has that says where something went wrong, and what: `$place` and a colon come before the text
/// of the field `$reason`.
macro_rules! place_and_reason {
    ($Error:ident, $reason:ident, |$error:ident| $place:expr) => {
        impl $Error {
            /// Returns the backend's error, if that is the cause.
            #[must_use]
            pub fn backend_error(&self) -> Option<&crate::Error> {
                crate::network::report::backend_error(self)
            }

            /// Returns what may help, where the cause is known ([`hint`](crate::hint)).
            #[must_use]
            pub fn hint(&self) -> Option<&'static str> {
                self.backend_error().and_then(crate::hint)
            }

            /// Displays the whole error in one sentence, all causes included.
            #[must_use]
            pub fn report(&self) -> impl std::fmt::Display {
                let $error = self;
                crate::network::report::from_fn(move |f| write!(f, "{}: {}", $place, $error.$reason.report()))
            }
        }

        impl std::fmt::Display for $Error {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let $error = self;
                write!(f, "{}: {}", $place, $error.$reason)
            }
        }

        impl std::error::Error for $Error {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                // The text of the reason is part of this error's.
                self.$reason.source()
            }
        }

        impl From<$Error> for std::io::Error {
            /// Keeps the kind; the error itself is the inner one.
            fn from(error: $Error) -> Self {
                Self::new(error.$reason.io_kind(), error)
            }
        }
    };
}

pub(super) use place_and_reason;

#[cfg(all(test, feature = "store"))]
mod tests {
    use std::io;

    use super::*;
    use crate::network::{
        DocumentReason, InvalidDocument, InvalidFiles, InvalidNetwork, NetworkError, NetworkFailure, NetworkName,
        StoreError, StoreReason,
    };
    use crate::{Attempt, ErrorKind, Operation};

    fn backend() -> crate::Error {
        let at =
            Attempt::new("netlink", Operation::Create).on("br0".parse::<crate::InterfaceName>().expect("a name"));
        at.os(ErrorKind::PermissionDenied, 1)
    }

    fn full() -> io::Error {
        io::Error::from(io::ErrorKind::StorageFull)
    }

    fn invalid() -> InvalidNetwork {
        NetworkName::new("a/b").expect_err("it has a slash")
    }

    fn at(reason: impl Into<StoreReason>) -> StoreError {
        StoreError::new("/etc/lan.xml".as_ref(), reason)
    }

    fn of_lan(failure: impl Into<NetworkFailure>) -> NetworkError {
        NetworkError::new("lan".parse().expect("a name"), failure.into())
    }

    /// The texts of an error and of all its sources, as anyhow prints them.
    fn chain(error: &(dyn Error + 'static)) -> Vec<String> {
        std::iter::successors(Some(error), |&error| error.source()).map(ToString::to_string).collect()
    }

    /// Checks that no text of the chain repeats another, and gives the chain in one line.
    #[track_caller]
    fn checked(error: &(dyn Error + 'static)) -> String {
        let texts = chain(error);
        for (number, text) in texts.iter().enumerate() {
            let is_elsewhere = |(other, said): (usize, &String)| other != number && said.contains(&**text);
            assert!(!texts.iter().enumerate().any(is_elsewhere), "{texts:#?}");
        }
        texts.join(" < ")
    }

    #[track_caller]
    fn check<E: Error + Into<io::Error> + 'static>(error: E, report: &str, kind: io::ErrorKind, causes: &[&str]) {
        assert!(report.starts_with(&*error.to_string()) || error.to_string().contains("failed"), "{report}");
        let chain = checked(&error);
        for cause in causes {
            assert_eq!(chain.matches(cause).count(), 1, "{chain}");
            assert_eq!(report.matches(cause).count(), 1, "{report}");
        }
        let error: io::Error = error.into();
        assert_eq!(error.kind(), kind);
        assert_eq!(checked(&error), chain);
    }

    /// [`check`] of an error that has a report.
    macro_rules! check {
        ($error:expr, $kind:ident, $causes:expr) => {{
            let error = $error;
            let report = error.report().to_string();
            check(error, &report, io::ErrorKind::$kind, &$causes);
        }};
    }

    #[test]
    fn no_text_of_a_chain_is_repeated() {
        let denied = "cannot create bridge br0: permission denied";
        check!(invalid(), InvalidInput, ["\"a/b\""]);
        check!(
            InvalidDocument::from(DocumentReason::Io(full())),
            StorageFull,
            ["cannot read it", "no storage space"]
        );
        check!(InvalidDocument::from(DocumentReason::Network(invalid())), InvalidData, ["\"a/b\""]);
        check!(
            InvalidFiles::from(InvalidDocument::from(DocumentReason::Io(full()))),
            StorageFull,
            ["no storage space"]
        );
        check!(at(backend()), PermissionDenied, ["/etc/lan.xml", denied]);
        check!(at(StoreReason::NotDurable(full())), StorageFull, ["/etc/lan.xml", "no storage space"]);
        check!(
            at(StoreReason::Io { doing: "open", error: full() }),
            StorageFull,
            ["cannot open it", "no storage space"]
        );
        check!(at(invalid()), InvalidInput, ["\"a/b\""]);
        check!(
            at(InvalidDocument::from(DocumentReason::Io(full()))),
            StorageFull,
            ["cannot read it", "no storage space"]
        );
        check!(at(StoreReason::NotDefined), NotFound, ["/etc/lan.xml"]);
        check!(of_lan(backend()), PermissionDenied, ["network lan", denied]);
        check!(of_lan(invalid()), InvalidInput, ["network lan", "\"a/b\""]);
        check!(of_lan(at(backend())), PermissionDenied, ["network lan", "/etc/lan.xml", denied]);
        check!(of_lan(at(StoreReason::NotDurable(full()))), StorageFull, ["/etc/lan.xml", "no storage space"]);
        let rollback = Box::new(at(StoreReason::Io { doing: "remove", error: full() }));
        let failure = NetworkFailure::RollbackFailed { failure: Box::new(backend().into()), rollback };
        check!(of_lan(failure), PermissionDenied, ["network lan", denied, "rollback failed", "no storage space"]);
    }

    #[test]
    fn leads_to_the_error_of_the_backend() {
        let failures: [NetworkFailure; 2] = [backend().into(), at(backend()).into()];
        for failure in failures {
            assert_eq!(failure.backend_error().map(crate::Error::kind), Some(ErrorKind::PermissionDenied));
            let rollback = Box::new(at(StoreReason::NotDefined));
            let error = of_lan(NetworkFailure::RollbackFailed { failure: Box::new(failure), rollback });
            assert_eq!(error.backend_error().map(crate::Error::kind), Some(ErrorKind::PermissionDenied));
        }
        assert!(of_lan(at(StoreReason::NotDefined)).backend_error().is_none());
    }

    #[test]
    fn a_report_is_one_sentence() {
        let error = of_lan(at(backend())).report().to_string();
        assert!(
            error.starts_with("network lan: /etc/lan.xml: cannot create bridge br0: permission denied ("),
            "{error}"
        );
    }
}
