//! The language of `bridge.conf`, as `parse_acl_file()` of QEMU's `qemu-bridge-helper.c` reads it:
//!
//! ```text
//! # allow or deny a bridge, or all of them
//! allow br0
//! deny all
//! # the rules of another file too, of those who can read it
//! include /etc/qemu/alice.conf
//! ```
//!
//! What is not allowed is denied, and a deny wins over every allow, wherever it stands. A line that
//! QEMU's helper takes for a rule about nothing (`allow br0 # mine` is about a bridge called
//! `br0 # mine`) is an error here.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use vmbridge::{InterfaceName, InvalidName};

/// The longest line, in bytes without its end: of a longer one QEMU's helper takes what follows for
/// another line, which a comment could end in.
const MAX_LINE: usize = 4095;

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Statement {
    Rule(Rule),
    Include(PathBuf),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    Allow(Bridges),
    Deny(Bridges),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bridges {
    All,
    One(InterfaceName),
}

/// Why a line says nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadLine {
    #[error("it is longer than {MAX_LINE} bytes")]
    TooLong,
    #[error("\"{0}\" is none of allow, deny and include, followed by a blank")]
    Keyword(String),
    #[error("\"{0}\" is no interface name: it is no UTF-8")]
    Encoding(String),
    #[error(transparent)]
    Name(#[from] InvalidName),
    #[error("the path of an included file must begin with /")]
    RelativePath,
}

/// Reads a file's statements, each with the number of its line.
pub(crate) fn parse(text: &[u8]) -> Result<Vec<(usize, Statement)>, (usize, BadLine)> {
    let mut statements = Vec::new();
    for (number, line) in (1..).zip(text.split(|&byte| byte == b'\n')) {
        match parse_line(line) {
            Ok(Some(statement)) => statements.push((number, statement)),
            Ok(None) => {}
            Err(why) => return Err((number, why)),
        }
    }
    Ok(statements)
}

fn parse_line(line: &[u8]) -> Result<Option<Statement>, BadLine> {
    if line.len() > MAX_LINE {
        return Err(BadLine::TooLong);
    }
    let line = line.trim_ascii_start();
    if matches!(line, [] | [b'#', ..]) {
        return Ok(None);
    }
    // The first space ends the keyword, and a tab only where the line has no space: QEMU's way.
    let separator = [b' ', b'\t'].into_iter().find_map(|blank| line.iter().position(|&byte| byte == blank));
    let (keyword, argument) = match separator {
        Some(at) => (&line[..at], line[at + 1..].trim_ascii()),
        None => (line, &[][..]),
    };
    match (keyword, separator) {
        (b"allow", Some(_)) => Ok(Some(Statement::Rule(Rule::Allow(parse_bridges(argument)?)))),
        (b"deny", Some(_)) => Ok(Some(Statement::Rule(Rule::Deny(parse_bridges(argument)?)))),
        (b"include", Some(_)) if argument.starts_with(b"/") => {
            Ok(Some(Statement::Include(OsStr::from_bytes(argument).into())))
        }
        (b"include", Some(_)) => Err(BadLine::RelativePath),
        _ => Err(BadLine::Keyword(keyword.escape_ascii().to_string())),
    }
}

fn parse_bridges(argument: &[u8]) -> Result<Bridges, BadLine> {
    match std::str::from_utf8(argument) {
        Ok("all") => Ok(Bridges::All),
        Ok(name) => Ok(Bridges::One(name.parse()?)),
        Err(_) => Err(BadLine::Encoding(argument.escape_ascii().to_string())),
    }
}

/// What rules say of a bridge.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict<T> {
    Allowed,
    /// By the rule that was found there.
    DeniedBy(T),
    /// No rule allows it.
    NotAllowed,
}

/// Judges a bridge by rules, each found somewhere.
pub(crate) fn judge<T>(bridge: InterfaceName, rules: impl IntoIterator<Item = (T, Rule)>) -> Verdict<T> {
    let is_meant = |bridges| bridges == Bridges::All || bridges == Bridges::One(bridge);
    let mut verdict = Verdict::NotAllowed;
    for (place, rule) in rules {
        match rule {
            Rule::Deny(bridges) if is_meant(bridges) => return Verdict::DeniedBy(place),
            Rule::Allow(bridges) if is_meant(bridges) => verdict = Verdict::Allowed,
            _ => {}
        }
    }
    verdict
}

#[cfg(test)]
mod tests;
