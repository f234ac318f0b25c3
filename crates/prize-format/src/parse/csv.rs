//! Splits a line into fields, with quotes as in a CSV file (RFC 4180) or without.

/// A field of a line, without its quotes.
pub struct Field {
    pub text: Vec<u8>,
    pub is_quoted: bool,
}

/// A line that follows the rules of CSV for quotes.
pub struct QuotedLine {
    pub fields: Vec<Field>,
    /// Whether a field that is not in quotes has a quote in it.
    pub has_bare_quote: bool,
}

/// Splits at every separator. Quotes have no meaning.
pub fn split(line: &[u8], separator: u8) -> Vec<Field> {
    line.split(|&b| b == separator).map(|text| Field { text: text.into(), is_quoted: false }).collect()
}

/// Splits at the separators outside quotes. `None` where a quoted field is not closed, or where its closing quote is
/// not followed by a separator or the end of the line.
pub fn split_quoted(line: &[u8], separator: u8) -> Option<QuotedLine> {
    let (mut fields, mut has_bare_quote, mut rest) = (Vec::new(), false, line);
    loop {
        let (field, after) = match rest.strip_prefix(b"\"") {
            Some(text) => unquote(text).map(|(text, after)| (Field { text, is_quoted: true }, after))?,
            None => {
                let end = rest.iter().position(|&b| b == separator).unwrap_or(rest.len());
                has_bare_quote |= rest[..end].contains(&b'"');
                (Field { text: rest[..end].into(), is_quoted: false }, &rest[end..])
            }
        };
        fields.push(field);
        rest = match after {
            [] => return Some(QuotedLine { fields, has_bare_quote }),
            [next, rest @ ..] if *next == separator => rest,
            _ => return None,
        };
    }
}

/// The text up to the closing quote, and the rest of the line after it. A doubled quote is one quote of the text.
fn unquote(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut text = Vec::new();
    loop {
        let end = rest.iter().position(|&b| b == b'"')?;
        text.extend(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix(b"\"") {
            Some(after) => {
                text.push(b'"');
                rest = after;
            }
            None => return Some((text, rest)),
        }
    }
}
