//! `judging.txt`: each of its lines answers the line of `qualifying.txt` with the same line number.

mod common;

use std::fs;

use common::{RATINGS, folder, messages, survey, survey_partial};
use prize_format::{Folder, QualifyingPair, Subset, Survey, TextKind, read_qualifying};

const QUALIFYING: &[u8] = b"2:\n1000,2005-12-01\n7,2005-12-03\n4:\n8,2005-12-02\n";

/// Movie, customer, rating and subset of each pair.
fn pairs(survey: &Survey) -> Vec<(u32, u32, Option<u8>, Option<Subset>)> {
    let pairs = read_qualifying(&survey.files, &|| Ok(())).unwrap();
    pairs
        .into_iter()
        .map(|QualifyingPair { movie_id, customer_id, rating, subset, .. }| {
            (movie_id, customer_id, rating, subset)
        })
        .collect()
}

/// The pairs of `QUALIFYING`, with answers.
fn answered() -> Vec<(u32, u32, Option<u8>, Option<Subset>)> {
    vec![
        (2, 7, Some(5), Some(Subset::Test)),
        (2, 1000, Some(3), Some(Subset::Quiz)),
        (4, 8, Some(1), Some(Subset::Test)),
    ]
}

/// The pairs of `QUALIFYING`, without answers.
fn unanswered() -> Vec<(u32, u32, Option<u8>, Option<Subset>)> {
    answered().into_iter().map(|(movie, customer, ..)| (movie, customer, None, None)).collect()
}

#[test]
fn each_line_answers_the_same_line_of_the_qualifying_set() {
    for name in ["judging.txt", "grand_prize/judging.txt"] {
        for text in [
            &b"2:\n3,0\n5,1\n4:\n1,1\n"[..],
            b"2:\r\n3,0\r\n5,1\r\n4:\r\n1,1",
            b"\xef\xbb\xbf2:\n3,0\n5,1\n4:\n1,1\n\n\n",
        ] {
            let (folder, survey) = survey(&[RATINGS, ("qualifying.txt", QUALIFYING), (name, text)]);
            assert_eq!((pairs(&survey), survey.qualifying), (answered(), 3));
            assert_eq!((survey.rejects.count, messages(&folder, &survey)), (0, vec![]));
            assert_eq!(
                survey.files.iter().map(|file| file.kind).collect::<Vec<_>>(),
                [TextKind::Ratings, TextKind::Qualifying, TextKind::Judging]
            );
        }
    }
}

#[test]
fn answers_whose_lines_do_not_match_are_skipped() {
    let folder = folder(&[RATINGS, ("qualifying.txt", QUALIFYING)]);
    let advice = ". Take both files from one copy of the data set and load the folder again";
    for (text, line, found, wanted) in [
        ("2:\n3,0\n4:\n1,1\n", 3, "\"4:\"", "a line about a customer"),
        ("2:\n3,0\n5,1\n5,1\n4:\n1,1\n", 4, "a line about a customer", "\"4:\""),
        ("2:\n3,0\n5,1\n5:\n1,1\n", 4, "\"5:\"", "\"4:\""),
        ("2:\n3,0\n5,1\n", 4, "the end of the file", "\"4:\""),
        ("2:\n3,0\n5,1\n4:\n", 5, "the end of the file", "a line about a customer"),
        ("2:\n3,0\n5,1\n4:\n1,1\n1,1\n", 6, "a line about a customer", "the end of the file"),
        ("2:\n3,0\n5,1\n4:\n1,1\n6:\n", 6, "\"6:\"", "the end of the file"),
        ("", 1, "the end of the file", "\"2:\""),
        // A blank line counts as a line.
        ("2:\n3,0\n\n5,1\n4:\n1,1\n", 4, "a line about a customer", "\"4:\""),
    ] {
        fs::write(folder.path().join("judging.txt"), text).unwrap();
        let survey = survey_partial(folder.path(), 0).unwrap();
        assert_eq!((pairs(&survey), survey.ratings(), survey.rejects.count), (unanswered(), 1, 0), "{text}");
        assert!(survey.files.iter().all(|file| file.kind != TextKind::Judging));
        let why = format!(
            "each of its lines must match the same line of \"qualifying.txt\", but line {line} is {found} here and {wanted} there"
        );
        let messages = messages(&folder, &survey);
        assert_eq!(
            messages,
            [(format!("\"judging.txt\" was skipped, everything else is loaded: {why}{advice}"), true)]
        );
    }
}

