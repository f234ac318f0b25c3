//! The form of a titles file: the official one, or the one that another program gave it when it saved the file.
//!
//! The official file is not a CSV file although its name says so, because its titles hold commas and quotes without any
//! quoting. A spreadsheet or a data frame that reads and saves it writes a real CSV file: fields in quotes, empty
//! columns at the end, a header, an index column at the beginning. A single line does not show which of the two a file
//! is; all of its lines together do (`detect`).

use std::fmt;

use super::csv::{split, split_quoted};
use super::reject::Reason;
use super::title::{TITLE_LINE_FORM, Title};

mod detect;

/// How to read the lines of a titles file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TitleForm {
    separator: u8,
    /// Whether the first line names the columns.
    has_header: bool,
    /// Whether fields may be in quotes, with the quotes of their text doubled (RFC 4180).
    is_quoted: bool,
    /// Whether there are empty columns after the others.
    is_padded: bool,
    /// The number of columns without those empty ones.
    columns: usize,
    /// The index of each column that is read, from 0.
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
    /// The form in which Netflix published the file.
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

    /// Whether the first line names the columns.
    pub fn has_header(&self) -> bool {
        self.has_header
    }

    /// Parses a line without its line end.
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
        let title_is_last = self.title + 1 == self.columns;
        if fields.len() < self.columns || (fields.len() > self.columns && !title_is_last) {
            return Err(TITLE_LINE_FORM);
        }
        let text = |column: usize| &fields[column].text[..];
        let year = self.year.map_or(&b""[..], text);
        // A title with commas that is not in quotes was split. Its pieces are joined again.
        let title_fields =
            if title_is_last { &fields[self.title..] } else { &fields[self.title..=self.title] };
        let title =
            title_fields.iter().map(|field| &field.text[..]).collect::<Vec<_>>().join(&self.separator);
        Title::from_fields(text(self.id), year, &title)
    }
}

/// The differences from the official form, as a list that fits into a sentence.
impl fmt::Display for TitleForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            (self.has_header, "a header"),
            (!self.has_header && self.id > 0, "an index column at the beginning"),
            (self.separator == b';', "semicolons between fields"),
            (self.separator == b'\t', "tabs between fields"),
            (self.is_quoted, "fields in quotes"),
            (self.is_padded, "empty columns at the end"),
        ];
        let parts = parts.iter().filter(|(is_there, _)| *is_there).map(|(_, part)| *part).collect::<Vec<_>>();
        match &parts[..] {
            [] => f.write_str("the official form"),
            [only] => f.write_str(only),
            [head @ .., last] => write!(f, "{} and {last}", head.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests;
