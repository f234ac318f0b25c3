//! A line of `movie_titles.csv` (or `.txt`): `id,year,title`. The year may be `NULL`, and the title may hold commas.

use super::record::parse_id;
use super::reject::Reason;

/// One movie as the titles file describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Title {
    /// The movie's id.
    pub movie_id: u32,
    /// The year of its release, if known.
    pub release_year: Option<u16>,
    /// Its title without the white space around it. `None` where the field is blank.
    pub title: Option<String>,
}

impl Title {
    /// Parses a line of the official form, without its line end. Quotes belong to the title.
    ///
    /// The official file is in Latin-1. Copies that a program has saved are often in UTF-8 or Windows-1252. A line that
    /// is valid UTF-8 is read as UTF-8; any other line is read as Windows-1252, which has all of Latin-1's letters.
    pub fn parse(line: &[u8]) -> Result<Title, Reason> {
        let mut fields = line.splitn(3, |&b| b == b',');
        let (Some(id), Some(year), Some(title)) = (fields.next(), fields.next(), fields.next()) else {
            return Err(TITLE_LINE_FORM);
        };
        Title::from_fields(id, year, title)
    }

    /// Parses the three fields of a line.
    pub(crate) fn from_fields(id: &[u8], year: &[u8], title: &[u8]) -> Result<Title, Reason> {
        let movie_id = whole_number(id).ok_or(Reason::Movie)?;
        let release_year = match year.trim_ascii() {
            year if is_missing(year) => None,
            year => Some(release_year(year).ok_or(Reason::Year)?),
        };
        Ok(Title { movie_id, release_year, title: decode(title)? })
    }
}

/// The reason for a line of titles with another number of fields.
pub(crate) const TITLE_LINE_FORM: Reason = Reason::Form("id,year,title");

/// Parses an integer from 1 on. Tools that keep a column as floating point write `2003.0`; that is 2003.
pub(crate) fn whole_number(field: &[u8]) -> Option<u32> {
    let field = field.trim_ascii();
    let point = field.iter().position(|&b| b == b'.').unwrap_or(field.len());
    let (digits, fraction) = field.split_at(point);
    let is_zero = fraction.iter().skip(1).all(|&b| b == b'0');
    if is_zero { parse_id(digits) } else { None }
}

/// Parses a release year, 1800 to 2199.
pub(crate) fn release_year(field: &[u8]) -> Option<u16> {
    whole_number(field).filter(|year| (1800..=2199).contains(year)).map(|year| year as u16)
}

/// Whether a field is empty, or is one of the words that tools write for a missing value.
fn is_missing(field: &[u8]) -> bool {
    field.is_empty() || [&b"NULL"[..], b"NaN", b"None"].iter().any(|word| field.eq_ignore_ascii_case(word))
}

/// Decodes a title, and removes the white space around it.
fn decode(title: &[u8]) -> Result<Option<String>, Reason> {
    let (title, is_utf8) = match std::str::from_utf8(title) {
        Ok(utf8) => (utf8.to_owned(), true),
        Err(_) => (encoding_rs::WINDOWS_1252.decode_without_bom_handling(title).0.into_owned(), false),
    };
    match title.chars().find(|c| c.is_control()) {
        // Windows-1252 leaves a few bytes undefined; they are decoded to control characters above ASCII.
        Some('\u{80}'..) if !is_utf8 => Err(Reason::TitleEncoding),
        Some(control) => Err(Reason::TitleControl(control)),
        None => Ok(Some(title.trim()).filter(|title| !title.is_empty()).map(str::to_owned)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_commas_accents_and_null_years() {
        let parse = |line: &[u8]| {
            Title::parse(line).map(|t| (t.movie_id, t.release_year, t.title.unwrap_or_default()))
        };
        assert_eq!(
            parse(b"72,1974,At Home Among Strangers, A Stranger"),
            Ok((72, Some(1974), "At Home Among Strangers, A Stranger".into()))
        );
        assert_eq!(parse(b"6483,2001,Caf\xe9 au lait"), Ok((6483, Some(2001), "Café au lait".into())));
        assert_eq!(parse("6483,2001,Café au lait".as_bytes()), Ok((6483, Some(2001), "Café au lait".into())));
        assert_eq!(parse(b"1,NULL,It\x92s"), Ok((1, None, "It’s".into())));
        for missing in ["", " ", "NULL", "null", "NaN", "None"] {
            assert_eq!(parse(format!("1,{missing},A").as_bytes()), Ok((1, None, "A".into())), "{missing:?}");
        }
        assert_eq!(parse(b"1,2003.0,A"), Ok((1, Some(2003), "A".into())));
        for bad in ["20004", "2003.5", "2003.x", "0", "-5", "x"] {
            assert_eq!(parse(format!("1,{bad},Untitled").as_bytes()), Err(Reason::Year), "{bad}");
        }
        assert_eq!(parse(b"x,2004,Untitled"), Err(Reason::Movie));
        assert!(matches!(parse(b"1,2004"), Err(Reason::Form(_))));
        assert_eq!(parse(b"0000000000072,2004, \xa0 Padded,  "), Ok((72, Some(2004), "Padded,".into())));
        for blank in ["1,2004,", "1,2004,  ", "1,2004,\u{a0}"] {
            assert_eq!(Title::parse(blank.as_bytes()).map(|title| title.title), Ok(None), "{blank:?}");
        }
    }

    #[test]
    fn the_reason_names_the_control_character() {
        let reason = |title: &[u8]| Title::parse(&[b"1,NULL,", title].concat()).unwrap_err().to_string();
        assert_eq!(reason(b"A\tB"), "title holds a tab (U+0009), a control character");
        assert_eq!(reason(b"A\0B"), "title holds a zero byte (U+0000), a control character");
        assert_eq!(reason(b"A\x1bB"), "title holds U+001B, a control character");
        assert_eq!(reason("A\u{85}B".as_bytes()), "title holds U+0085, a control character");
        // A tab is a tab in every encoding.
        assert_eq!(reason(b"Caf\xe9\tB"), "title holds a tab (U+0009), a control character");
        assert_eq!(reason(b"A\x81B"), "title has bytes that are neither UTF-8 nor Latin-1 text");
    }
}
