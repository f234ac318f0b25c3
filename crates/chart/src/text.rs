//! Texts: made safe for XML, measured, shortened and wrapped.

/// Advance widths of the printable ASCII characters in DejaVu Sans, in hundredths of the font's size. It is one of the widest fonts
/// that browsers use for text without serifs, so what fits in it fits in others.
const WIDTHS: [u8; 95] = [
    32, 40, 46, 84, 64, 95, 78, 27, 39, 39, 50, 84, 32, 36, 32, 34, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    34, 34, 84, 84, 84, 53, 100, 68, 69, 70, 77, 63, 58, 77, 75, 29, 29, 66, 56, 86, 75, 79, 60, 79, 69, 63,
    61, 73, 68, 99, 69, 61, 69, 39, 34, 39, 84, 50, 50, 61, 63, 55, 63, 62, 35, 63, 63, 28, 28, 58, 28, 97,
    63, 61, 63, 63, 41, 52, 39, 63, 59, 82, 59, 59, 52, 64, 34, 64, 84,
];

/// The width of a text in a font of this size, in pixels; of bold text about a tenth more. Of characters that DejaVu Sans lacks it is
/// an estimate from above.
pub fn width(text: &str, size: f64) -> f64 {
    let hundredths = |character: char| match character as u32 {
        code @ 32..=126 => u32::from(WIDTHS[code as usize - 32]),
        0x300..=0x36f | 0x200b..=0x200f | 0xfe00..=0xfe0f => 0,
        0..=0x10ff => 80,
        0x2000..=0x206f => 100,
        _ => 130,
    };
    text.chars().map(hundredths).sum::<u32>() as f64 / 100.0 * size
}

/// The most characters of a text. Only a title that was made to do harm has more: for example one of marks without width.
const MOST: usize = 500;

/// A text without control characters and without characters that change the direction of what follows, on one line. A text of more than
/// 500 characters is cut, with an ellipsis at its end.
pub fn clean(text: &str) -> String {
    match text.char_indices().nth(MOST) {
        Some((end, _)) => one_line(&text[..end]) + "\u{2026}",
        None => one_line(text),
    }
}

/// The same without a limit, for texts of our own.
pub fn one_line(text: &str) -> String {
    let allowed = |character: char| match character {
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => Some(' '),
        // These would turn around what follows them.
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => None,
        '\u{fffe}' | '\u{ffff}' => Some('\u{fffd}'),
        other => Some(other),
    };
    let text: String = text.chars().filter_map(allowed).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A clean text for kuva, which would read what stands between two dollar signs as a formula.
pub fn literal(text: &str) -> String {
    clean(text).replace('$', "\\$")
}

/// A clean text that is cut, with an ellipsis at its end, if it is wider than so many pixels.
pub fn shorten(text: &str, size: f64, most: f64) -> String {
    let text = clean(text);
    if width(&text, size) <= most {
        return text;
    }
    let mut short = String::new();
    for character in text.chars() {
        if width(&short, size) + width(&character.to_string(), size) + size > most {
            break;
        }
        short.push(character);
    }
    format!("{}\u{2026}", short.trim_end())
}

/// The lines of a clean text, none wider than so many pixels, and at most so many. The last one is cut if there are more.
pub fn wrap(text: &str, size: f64, most: f64, lines: usize) -> Vec<String> {
    let mut wrapped: Vec<String> = Vec::new();
    for word in clean(text).split(' ').filter(|word| !word.is_empty()) {
        let is_last = wrapped.len() == lines;
        match wrapped.last_mut() {
            Some(line) if is_last || width(&format!("{line} {word}"), size) <= most => {
                *line += " ";
                *line += word;
            }
            _ => wrapped.push(word.into()),
        }
    }
    wrapped.iter().map(|line| shorten(line, size, most)).collect()
}

/// A document in ASCII: every other character becomes a numeric character reference.
pub fn ascii(document: &str) -> String {
    let mut text = String::with_capacity(document.len());
    for character in document.chars() {
        if character.is_ascii() {
            text.push(character);
        } else {
            text += &format!("&#x{:X};", character as u32);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cleaned_shortened_and_wrapped() {
        assert_eq!(clean("a\u{1}b\n\nc \u{202e}d"), "a b c d");
        assert_eq!(literal("$5 and $6"), "\\$5 and \\$6");
        let long = "W".repeat(200);
        for most in [50.0, 100.0, 300.0] {
            let short = shorten(&long, 12.0, most);
            assert!(width(&short, 12.0) <= most && short.ends_with('\u{2026}'));
        }
        let lines = wrap("one two three four five six", 10.0, 60.0, 2);
        assert_eq!(lines.len(), 2);
        assert!(lines.iter().all(|line| width(line, 10.0) <= 60.0));
        assert_eq!(ascii("Caf\u{e9}"), "Caf&#xE9;");
        assert_eq!(clean(&"\u{301}".repeat(100_000)).chars().count(), MOST + 1);
    }
}
