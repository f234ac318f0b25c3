//! In which form a titles file is: the official one, or one that another tool has given it.
//!
//! The official file is no CSV, though its name says so: titles hold commas and quotes as they are. A spreadsheet or a data
//! frame that has read it and saves it again writes a CSV: fields in quotes, empty columns behind, a header, an index column
//! in front. No single line tells which of the two a file is. All of its lines together do.

use std::fmt;

use crate::Title;
use crate::record::Reason;
use crate::titles::{FORM, release_year, whole_number};

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

/// The field of a line, without its quotes.
struct Field {
    text: Vec<u8>,
    is_quoted: bool,
}

/// The fields of a line of a CSV.
struct Quoted {
    fields: Vec<Field>,
    /// Whether a quote stands in a field that is not in quotes.
    has_bare: bool,
}

fn split(line: &[u8], separator: u8) -> Vec<Field> {
    line.split(|&b| b == separator).map(|text| Field { text: text.into(), is_quoted: false }).collect()
}

/// `None` where a quote is not closed, or something stands behind one that is.
fn split_quoted(line: &[u8], separator: u8) -> Option<Quoted> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Id, year and title of each line, or why it cannot be used; and what the form is not as it should be.
    fn read(text: &[u8]) -> (String, Vec<Result<(u32, Option<u16>, String), Reason>>) {
        let lines = text.split(|&b| b == b'\n').filter(|line| !line.is_empty());
        let form = TitleForm::of(lines.clone());
        let title = |line| {
            let Title { movie_id, release_year, title } = form.parse(line)?;
            Ok((movie_id, release_year, title.unwrap_or_default()))
        };
        (form.to_string(), lines.skip(usize::from(form.has_header)).map(title).collect())
    }

    fn titles(text: &str) -> (String, Vec<(u32, Option<u16>, String)>) {
        let (form, titles) = read(text.as_bytes());
        (form, titles.into_iter().map(Result::unwrap).collect())
    }

    fn title(movie_id: u32, year: u16, title: &str) -> (u32, Option<u16>, String) {
        (movie_id, (year > 0).then_some(year), title.into())
    }

    const OFFICIAL: &str = "1,2003,Dinosaur Days\n2,1985,Brazil: The \"Other\" Version\n3,NULL,Sea, Sun, and Sand\n\
                            4,1984,1984\n5,2000,\"Quoted\"\n6,2001,\"Both, of Them\"\n7,1999,Ends with a Comma,\n";

    fn official() -> Vec<(u32, Option<u16>, String)> {
        vec![
            title(1, 2003, "Dinosaur Days"),
            title(2, 1985, "Brazil: The \"Other\" Version"),
            title(3, 0, "Sea, Sun, and Sand"),
            title(4, 1984, "1984"),
            title(5, 2000, "\"Quoted\""),
            title(6, 2001, "\"Both, of Them\""),
            title(7, 1999, "Ends with a Comma,"),
        ]
    }

    #[test]
    fn the_official_file_is_taken_as_it_is() {
        assert_eq!(titles(OFFICIAL), ("the official form".into(), official()));
        // Any part of it, too, but for lines that could be both.
        let lines = OFFICIAL.lines().zip(official()).collect::<Vec<_>>();
        for left_out in 0..lines.len() {
            let rest = || lines.iter().enumerate().filter(|(at, _)| *at != left_out).map(|(_, line)| line);
            let text = rest().map(|(line, _)| format!("{line}\n")).collect::<String>();
            assert_eq!(
                titles(&text),
                ("the official form".into(), rest().map(|line| line.1.clone()).collect()),
                "{left_out}"
            );
        }
        assert_eq!(titles("").1, []);
        // A line without a title is not padded.
        assert_eq!(titles("1,2003,\n2,2004,\n").1, [title(1, 2003, ""), title(2, 2004, "")]);
    }

    #[test]
    fn what_a_spreadsheet_saved_is_what_it_read() {
        let saved = "1,2003,Dinosaur Days,,\n2,1985,\"Brazil: The \"\"Other\"\" Version\",,\n3,NULL,Sea, Sun, and Sand\n\
                     4,1984,1984,,\n5,2000,\"\"\"Quoted\"\"\",,\n6,2001,\"\"\"Both\",\" of Them\"\"\",\n";
        let (form, all) = titles(saved);
        assert_eq!((&form[..], &all[..]), ("fields in quotes and empty columns behind", &official()[..6]));
        // What is no CSV is refused rather than guessed.
        let (_, all) = read(format!("{saved}7,2000,\"A\" B,,\n8,2000,\"C\n").as_bytes());
        assert_eq!(all[6..], [Err(Reason::Quotes), Err(Reason::Quotes)]);
        // Commas alone: most rows have columns that are empty, or few do.
        let (form, all) = titles("1,2003,A,,,\n2,2004,\"A, B\",,,\n3,,C,,,\n");
        assert_eq!(
            (&form[..], all),
            (
                "fields in quotes and empty columns behind",
                vec![title(1, 2003, "A"), title(2, 2004, "A, B"), title(3, 0, "C"),]
            )
        );
        let rows = |n: usize| if n % 20 == 3 { format!("{n},2000,A,,\n") } else { format!("{n},2000,A\n") };
        let (form, all) = titles(&(1..100).map(rows).collect::<String>());
        assert_eq!(form, "empty columns behind");
        assert!(all.iter().all(|title| title.2 == "A"));
        // Each field in quotes, each title, or each line.
        for text in [
            "\"1\",\"2003\",\"A\"\n\"2\",\"\",\"B, C\"\n",
            "1,2003,\"A\"\n2,NULL,\"B, C\"\n",
            "\"1,2003,A\"\n\"2,NULL,B, C\"\n",
        ] {
            assert_eq!(
                titles(text),
                ("fields in quotes".into(), vec![title(1, 2003, "A"), title(2, 0, "B, C")])
            );
        }
        // Where a comma is the decimal point.
        assert_eq!(
            titles("1;2003;A\n2;NULL;\"B; C\"\n3;1999;D, E\n"),
            (
                "semicolons between fields and fields in quotes".into(),
                vec![title(1, 2003, "A"), title(2, 0, "B; C"), title(3, 1999, "D, E")]
            )
        );
        assert_eq!(titles("1\t2003\tA\n").1, [title(1, 2003, "A")]);
    }

    #[test]
    fn what_a_data_frame_saved_is_what_it_read() {
        let wanted = vec![title(1, 2003, "A"), title(2, 0, "B, C"), title(3, 1984, "1984")];
        for (form, text) in [
            (
                "a header and fields in quotes",
                "movie_id,year,title\n1,2003.0,A\n2,,\"B, C\"\n3,1984.0,1984\n",
            ),
            (
                "a header and fields in quotes",
                ",Movie_Id,Year,Name\n0,1,2003.0,A\n1,2,,\"B, C\"\n2,3,1984.0,1984\n",
            ),
            ("a header and fields in quotes", "Name,Year,Id\nA,2003,1\n\"B, C\",,2\n1984,1984,3\n"),
            ("a header", "id,title,year,,\n1,A,2003,,\n3,1984,1984,,\n"),
            ("a header", "movie,release year,title\n1,2003,A\n2,NULL,B, C\n3,1984,1984\n"),
            (
                "an index column in front and fields in quotes",
                "0,1,2003.0,A\n1,2,,\"B, C\"\n2,3,1984.0,1984\n",
            ),
            ("an index column in front", "0,1,2003,A\n1,2,NULL,B, C\n2,3,1984,1984\n"),
        ] {
            let (found, titles) = titles(text);
            assert!(found.starts_with(form), "{found}: {text}");
            assert!(
                titles == wanted || titles == [wanted[0].clone(), wanted[2].clone()],
                "{titles:?}: {text}"
            );
        }
        // Ids that could be years.
        let text = "0,1999,2003,A\n1,2000,2004,B\n2,2001,2004,2004\n";
        assert_eq!(
            titles(text).1,
            [title(1999, 2003, "A"), title(2000, 2004, "B"), title(2001, 2004, "2004")]
        );
    }

    /// The file as Netflix gave it out, which is not ours to give.
    #[test]
    #[ignore = "needs the genuine movie_titles.csv: NETFLIX_TITLES=/path/to/it"]
    fn no_title_of_the_genuine_file_changes() {
        let path = std::env::var_os("NETFLIX_TITLES").expect("NETFLIX_TITLES names the genuine file");
        let text = std::fs::read(path).unwrap();
        let lines = || text.split(|&b| b == b'\n').filter(|line| !line.is_empty());
        let form = TitleForm::of(lines());
        assert_eq!(form, TitleForm::OFFICIAL);
        // Nor after a spreadsheet or a data frame has saved it.
        let quote = |field: &[u8]| match field.iter().any(|b| b",\"".contains(b)) {
            true => [
                b"\"",
                &field.iter().flat_map(|&b| vec![b; 1 + usize::from(b == b'"')]).collect::<Vec<_>>()[..],
                b"\"",
            ]
            .concat(),
            false => field.to_vec(),
        };
        let spreadsheet = |line: &[u8]| {
            let mut cells = line.split(|&b| b == b',').map(quote).collect::<Vec<_>>();
            cells.resize(6, Vec::new());
            cells.join(&b',')
        };
        let frame = |(at, line): (usize, &[u8])| {
            let mut fields = line.splitn(3, |&b| b == b',');
            let (id, year, title) = (fields.next().unwrap(), fields.next().unwrap(), fields.next().unwrap());
            let year = if year == b"NULL" { vec![] } else { [year, b".0"].concat() };
            [at.to_string().as_bytes(), id, &year, &quote(title)].join(&b',')
        };
        let sheet = lines().map(spreadsheet).collect::<Vec<_>>();
        let frames = lines().enumerate().map(frame).collect::<Vec<_>>();
        for saved in [sheet, frames] {
            let form = TitleForm::of(saved.iter().map(|line| &line[..]));
            assert!(
                saved.iter().zip(lines()).all(|(saved, line)| form.parse(saved) == Title::parse(line)),
                "{form}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_csv_gives_back_what_was_written(
            texts in prop::collection::vec("[ab1,\"; ]{0,6}[ab]", 1..8), has_header in any::<bool>(),
            has_index in any::<bool>(), padding in 0usize..3,
        ) {
            // So that the whole tells.
            let texts = [vec!["\"Sure\", he said".to_owned()], texts].concat();
            let mut text = String::new();
            if has_header {
                text += if has_index { ",id,year,title" } else { "id,year,title" };
                text += "\n";
            }
            for (at, title) in texts.iter().enumerate() {
                let index = if has_index { format!("{at},") } else { String::new() };
                text += &format!("{index}{},2003,\"{}\"{}\n", at + 1, title.replace('"', "\"\""), ",".repeat(padding));
            }
            let wanted = texts.iter().zip(1..).map(|(text, id)| title(id, 2003, text.trim()));
            prop_assert_eq!(titles(&text).1, wanted.collect::<Vec<_>>());
        }

        #[test]
        fn any_bytes_can_be_looked_at(text in prop::collection::vec(prop_oneof![
            Just(b','), Just(b'"'), Just(b'\n'), Just(b'1'), any::<u8>()], 0..200)) {
            read(&text);
        }
    }
}
