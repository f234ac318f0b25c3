//! Finds the form of a titles file, from all of its lines.

use super::TitleForm;
use crate::parse::csv::{Field, Quoted, split, split_quoted};
use crate::parse::title::{release_year, whole_number};

impl TitleForm {
    /// Looks at all lines of a file that are not blank, in their order.
    pub fn of<'a>(lines: impl Iterator<Item = &'a [u8]> + Clone) -> TitleForm {
        let separator = separator(lines.clone());
        let header = lines.clone().next().and_then(|line| header(line, separator));
        let rows = lines.skip(usize::from(header.is_some()));
        let form = header.unwrap_or(TitleForm { separator, ..TitleForm::OFFICIAL });
        let (form, counts) = match Counts::of(rows.clone(), &form) {
            counts if header.is_none() && counts.has_index() => {
                let form = TitleForm { columns: 4, id: 1, year: Some(2), title: 3, ..form };
                (form, Counts::of(rows, &form))
            }
            counts => (form, counts),
        };
        TitleForm { is_quoted: counts.is_quoted(), is_padded: counts.is_padded(), ..form }
    }
}

/// What the lines of a file, all together, look like.
#[derive(Debug, Default)]
struct Counts {
    lines: usize,
    /// Lines with quotes that are not those of a CSV.
    broken: usize,
    /// Lines that only a CSV has: a quote doubled, or an id or the whole line in quotes.
    surely_quoted: usize,
    /// Lines with a comma in quotes, and those with one in the title and no quotes.
    quoted_commas: usize,
    bare_commas: usize,
    quoted_titles: usize,
    /// Lines that end with an empty column, and those that end with two.
    padded: usize,
    padded_twice: usize,
    /// Lines with a year in the second field, and in the third.
    second_years: usize,
    third_years: usize,
    /// Whether the first field counts the lines.
    counts_lines: bool,
}

impl Counts {
    fn of<'a>(lines: impl Iterator<Item = &'a [u8]>, form: &TitleForm) -> Counts {
        let TitleForm { separator, title, columns, .. } = *form;
        let mut counts = Counts { counts_lines: true, ..Counts::default() };
        let mut first = 0;
        for line in lines {
            let (fields, is_broken) = match split_quoted(line, separator) {
                Some(Quoted { fields, has_bare }) => (fields, has_bare),
                None => (split(line, separator), true),
            };
            let number = |at: usize| fields.get(at).and_then(|field| number(&field.text));
            let is_year = |at: usize| fields.get(at).is_some_and(|field| release_year(&field.text).is_some());
            let empty = fields.iter().rev().take_while(|field| field.text.is_empty()).count();
            let is_sure = fields[0].is_quoted || fields.iter().any(|field| field.text.contains(&b'"'));
            let is_comma_quoted =
                fields.iter().any(|field| field.is_quoted && field.text.contains(&separator));
            if counts.lines == 0 {
                first = number(0).unwrap_or(u32::MAX);
            }
            counts.counts_lines &=
                first <= 1 && number(0).is_some_and(|n| n as usize == first as usize + counts.lines);
            counts.lines += 1;
            counts.broken += usize::from(is_broken);
            counts.surely_quoted += usize::from(!is_broken && is_sure);
            counts.quoted_commas += usize::from(!is_broken && !is_sure && is_comma_quoted);
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

    /// Whether a column stands before the ids. Titles that are years are few, and so are ids that could be.
    fn has_index(&self) -> bool {
        let is_all = self.third_years == self.lines && self.lines > 1 && self.counts_lines;
        2 * self.third_years > self.lines && (self.third_years > self.second_years || is_all)
    }

    /// Whether quotes are a CSV's. Where titles have commas without quotes, quotes around commas are the title's own.
    fn is_quoted(&self) -> bool {
        let likely = match self.quoted_titles == self.lines {
            true => self.lines,
            false if self.quoted_commas > self.bare_commas => self.quoted_commas,
            false => 0,
        };
        self.surely_quoted + likely > self.broken
    }

    /// Whether empty columns follow. Spreadsheets write them only where one of sixteen rows has something there; of a single
    /// line, one comma may be the title's.
    fn is_padded(&self) -> bool {
        self.padded * 50 > self.lines && (self.padded > 1 || self.padded_twice > 0)
    }
}

/// What stands behind the first number of most lines.
fn separator<'a>(lines: impl Iterator<Item = &'a [u8]>) -> u8 {
    const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];
    let mut counts = [0u64; SEPARATORS.len()];
    for line in lines {
        let line = line.strip_prefix(b"\"").unwrap_or(line);
        let behind = line.trim_ascii_start().iter().find(|b| !b.is_ascii_digit() && **b != b'"');
        if let Some(at) = SEPARATORS.iter().position(|separator| behind == Some(separator)) {
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

/// The columns that the first line names, if it names two of those that are read.
fn header(line: &[u8], separator: u8) -> Option<TitleForm> {
    let fields = split_quoted(line, separator).map_or_else(|| split(line, separator), |quoted| quoted.fields);
    let name = |field: &Field| {
        let letters = field.text.iter().filter(|b| b.is_ascii_alphanumeric());
        letters.map(u8::to_ascii_lowercase).collect::<Vec<_>>()
    };
    let mut names = fields.iter().map(name).collect::<Vec<_>>();
    // What is named by nothing stands before the columns, as an index, or behind them.
    let padding = names.iter().rev().take_while(|name| name.is_empty()).count();
    names.truncate(names.len() - padding);
    let find = |known: &[&[u8]]| names.iter().position(|name| known.contains(&&name[..]));
    let id = find(&[b"movieid", b"id", b"itemid", b"filmid"]);
    let year = find(&[b"year", b"releaseyear", b"yearofrelease", b"movieyear"]);
    let title = find(&[b"title", b"movietitle", b"name", b"moviename", b"filmtitle"]);
    if [id, year, title].iter().flatten().count() < 2 {
        return None;
    }
    let is_free = |at: &usize| !names[*at].is_empty() && ![id, year, title].contains(&Some(*at));
    let id = id.or_else(|| (0..names.len()).find(is_free))?;
    let title = title.or_else(|| (0..names.len()).rev().find(|at| is_free(at) && *at != id))?;
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

/// A number from 0 on: an index begins there.
fn number(field: &[u8]) -> Option<u32> {
    if field.trim_ascii() == b"0" { Some(0) } else { whole_number(field) }
}
