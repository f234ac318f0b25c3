//! The fields of a line of a CSV.

/// The field of a line, without its quotes.
pub struct Field {
    pub text: Vec<u8>,
    pub is_quoted: bool,
}

/// The fields of a line of a CSV.
pub struct Quoted {
    pub fields: Vec<Field>,
    /// Whether a quote stands in a field that is not in quotes.
    pub has_bare: bool,
}

pub fn split(line: &[u8], separator: u8) -> Vec<Field> {
    line.split(|&b| b == separator).map(|text| Field { text: text.into(), is_quoted: false }).collect()
}

/// `None` where a quote is not closed, or something stands behind one that is.
pub fn split_quoted(line: &[u8], separator: u8) -> Option<Quoted> {
    let (mut fields, mut has_bare, mut rest) = (Vec::new(), false, line);
    loop {
        let (field, behind) = match rest.strip_prefix(b"\"") {
            Some(text) => unquote(text).map(|(text, behind)| (Field { text, is_quoted: true }, behind))?,
            None => {
                let end = rest.iter().position(|&b| b == separator).unwrap_or(rest.len());
                has_bare |= rest[..end].contains(&b'"');
                (Field { text: rest[..end].into(), is_quoted: false }, &rest[end..])
            }
        };
        fields.push(field);
        rest = match behind {
            [] => return Some(Quoted { fields, has_bare }),
            [next, rest @ ..] if *next == separator => rest,
            _ => return None,
        };
    }
}

/// What stands up to the closing quote, and what behind it.
fn unquote(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut text = Vec::new();
    loop {
        let end = rest.iter().position(|&b| b == b'"')?;
        text.extend(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix(b"\"") {
            Some(behind) => {
                text.push(b'"');
                rest = behind;
            }
            None => return Some((text, rest)),
        }
    }
}
