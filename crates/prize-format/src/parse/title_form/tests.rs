use proptest::prelude::*;

use super::TitleForm;
use crate::parse::reject::Reason;
use crate::parse::title::Title;

/// The form's differences from the official one; and id, year and title of each line, or why it cannot be used.
fn read(text: &[u8]) -> (String, Vec<Result<(u32, Option<u16>, String), Reason>>) {
    let lines = text.split(|&b| b == b'\n').filter(|line| !line.is_empty());
    let form = TitleForm::detect(lines.clone());
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
fn the_official_form_is_recognised() {
    assert_eq!(titles(OFFICIAL), ("the official form".into(), official()));
    // So is any part of the file: one line may be left out.
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
    // The comma at the end of a line without a title is not an empty column.
    assert_eq!(titles("1,2003,\n2,2004,\n").1, [title(1, 2003, ""), title(2, 2004, "")]);
}

#[test]
fn what_a_spreadsheet_saved_is_what_it_read() {
    let saved = "1,2003,Dinosaur Days,,\n2,1985,\"Brazil: The \"\"Other\"\" Version\",,\n3,NULL,Sea, Sun, and Sand\n\
                 4,1984,1984,,\n5,2000,\"\"\"Quoted\"\"\",,\n6,2001,\"\"\"Both\",\" of Them\"\"\",\n";
    let (form, all) = titles(saved);
    assert_eq!((&form[..], &all[..]), ("fields in quotes and empty columns at the end", &official()[..6]));
    // A line that breaks the rules of CSV is refused: its title is not guessed.
    let (_, all) = read(format!("{saved}7,2000,\"A\" B,,\n8,2000,\"C\n").as_bytes());
    assert_eq!(all[6..], [Err(Reason::Quotes), Err(Reason::Quotes)]);
    // Empty columns: in all rows, or in few of them.
    let (form, all) = titles("1,2003,A,,,\n2,2004,\"A, B\",,,\n3,,C,,,\n");
    assert_eq!(
        (&form[..], all),
        (
            "fields in quotes and empty columns at the end",
            vec![title(1, 2003, "A"), title(2, 2004, "A, B"), title(3, 0, "C"),]
        )
    );
    let rows = |n: usize| if n % 20 == 3 { format!("{n},2000,A,,\n") } else { format!("{n},2000,A\n") };
    let (form, all) = titles(&(1..100).map(rows).collect::<String>());
    assert_eq!(form, "empty columns at the end");
    assert!(all.iter().all(|title| title.2 == "A"));
    // Each field is in quotes, or each title, or each line.
    for text in [
        "\"1\",\"2003\",\"A\"\n\"2\",\"\",\"B, C\"\n",
        "1,2003,\"A\"\n2,NULL,\"B, C\"\n",
        "\"1,2003,A\"\n\"2,NULL,B, C\"\n",
    ] {
        assert_eq!(titles(text), ("fields in quotes".into(), vec![title(1, 2003, "A"), title(2, 0, "B, C")]));
    }
    // Where the decimal point is a comma, spreadsheets separate fields by semicolons.
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
        ("a header and fields in quotes", "movie_id,year,title\n1,2003.0,A\n2,,\"B, C\"\n3,1984.0,1984\n"),
        (
            "a header and fields in quotes",
            ",Movie_Id,Year,Name\n0,1,2003.0,A\n1,2,,\"B, C\"\n2,3,1984.0,1984\n",
        ),
        ("a header and fields in quotes", "Name,Year,Id\nA,2003,1\n\"B, C\",,2\n1984,1984,3\n"),
        ("a header", "id,title,year,,\n1,A,2003,,\n3,1984,1984,,\n"),
        ("a header", "movie,release year,title\n1,2003,A\n2,NULL,B, C\n3,1984,1984\n"),
        (
            "an index column at the beginning and fields in quotes",
            "0,1,2003.0,A\n1,2,,\"B, C\"\n2,3,1984.0,1984\n",
        ),
        ("an index column at the beginning", "0,1,2003,A\n1,2,NULL,B, C\n2,3,1984,1984\n"),
    ] {
        let (found, titles) = titles(text);
        assert!(found.starts_with(form), "{found}: {text}");
        assert!(titles == wanted || titles == [wanted[0].clone(), wanted[2].clone()], "{titles:?}: {text}");
    }
    // Ids that could be years.
    let text = "0,1999,2003,A\n1,2000,2004,B\n2,2001,2004,2004\n";
    assert_eq!(titles(text).1, [title(1999, 2003, "A"), title(2000, 2004, "B"), title(2001, 2004, "2004")]);
}

/// Reads the file that Netflix published. It is not part of this repository, because we have no right to distribute it.
#[test]
#[ignore = "needs the genuine movie_titles.csv: NETFLIX_TITLES=/path/to/it"]
fn no_title_of_the_genuine_file_changes() {
    let path = std::env::var_os("NETFLIX_TITLES").expect("NETFLIX_TITLES names the genuine file");
    let text = std::fs::read(path).unwrap();
    let lines = || text.split(|&b| b == b'\n').filter(|line| !line.is_empty());
    let form = TitleForm::detect(lines());
    assert_eq!(form, TitleForm::OFFICIAL);
    // The titles are the same after a spreadsheet or a data frame has saved the file.
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
        let form = TitleForm::detect(saved.iter().map(|line| &line[..]));
        assert!(
            saved.iter().zip(lines()).all(|(saved, line)| form.parse(saved) == Title::parse(line)),
            "{form}"
        );
    }
}

proptest! {
    #[test]
    fn titles_written_as_csv_are_read_back(
        texts in prop::collection::vec("[ab1,\"; ]{0,6}[ab]", 1..8), has_header in any::<bool>(),
        has_index in any::<bool>(), padding in 0usize..3,
    ) {
        // The first title makes sure that the file can only be a CSV file.
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
    fn any_bytes_can_be_read(text in prop::collection::vec(prop_oneof![
        Just(b','), Just(b'"'), Just(b'\n'), Just(b'1'), any::<u8>()], 0..200)) {
        read(&text);
    }
}
