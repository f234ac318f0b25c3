//! Titles files in the forms in which people have them, and the other optional files.

mod common;

use std::fs;
use std::os::unix::fs::symlink;

use common::{RATINGS, folder, messages, survey, survey_partial};
use prize_format::{Error, Folder, Survey, TextKind, read_probe, read_qualifying};

fn titles(survey: &Survey) -> Vec<(u32, Option<u16>, &str)> {
    survey
        .titles
        .iter()
        .map(|title| (title.movie_id, title.release_year, title.title.as_deref().unwrap_or("")))
        .collect()
}

#[test]
fn files_saved_by_a_spreadsheet_or_a_data_frame_are_read_with_a_notice() {
    let wanted = [(1, Some(2003), "A"), (2, None, "B, C"), (3, Some(1984), "1984")];
    for (text, form) in [
        ("1,2003,A,,,\n2,NULL,B, C,,\n3,1984,1984,,,\n", "empty columns at the end"),
        ("1,2003,A\n2,NULL,\"B, C\"\n3,1984,1984\n", "fields in quotes"),
        ("movie_id,year,title\n1,2003.0,A\n2,,\"B, C\"\n3,1984.0,1984\n", "a header and fields in quotes"),
        (
            "0,1,2003,A\n1,2,,\"B, C\"\n2,3,1984,1984\n",
            "an index column at the beginning and fields in quotes",
        ),
        ("1;2003;A\n2;;B, C\n3;1984;1984\n", "semicolons between fields"),
    ] {
        let (folder, survey) = survey(&[RATINGS, ("movie_titles.csv", text.as_bytes())]);
        assert_eq!((titles(&survey), survey.rejects.count), (wanted.to_vec(), 0), "{text}");
        let form = format!(
            "\"movie_titles.csv\" is not in the form that Netflix published: it has {form}. It is read in that form"
        );
        assert_eq!(messages(&folder, &survey), [(form, false)]);
        // Movies that have only a title count as movies.
        assert_eq!(survey.movies.iter().collect::<Vec<_>>(), [1, 2, 3]);
    }
    let official = "1,2003,The \"A\"\n2,NULL,B, C,\n3,1984,1984\n";
    let (folder, survey) = survey(&[RATINGS, ("movie_titles.csv", official.as_bytes())]);
    assert_eq!(titles(&survey), [(1, Some(2003), "The \"A\""), (2, None, "B, C,"), (3, Some(1984), "1984")]);
    assert_eq!(messages(&folder, &survey), []);
}

#[test]
fn wrong_titles_never_stop_the_ratings() {
    let bad = (1..=5000).map(|id| format!("{id},18x4,Bad Year\n")).collect::<String>() + "1,2003,Good\n";
    let (folder, survey) = survey(&[RATINGS, ("movie_titles.csv", bad.as_bytes())]);
    assert_eq!((survey.ratings(), titles(&survey)), (1, vec![(1, Some(2003), "Good")]));
    // All of them are counted, and the first are kept.
    assert_eq!(
        (survey.rejects.count, survey.files[0].rejected, survey.rejects.kept.len()),
        (5000, 5000, 1000)
    );
    let messages = messages(&folder, &survey);
    let first = "release year is neither NULL nor a year from 1800 to 2199: \"1,18x4,Bad Year\"";
    assert_eq!(
        messages,
        [(
            format!(
                "5000 lines of \"movie_titles.csv\" could not be used; the first is line 1: {first}. \
                                Correct the file and load the folder again; everything else is loaded"
            ),
            true
        )]
    );
    // Only lines of ratings count for the limit.
    fs::write(
        folder.path().join("combined_data_1.txt"),
        "1:\n7,5,2004-02-29\n7,9,2004-02-29\n8,9,2004-02-29\n",
    )
    .unwrap();
    let survey = survey_partial(folder.path(), 2).unwrap();
    assert_eq!((survey.rejects.count, survey.rejects.kept.len()), (5002, 1002));
    assert!(
        matches!(survey_partial(folder.path(), 1), Err(Error::TooManyRejects { max: 1, reject, .. }) if reject.line == 3)
    );
}

