//! Why a line is refused, and what is kept of it.

use super::date::Date;
use super::lines::MAX_LINE;

/// A line that could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// Index of its file in [`Survey::files`].
    pub file: usize,
    /// Its number, from 1.
    pub line: u64,
    /// Its text, shortened and with control characters escaped.
    pub text: String,
    /// What is wrong with it.
    pub reason: Reason,
}

/// Why a line was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// A record before the first `id:` line, or under one that was itself refused.
    #[error("no valid movie line (id:) stands above it")]
    NoMovie,
    /// An `id:` line whose id is out of range.
    #[error("movie id is not a number from 1 to 2147483647")]
    Movie,
    /// A customer id that is no number or out of range.
    #[error("customer id is not a number from 1 to 2147483647")]
    Customer,
    /// A rating outside the scale.
    #[error("rating is not 1, 2, 3, 4 or 5")]
    Rating,
    /// No day of the calendar, or one too far off.
    #[error("date is not a day from 1900-01-01 to 2099-12-31 written yyyy-mm-dd")]
    Date,
    /// Neither half of the qualifying set.
    #[error("subset is neither 0 (quiz) nor 1 (test)")]
    Subset,
    /// The wrong number of fields.
    #[error("line is not of the form {0}")]
    Form(&'static str),
    /// Control bytes: no text file.
    #[error("line holds control characters: is the file binary?")]
    Binary,
    /// No line of these files is anywhere near as long.
    #[error("line is longer than {} bytes", MAX_LINE)]
    TooLong,
    /// A release year that is neither `NULL` nor a year.
    #[error("release year is neither NULL nor a year from 1800 to 2199")]
    Year,
    /// A tab or the like, which no title has and no client shows as it is.
    #[error("title holds {}, a control character", name_control(*.0))]
    TitleControl(char),
    /// Bytes that neither UTF-8 nor Latin-1 gives a meaning to.
    #[error("title has bytes that are neither UTF-8 nor Latin-1 text")]
    TitleEncoding,
    /// In a titles file that quotes its fields.
    #[error("a quoted field is not closed, or something stands behind its closing quote")]
    Quotes,
    /// A second rating of a movie by a customer, which says otherwise than the first.
    #[error("the customer has rated the movie before: {rating} on {date}")]
    Conflict {
        /// What the first one says.
        rating: u8,
        /// When it was given.
        date: Date,
    },
    /// A second title for one movie.
    #[error("movie id already has a title further up")]
    TitleTwice,
}

/// What a control character is called.
fn name_control(c: char) -> String {
    let name = match c {
        '\0' => "a zero byte",
        '\t' => "a tab",
        '\n' => "a line feed",
        '\r' => "a carriage return",
        _ => return format!("U+{:04X}", u32::from(c)),
    };
    format!("{name} (U+{:04X})", u32::from(c))
}

/// Enough of a line to recognise it by, fit for a terminal and a text column.
pub(crate) fn excerpt(line: &[u8]) -> String {
    const KEPT: usize = 80;
    let text = String::from_utf8_lossy(&line[..line.len().min(KEPT)]);
    let mut excerpt = String::new();
    for c in text.chars() {
        match c {
            '\u{80}'.. if !c.is_control() => excerpt.push(c),
            ' '..='~' => excerpt.push(c),
            _ => excerpt.push_str(&format!("\\x{:02x}", u32::from(c))),
        }
    }
    if line.len() > KEPT {
        excerpt.push_str("...");
    }
    excerpt
}
