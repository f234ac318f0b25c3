//! In which form a titles file is: the official one, or one that another tool has given it.
//!
//! The official file is no CSV, though its name says so: titles hold commas and quotes as they are. A spreadsheet or a data
//! frame that has read it and saves it again writes a CSV: fields in quotes, empty columns behind, a header, an index column
//! in front. No single line tells which of the two a file is. All of its lines together do.

use std::fmt;

use super::csv::{split, split_quoted};
use super::reject::Reason;
use super::title::{FORM, Title};

mod detect;

/// How the lines of a titles file are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TitleForm {
    separator: u8,
    /// Whether the first line names the columns.
    has_header: bool,
    /// Whether a field may stand in quotes, with its own quotes doubled (RFC 4180).
    is_quoted: bool,
    /// Whether empty columns follow.
    is_padded: bool,
    /// How many columns there are before those, and which of them hold what.
    columns: usize,
    id: usize,
    year: Option<usize>,
    title: usize,
}

impl Default for TitleForm {
    fn default() -> TitleForm {
        TitleForm::OFFICIAL
    }
}

impl TitleForm {
    /// As Netflix gave the file out.
    pub const OFFICIAL: TitleForm = TitleForm {
        separator: b',',
        has_header: false,
        is_quoted: false,
        is_padded: false,
        columns: 3,
        id: 0,
        year: Some(1),
        title: 2,
    };

    /// Whether its first line names the columns.
    pub fn has_header(&self) -> bool {
        self.has_header
    }

    /// Reads a line, without its line end.
    pub fn parse(&self, line: &[u8]) -> Result<Title, Reason> {
        if *self == TitleForm::OFFICIAL {
            return Title::parse(line);
        }
        let mut fields = match self.is_quoted {
            true => split_quoted(line, self.separator).ok_or(Reason::Quotes)?.fields,
            false => split(line, self.separator),
        };
        if let [whole] = &fields[..]
            && whole.is_quoted
        {
            return Title::parse(&whole.text);
        }
        if self.is_padded {
            let padding = fields.iter().rev().take_while(|field| field.text.is_empty()).count();
            fields.truncate((fields.len() - padding).max(self.columns));
        }
        let is_last = self.title + 1 == self.columns;
        if fields.len() < self.columns || (fields.len() > self.columns && !is_last) {
            return Err(FORM);
        }
        let text = |at: usize| &fields[at].text[..];
        let year = self.year.map_or(&b""[..], text);
        // A title that was split at its commas is one again.
        let titles = if is_last { &fields[self.title..] } else { &fields[self.title..=self.title] };
        let title = titles.iter().map(|field| &field.text[..]).collect::<Vec<_>>().join(&self.separator);
        Title::of_fields(text(self.id), year, &title)
    }
}

/// What is not as in the official form, as a list in a sentence.
impl fmt::Display for TitleForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            (self.has_header, "a header"),
            (!self.has_header && self.id > 0, "an index column in front"),
            (self.separator == b';', "semicolons between fields"),
            (self.separator == b'\t', "tabs between fields"),
            (self.is_quoted, "fields in quotes"),
            (self.is_padded, "empty columns behind"),
        ];
        let parts = parts.iter().filter(|(is_so, _)| *is_so).map(|(_, part)| *part).collect::<Vec<_>>();
        match &parts[..] {
            [] => f.write_str("the official form"),
            [only] => f.write_str(only),
            [head @ .., last] => write!(f, "{} and {last}", head.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests;