#[test]
fn an_optional_file_that_cannot_be_read_is_skipped() {
    for name in ["movie_titles.csv", "probe.txt", "qualifying.txt"] {
        // A broken link, and a gzipped file that ends too early, after some good lines.
        let good_lines: &[u8] = b"1:\n55,2004-02-29\n";
        let mut packed = Vec::new();
        let text = [good_lines, &b"2,x\n".repeat(100_000)].concat();
        std::io::Read::read_to_end(
            &mut flate2::read::GzEncoder::new(&text[..], flate2::Compression::none()),
            &mut packed,
        )
        .unwrap();
        for is_broken in [true, false] {
            let folder = folder(&[RATINGS]);
            let file = match is_broken {
                true => {
                    symlink("nowhere", folder.path().join(name)).unwrap();
                    name.to_owned()
                }
                false => {
                    fs::write(folder.path().join(format!("{name}.gz")), &packed[..packed.len() / 2]).unwrap();
                    format!("{name}.gz")
                }
            };
            let survey = survey_partial(folder.path(), 0).unwrap();
            assert_eq!((survey.ratings(), survey.rejects.count, survey.files.len()), (1, 0, 1));
            // Nothing of it is in the survey.
            assert_eq!((survey.customers.len(), survey.movies.len(), survey.probe.len()), (1, 1, 0));
            let [(message, true)] = &messages(&folder, &survey)[..] else { panic!("{:?}", survey.notices) };
            let beginning = format!("\"{file}\" was skipped, everything else is loaded: ");
            assert!(message.starts_with(&beginning), "{message}");
            assert!(message.ends_with(". Put a good copy there and load the folder again"), "{message}");
            // It is an error if there are no other files.
            fs::remove_file(folder.path().join("combined_data_1.txt")).unwrap();
            let error = survey_partial(folder.path(), 0).map(drop);
            assert!(matches!(error, Err(Error::Io { .. } | Error::Unreachable { .. })), "{error:?}");
        }
    }
}

#[test]
fn of_two_titles_files_the_one_in_the_official_form_is_used() {
    let (official, csv): (&[u8], &[u8]) =
        (b"1,2003,A, B\n2,2004,C\n", b"id,year,title\n1,1999,X\n3,2004,Y\n");
    for (one, other, wanted, title) in [
        (csv, official, "movie_titles.txt", "A, B"),
        (official, csv, "movie_titles.csv", "A, B"),
        (official, b"1,1999,X\n", "movie_titles.csv", "A, B"),
        (b"junk\n", csv, "movie_titles.txt", "X"),
    ] {
        let (folder, survey) = survey(&[RATINGS, ("movie_titles.csv", one), ("movie_titles.txt", other)]);
        assert_eq!(titles(&survey)[0].2, title);
        assert_eq!(survey.files.iter().filter(|file| file.kind == TextKind::Titles).count(), 1);
        // Nothing of the other file is in the survey: no movie, and no reject.
        assert_eq!((survey.movies.len(), survey.rejects.count), (survey.titles.len(), 0));
        let unused = if wanted == "movie_titles.csv" { "movie_titles.txt" } else { "movie_titles.csv" };
        let messages = messages(&folder, &survey);
        assert_eq!(
            messages.last().unwrap().0,
            format!("\"{unused}\" is not read: the titles of \"{wanted}\" are loaded")
        );
    }
}

#[test]
fn an_optional_file_can_be_read_without_ratings() {
    for (name, text) in [
        ("movie_titles.txt", &b"1,2003,A\n"[..]),
        ("probe.txt", b"1:\n7\n"),
        ("qualifying.txt", b"1:\n8,2005-12-01\n"),
    ] {
        let (folder, survey) = survey(&[(name, text)]);
        assert!(
            matches!(Folder::open(folder.path()), Err(Error::NoRatings { found, .. }) if found.to_string() == format!("\"{name}\""))
        );
        assert_eq!((survey.ratings(), survey.files.len(), messages(&folder, &survey)), (0, 1, vec![]));
        let probe = read_probe(&survey.files, &|| Ok(())).unwrap();
        let qualifying = read_qualifying(&survey.files, &|| Ok(())).unwrap();
        assert_eq!(survey.titles.len() + probe.len() + qualifying.len(), 1);
        assert!(Folder::open_partial(folder.path(), None).unwrap().notices.is_empty());
    }
    assert!(matches!(survey_partial(folder(&[]).path(), 0), Err(Error::NoRatings { .. })));
}
