//! Detects the form of a titles file from all of its lines.

use super::TitleForm;
use crate::parse::csv::{Field, QuotedLine, split, split_quoted};
use crate::parse::title::{release_year, whole_number};

impl TitleForm {
    /// Detects the form of a file. `lines` are all of its lines that are not blank, in their order.
    pub fn detect<'a>(lines: impl Iterator<Item = &'a [u8]> + Clone) -> TitleForm {
        let separator = separator(lines.clone());
        let header = lines.clone().next().and_then(|line| header(line, separator));
        let rows = lines.skip(usize::from(header.is_some()));
        let form = header.unwrap_or(TitleForm { separator, ..TitleForm::OFFICIAL });
        let (form, counts) = match LineCounts::of(rows.clone(), &form) {
            counts if header.is_none() && counts.has_index_column() => {
                let form = TitleForm { columns: 4, id: 1, year: Some(2), title: 3, ..form };
                (form, LineCounts::of(rows, &form))
            }
            counts => (form, counts),
        };
        TitleForm { is_quoted: counts.is_quoted(), is_padded: counts.is_padded(), ..form }
    }
}

/// How many lines of a file show each sign of a form.
#[derive(Debug, Default)]
struct LineCounts {
    lines: usize,
    /// Lines whose quotes break the rules of CSV.
    wrong_quotes: usize,
    /// Lines that only a CSV file has: with a doubled quote, or with the id or the whole line in quotes.
    surely_quoted: usize,
    /// Lines with a separator inside quotes.
    quoted_commas: usize,
    /// Lines with a separator in the title, outside quotes.
    bare_commas: usize,
    /// Lines with the title in quotes.
    quoted_titles: usize,
    /// Lines that end with an empty column.
    padded: usize,
    /// Lines that end with two or more empty columns.
    padded_twice: usize,
    /// Lines with a year in the second field.
    second_years: usize,
    /// Lines with a year in the third field.
    third_years: usize,
    /// Whether the first fields are 0, 1, 2 ... or 1, 2, 3 ...
    first_counts_up: bool,
}

impl LineCounts {
    fn of<'a>(lines: impl Iterator<Item = &'a [u8]>, form: &TitleForm) -> LineCounts {
        let TitleForm { separator, title, columns, .. } = *form;
        let mut counts = LineCounts { first_counts_up: true, ..LineCounts::default() };
        let mut first_index = 0;
        for line in lines {
            let (fields, has_wrong_quotes) = match split_quoted(line, separator) {
                Some(QuotedLine { fields, has_bare_quote }) => (fields, has_bare_quote),
                None => (split(line, separator), true),
            };
            let index = fields.first().and_then(|field| index(&field.text));
            let is_year =
                |column: usize| fields.get(column).is_some_and(|field| release_year(&field.text).is_some());
            let empty = fields.iter().rev().take_while(|field| field.text.is_empty()).count();
            let is_surely_quoted =
                fields[0].is_quoted || fields.iter().any(|field| field.text.contains(&b'"'));
            let has_quoted_comma =
                fields.iter().any(|field| field.is_quoted && field.text.contains(&separator));
            if counts.lines == 0 {
                first_index = index.unwrap_or(u32::MAX);
            }
            counts.first_counts_up &=
                first_index <= 1 && index.is_some_and(|n| n as usize == first_index as usize + counts.lines);
            counts.lines += 1;
            counts.wrong_quotes += usize::from(has_wrong_quotes);
            counts.surely_quoted += usize::from(!has_wrong_quotes && is_surely_quoted);
            counts.quoted_commas += usize::from(!has_wrong_quotes && !is_surely_quoted && has_quoted_comma);
            counts.bare_commas += usize::from(fields.len() - empty > title + 1);
            counts.quoted_titles += usize::from(fields.get(title).is_some_and(|field| field.is_quoted));
            let padding = empty.min(fields.len().saturating_sub(columns));
            counts.padded += usize::from(padding > 0);
            counts.padded_twice += usize::from(padding > 1);
            counts.second_years += usize::from(is_year(1));
            counts.third_years += usize::from(is_year(2));
        }
        counts
    }

    /// Whether an index column comes before the ids, so that the years are in the third field. Few titles are years,
    /// and few ids could be years.
    fn has_index_column(&self) -> bool {
        let is_certain = self.third_years == self.lines && self.lines > 1 && self.first_counts_up;
        2 * self.third_years > self.lines && (self.third_years > self.second_years || is_certain)
    }

    /// Whether the quotes are those of a CSV file. If titles have commas outside quotes, then quotes around commas
    /// belong to the title.
    fn is_quoted(&self) -> bool {
        let likely = match self.quoted_titles == self.lines {
            true => self.lines,
            false if self.quoted_commas > self.bare_commas => self.quoted_commas,
            false => 0,
        };
        self.surely_quoted + likely > self.wrong_quotes
    }

    /// Whether there are empty columns at the end. A spreadsheet writes such a column only for a block of sixteen rows in which
    /// one row has a value there. So only a few lines may have it. In a single line, one comma at the end may belong to the
    /// title.
    fn is_padded(&self) -> bool {
        self.padded * 50 > self.lines && (self.padded > 1 || self.padded_twice > 0)
    }
}

