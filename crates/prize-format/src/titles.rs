//! `movie_titles.csv` (or `.txt`): `id,year,title`, where the year may be `NULL` and the title may hold commas.

use crate::record::{Reason, parse_id};

/// One movie as the titles file describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Title {
    /// The movie's id.
    pub movie_id: u32,
    /// The year it was released, where known.
    pub release_year: Option<u16>,
    /// Its title, without blanks around it; none where there is nothing else.
    pub title: Option<String>,
}

impl Title {
    /// Reads one line, without its line end.
    ///
    /// The official file is Latin-1; copies that were saved anew are often UTF-8 or Windows-1252. A line that is
    /// valid UTF-8 is taken as such, any other as Windows-1252, which holds all of Latin-1's letters.
    pub fn parse(line: &[u8]) -> Result<Title, Reason> {
        const FORM: Reason = Reason::Form("id,year,title");
        let mut fields = line.splitn(3, |&b| b == b',');
        let (Some(id), Some(year), Some(title)) = (fields.next(), fields.next(), fields.next()) else {
            return Err(FORM);
        };
        let movie_id = parse_id(id).ok_or(Reason::Movie)?;
        let release_year = match year {
            b"NULL" => None,
            _ => match parse_id(year) {
                Some(year @ 1800..=2199) => Some(year as u16),
                _ => return Err(Reason::Year),
            },
        };
        let title = match std::str::from_utf8(title) {
            Ok(utf8) => utf8.to_owned(),
            Err(_) => encoding_rs::WINDOWS_1252.decode_without_bom_handling(title).0.into_owned(),
        };
        // The bytes without a letter in Windows-1252 decode to control characters, as does binary junk.
        if title.chars().any(char::is_control) {
            return Err(Reason::TitleEncoding);
        }
        let title = Some(title.trim()).filter(|title| !title.is_empty()).map(str::to_owned);
        Ok(Title { movie_id, release_year, title })
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
        assert_eq!(parse(b"1,NULL,\x81"), Err(Reason::TitleEncoding));
        assert_eq!(parse(b"1,NULL,a\0b"), Err(Reason::TitleEncoding));
        assert_eq!(parse(b"1,,Untitled"), Err(Reason::Year));
        assert_eq!(parse(b"1,20004,Untitled"), Err(Reason::Year));
        assert_eq!(parse(b"x,2004,Untitled"), Err(Reason::Movie));
        assert!(matches!(parse(b"1,2004"), Err(Reason::Form(_))));
        assert_eq!(parse(b"0000000000072,2004, \xa0 Padded,  "), Ok((72, Some(2004), "Padded,".into())));
        for blank in ["1,2004,", "1,2004,  ", "1,2004,\u{a0}"] {
            assert_eq!(Title::parse(blank.as_bytes()).map(|title| title.title), Ok(None), "{blank:?}");
        }
    }
}
