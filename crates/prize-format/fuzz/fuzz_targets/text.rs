//! A folder of text files, loaded as the loader does: on one thread and on two, and against maps.
#![no_main]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use prize_format::{Content, Error, Limits, Rating};
use prize_format_fuzz::{ANY_REJECTS, Way, expect, folder, load, pack, records, sections, write};

/// What each section is written to.
const FILES: [(u8, &str); 7] = [
    (b't', "movie_titles.csv"),
    (b'm', "training_set/mv_0000001.txt"),
    (b'c', "combined_data_1.txt"),
    (b'd', "combined_data_2.txt.gz"),
    (b'p', "probe.txt"),
    (b'q', "qualifying.txt"),
    (b'j', "judging.txt"),
];

fuzz_target!(|input: &[u8]| {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| folder("text"));
    let texts = sections(input);
    // What seems to be something else by its first bytes is refused, or passed over.
    let is_text = |text: &Vec<u8>| Content::of(&text[..text.len().min(Content::HEAD)]) == Content::Text;
    if !texts.values().all(is_text) {
        return;
    }
    for (section, name) in FILES {
        let text = texts.get(&section);
        match name.ends_with(".gz") {
            true => write(&folder.join(name), text.map(|text| pack(text)).as_deref()),
            false => write(&folder.join(name), text.map(Vec::as_slice)),
        }
    }
    // Of what is loaded already, each is there once.
    let known = texts.get(&b'k').map_or(Vec::new(), |text| records::<Rating>(&text[..]).0);
    let known = known.into_iter().map(|(movie, rating)| ((movie, rating.customer_id), (movie, rating)));
    let known = known.collect::<BTreeMap<_, _>>().into_values().collect::<Vec<_>>();
    let pivot = known.first().map_or(1, |(movie, _)| *movie);

    let one = Way { two_threads: false, ratings_each: u64::MAX, pivot: u32::MAX };
    let two = Way { two_threads: true, ratings_each: input.len() as u64 % 7 + 1, pivot };
    let loaded = match load(folder, ANY_REJECTS, &known, one) {
        Ok(loaded) => loaded,
        Err(Error::NoRatings { .. }) => return,
        Err(error) => panic!("{error}"),
    };
    assert_eq!(loaded, load(folder, ANY_REJECTS, &known, two).unwrap());

    let expected = expect(&texts, &known);
    assert_eq!(loaded.ratings, expected.ratings);
    assert_eq!((loaded.read, loaded.duplicates), (expected.read, expected.duplicates));
    assert_eq!((&loaded.probe, &loaded.qualifying), (&expected.probe, &expected.qualifying));
    assert_eq!((&loaded.customers, loaded.days), (&expected.customers, expected.days));
    let mut movies = loaded.titles.iter().map(|title| title.movie_id).collect::<Vec<_>>();
    movies.extend(expected.movies);
    movies.sort_unstable();
    movies.dedup();
    assert_eq!(loaded.movies, movies);
    if !texts.contains_key(&b't') {
        assert_eq!(loaded.rejected, expected.rejected);
    }
    assert_eq!(loaded.ratings_rejected, expected.ratings_rejected);

    // As many refused lines of ratings as there are may be allowed, and no fewer.
    let (way, fewer) = if input.len().is_multiple_of(2) { (one, 0) } else { (two, 1) };
    if let Some(max) = loaded.ratings_rejected.checked_sub(fewer) {
        match load(folder, Limits { rejects: Some(max), ..ANY_REJECTS }, &known, way) {
            Ok(again) => assert_eq!((again.ratings, fewer), (loaded.ratings, 0)),
            Err(Error::TooManyRejects { max: told, .. }) => assert_eq!((told, fewer), (max, 1)),
            Err(error) => panic!("{error}"),
        }
    }
});
