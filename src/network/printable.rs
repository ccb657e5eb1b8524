//! What a file says, or is called, on a terminal: no character steers it, turns the direction of writing or hides,
//! and no text fills it.

use std::fmt::{self, Write};
#[cfg(feature = "store")]
use std::path::Path;

use super::report::from_fn;

/// The longest excerpt, in characters.
const MAX_EXCERPT: usize = 120;
/// The longest line of a diff, in characters: room for a small network in one line.
#[cfg(feature = "xml")]
const MAX_LINE: usize = 4096;

/// Displays the beginning of a text in quotes.
pub(super) fn quoted(text: &str) -> impl fmt::Display {
    from_fn(move |f| {
        f.write_char('"')?;
        write_cut(f, escaped(text, &['\'']), MAX_EXCERPT)?;
        f.write_char('"')
    })
}

/// Displays the beginning of a text, in which quotes and backslashes stay.
pub(super) fn excerpt(text: &str) -> impl fmt::Display {
    from_fn(move |f| write_cut(f, escaped(text, &['\'', '"', '\\']), MAX_EXCERPT))
}

/// Displays a path. All of it, since the file must be found; the system bounds its length.
#[cfg(feature = "store")]
pub(super) fn path(path: &Path) -> impl fmt::Display {
    from_fn(move |f| write_cut(f, escaped(&path.to_string_lossy(), &['\'', '"']), usize::MAX))
}

/// Displays a line of a diff, in which tabs stay, too, and so does its end.
#[cfg(feature = "xml")]
pub(super) fn line(line: &str) -> impl fmt::Display {
    from_fn(move |f| {
        let text = line.trim_end_matches(['\r', '\n']);
        write_cut(f, escaped(text, &['\'', '"', '\\', '\t']), MAX_LINE)?;
        f.write_str(line.strip_prefix(text).unwrap_or_default())
    })
}

/// The characters of a text, with those escaped that are not printable, and quotes and backslashes unless they are kept.
fn escaped(text: &str, kept: &'static [char]) -> impl Iterator<Item = char> {
    text.split_inclusive(kept).flat_map(move |piece| {
        let end = piece.chars().next_back().filter(|end| kept.contains(end));
        piece.strip_suffix(kept).unwrap_or(piece).escape_debug().chain(end)
    })
}

fn write_cut(f: &mut fmt::Formatter<'_>, mut text: impl Iterator<Item = char>, max: usize) -> fmt::Result {
    text.by_ref().take(max).try_for_each(|c| f.write_char(c))?;
    if text.next().is_some() { f.write_char('…') } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printable_stays() {
        let text = "Grüße, 'नमस्ते' e\u{301} 😀";
        assert_eq!(quoted(text).to_string(), format!("\"{text}\""));
        assert_eq!(quoted("\"\\\t\u{1b}\u{202e}").to_string(), r#""\"\\\t\u{1b}\u{202e}""#);
    }

    #[test]
    fn a_text_is_escaped_once_and_cut() {
        assert_eq!(excerpt(&format!("\"{}\" 'x'", "\u{1b}\\".escape_debug())).to_string(), r#""\u{1b}\\" 'x'"#);
        assert_eq!(excerpt("a\u{9b}\n\u{200b}").to_string(), r"a\u{9b}\n\u{200b}");
        let longest = "é".repeat(MAX_EXCERPT);
        assert_eq!(excerpt(&longest).to_string(), longest);
        assert_eq!(excerpt(&format!("{longest}é")).to_string(), format!("{longest}…"));
        assert_eq!(quoted(&"\u{1b}".repeat(1 << 20)).to_string().chars().count(), MAX_EXCERPT + 3);
    }

    #[cfg(feature = "xml")]
    #[test]
    fn a_line_keeps_its_end_and_its_tabs() {
        for kept in ["+\t<a b='c' d=\"e\\f\"/>\r\n", " \n", "-x", "\r\n"] {
            assert_eq!(line(kept).to_string(), kept);
        }
        assert_eq!(line("-a\r\u{1b}[2K\n").to_string(), "-a\\r\\u{1b}[2K\n");
        let long = line(&format!("{}\n", "x".repeat(1 << 20))).to_string();
        assert_eq!(long, format!("{}…\n", "x".repeat(MAX_LINE)));
    }
}
