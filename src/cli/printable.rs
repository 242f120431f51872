//! Untrusted text (keys, file names, messages of a store) made safe for one line of a terminal.
//!
//! All output passes through here: standard output, errors and warnings, the log, and the face of
//! xdelta3. A key may hold line breaks, which would forge lines; escape sequences, which would move
//! the cursor; and invisible characters or ones that change the direction of text, which would show
//! another name.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Returns a text as one line, without anything that steers a terminal.
///
/// Control characters and format characters become escapes, such as `\n` and `\u{202e}`. A
/// backslash stays as it is, so that ordinary names are printed as `aws` prints them.
pub(super) fn one_line(text: &str) -> Cow<'_, str> {
    escaped(text, |c, out| {
        let _ = write!(out, "{}", c.escape_default());
    })
}

/// Returns a line of JSON with the same characters in the escapes of JSON; such a character can
/// only be in a string.
pub(super) fn json_line(json: &str) -> Cow<'_, str> {
    escaped(json, |c, out| {
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(out, "\\u{unit:04x}");
        }
    })
}

fn escaped(text: &str, escape: impl Fn(char, &mut String)) -> Cow<'_, str> {
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if steers(c) {
            escape(c, &mut out);
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Returns whether a character steers a terminal or is invisible: control characters (Unicode
/// category Cc), line and paragraph separators (Zl, Zp), and the format characters (Cf) that are
/// invisible or change the direction of text.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_cannot_steer_a_terminal() {
        for (text, shown) in [
            ("plain é 日本 \\ \"q\"", "plain é 日本 \\ \"q\""),
            ("a\u{1b}[31mb", "a\\u{1b}[31mb"),
            ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
            ("a\u{202e}gpj.exe\u{200b}\u{85}", "a\\u{202e}gpj.exe\\u{200b}\\u{85}"),
            ("\u{e0041}\u{2066}", "\\u{e0041}\\u{2066}"),
        ] {
            assert_eq!(one_line(text), shown);
            let json = serde_json::to_string(text).unwrap();
            let line = json_line(&json);
            assert!(!line.contains(steers), "{line}");
            assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
        }
    }
}