/// The separator that follows the first number of most lines.
fn separator<'a>(lines: impl Iterator<Item = &'a [u8]>) -> u8 {
    const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];
    let mut counts = [0u64; SEPARATORS.len()];
    for line in lines {
        let line = line.strip_prefix(b"\"").unwrap_or(line);
        let next = line.trim_ascii_start().iter().find(|b| !b.is_ascii_digit() && **b != b'"');
        if let Some(at) = SEPARATORS.iter().position(|separator| next == Some(separator)) {
            counts[at] += 1;
        }
    }
    let mut best = 0;
    for at in 1..SEPARATORS.len() {
        if counts[at] > counts[best] {
            best = at;
        }
    }
    SEPARATORS[best]
}

/// The form that a header describes. `None` where the first line names fewer than two of the three columns that are
/// read.
fn header(line: &[u8], separator: u8) -> Option<TitleForm> {
    let fields = split_quoted(line, separator).map_or_else(|| split(line, separator), |quoted| quoted.fields);
    let name = |field: &Field| {
        let letters = field.text.iter().filter(|b| b.is_ascii_alphanumeric());
        letters.map(u8::to_ascii_lowercase).collect::<Vec<_>>()
    };
    let mut names = fields.iter().map(name).collect::<Vec<_>>();
    // A column without a name is an index column before the others, or an empty column after them.
    let padding = names.iter().rev().take_while(|name| name.is_empty()).count();
    names.truncate(names.len() - padding);
    let find = |known: &[&[u8]]| names.iter().position(|name| known.contains(&&name[..]));
    let id = find(&[b"movieid", b"id", b"itemid", b"filmid"]);
    let year = find(&[b"year", b"releaseyear", b"yearofrelease", b"movieyear"]);
    let title = find(&[b"title", b"movietitle", b"name", b"moviename", b"filmtitle"]);
    if [id, year, title].iter().flatten().count() < 2 {
        return None;
    }
    let is_other = |at: &usize| !names[*at].is_empty() && ![id, year, title].contains(&Some(*at));
    let id = id.or_else(|| (0..names.len()).find(is_other))?;
    let title = title.or_else(|| (0..names.len()).rev().find(|at| is_other(at) && *at != id))?;
    Some(TitleForm {
        separator,
        has_header: true,
        columns: names.len(),
        id,
        year,
        title,
        ..TitleForm::OFFICIAL
    })
}

/// Parses an integer from 0 on, because an index column may begin with 0.
fn index(field: &[u8]) -> Option<u32> {
    if field.trim_ascii() == b"0" { Some(0) } else { whole_number(field) }
}
