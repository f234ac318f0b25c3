//! Lines that cannot be used: why, and what is kept of them.

use super::date::Date;
use super::lines::MAX_LINE;

/// A line that could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// The index of its file in [`crate::Survey::files`].
    pub file: usize,
    /// The line number, from 1.
    pub line: u64,
    /// The line's text, shortened, with control characters escaped.
    pub text: String,
    /// What is wrong with it.
    pub reason: Reason,
}

/// Why a line cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// A record before the first `id:` line, or after an `id:` line that was refused.
    #[error("no valid movie line (id:) stands above it")]
    NoMovie,
    /// An `id:` line whose id is out of range.
    #[error("movie id is not a number from 1 to 2147483647")]
    Movie,
    /// A customer id that is not a number or is out of range.
    #[error("customer id is not a number from 1 to 2147483647")]
    Customer,
    /// A rating that is not 1 to 5.
    #[error("rating is not 1, 2, 3, 4 or 5")]
    Rating,
    /// A date that does not exist, is out of range or is written in another way.
    #[error("date is not a day from 1900-01-01 to 2099-12-31 written yyyy-mm-dd")]
    Date,
    /// A subset that is not one of the two halves of the qualifying set.
    #[error("subset is neither 0 (quiz) nor 1 (test)")]
    Subset,
    /// The wrong number of fields.
    #[error("line is not of the form {0}")]
    Form(&'static str),
    /// The line has control bytes, so the file may not be text.
    #[error("line holds control characters: is the file binary?")]
    Binary,
    /// The line is much longer than any genuine line.
    #[error("line is longer than {} bytes", MAX_LINE)]
    TooLong,
    /// A release year that is neither `NULL` nor a year.
    #[error("release year is neither NULL nor a year from 1800 to 2199")]
    Year,
    /// The title has a control character, such as a tab. No genuine title has one, and clients cannot show it.
    #[error("title holds {}, a control character", name_control(*.0))]
    TitleControl(char),
    /// The title has bytes that are not characters in UTF-8 or Latin-1.
    #[error("title has bytes that are neither UTF-8 nor Latin-1 text")]
    TitleEncoding,
    /// The quotes are wrong, in a titles file that has fields in quotes.
    #[error("a quoted field is not closed, or text follows its closing quote")]
    Quotes,
    /// A second rating of the same movie by the same customer that differs from the first one.
    #[error("the customer has rated the movie before: {rating} on {date}")]
    Conflict {
        /// The first rating.
        rating: u8,
        /// The day of the first rating.
        date: Date,
    },
    /// A second title for the same movie.
    #[error("movie id already has a title further up")]
    TitleTwice,
}

/// The name of a control character, with its article.
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

/// The first bytes of a line, by which a person can recognise it. Control characters and bytes that are not UTF-8 are
/// replaced, so that a terminal can show the text and a column of type `text` can hold it.
pub(crate) fn excerpt(line: &[u8]) -> String {
    const EXCERPT_BYTES: usize = 80;
    let text = String::from_utf8_lossy(&line[..line.len().min(EXCERPT_BYTES)]);
    let mut excerpt = String::new();
    for c in text.chars() {
        match c {
            '\u{80}'.. if !c.is_control() => excerpt.push(c),
            ' '..='~' => excerpt.push(c),
            _ => excerpt.push_str(&format!("\\x{:02x}", u32::from(c))),
        }
    }
    if line.len() > EXCERPT_BYTES {
        excerpt.push_str("...");
    }
    excerpt
}