#[test]
fn a_line_that_cannot_be_used_does_not_shift_the_others() {
    let qualifying = b"2:\n1000,2005-12-01\n7,2005-13-03\n4:\n8,2005-12-02\n";
    let (folder, survey) =
        survey(&[RATINGS, ("qualifying.txt", qualifying), ("judging.txt", b"2:\n9,0\n5,1\n4:\n1,1\n")]);
    assert_eq!(pairs(&survey), [(2, 1000, None, None), (4, 8, Some(1), Some(Subset::Test))]);
    let rejects = survey
        .rejects
        .kept
        .iter()
        .map(|reject| (survey.files[reject.file].kind, reject.line, reject.reason.to_string()));
    assert_eq!(
        rejects.collect::<Vec<_>>(),
        [
            (
                TextKind::Qualifying,
                3,
                "date is not a day from 1900-01-01 to 2099-12-31 written yyyy-mm-dd".into()
            ),
            (TextKind::Judging, 2, "rating is not 1, 2, 3, 4 or 5".into()),
        ]
    );
    // No line of ratings may be refused. That does not limit the lines of optional files.
    let message = |name: &str, line: &str| {
        (
            format!(
                "1 line of \"{name}\" could not be used; the first is line {line}. Correct the file and load the folder again; everything else is loaded"
            ),
            true,
        )
    };
    assert_eq!(
        messages(&folder, &survey),
        [
            message(
                "qualifying.txt",
                "3: date is not a day from 1900-01-01 to 2099-12-31 written yyyy-mm-dd: \"7,2005-13-03\""
            ),
            message("judging.txt", "2: rating is not 1, 2, 3, 4 or 5: \"9,0\""),
        ]
    );
}

#[test]
fn answers_in_another_form_are_not_used() {
    let (folder, survey) = survey(&[
        RATINGS,
        ("qualifying.txt", QUALIFYING),
        ("judging.txt", b"2:\n1000,3,2005-12-01\n7,5,2005-12-03\n4:\n8,1,2005-12-02\n"),
    ]);
    assert_eq!((pairs(&survey), survey.rejects.count), (unanswered(), 3));
    assert!(messages(&folder, &survey)[0].0.starts_with("3 lines of \"judging.txt\" could not be used; the first is line 2: line is not of the form rating,subset: "));
}

#[test]
fn answers_need_the_qualifying_set() {
    let wanted = "\"judging.txt\" was skipped, everything else is loaded: its lines name no customers; each answers the same line of qualifying.txt, which is not there. Put qualifying.txt beside it and load the folder again";
    for files in [&[RATINGS, ("judging.txt", b"2:\n3,0\n")][..], &[("judging.txt", b"2:\n3,0\n")]] {
        let (folder, survey) = survey(files);
        assert_eq!(messages(&folder, &survey), [(wanted.to_owned(), true)]);
        assert_eq!((pairs(&survey), survey.qualifying), (vec![], 0));
    }
}

#[test]
fn a_notice_lists_the_files_that_are_not_there() {
    let absent = |files: &[(&str, &[u8])]| {
        let folder = folder(files);
        Folder::open(folder.path()).unwrap().notices.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        absent(&[RATINGS]),
        [
            "\"movie_titles.csv\", \"probe.txt\", \"qualifying.txt\" and \"judging.txt\" are not there: everything else is loaded"
        ]
    );
    let all: &[(&str, &[u8])] =
        &[RATINGS, ("movie_titles.txt", b""), ("probe.txt", b""), ("qualifying.txt", b"")];
    assert_eq!(absent(all), ["\"judging.txt\" is not there: everything else is loaded"]);
    assert_eq!(absent(&[all, &[("grand_prize/judging.txt.gz", b"")]].concat()), [""; 0]);
}
