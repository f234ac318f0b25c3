//! Made-up titles: with commas and accents, and some without a year.

use rand::Rng;
use rand::seq::IndexedRandom;

use super::movies::Movie;
use super::settings::Sample;
use crate::parse::title::Title;

const ADJECTIVES: &[&str] = &[
    "Silent",
    "Crimson",
    "Broken",
    "Endless",
    "Hidden",
    "Electric",
    "Forgotten",
    "Golden",
    "Last",
    "Burning",
    "Invisible",
    "Wandering",
    "Frozen",
    "Secret",
    "Wild",
    "Paper",
    "Midnight",
    "Second",
    "Lonely",
    "Perfect",
];
const NOUNS: &[&str] = &[
    "Café",
    "Harbour",
    "Señorita",
    "River",
    "Garden",
    "Détective",
    "Orchestra",
    "Empire",
    "Niño",
    "Letter",
    "Mountain",
    "Château",
    "Highway",
    "Promise",
    "Stranger",
    "Señor",
    "Lighthouse",
    "Winter",
    "Circus",
    "Machine",
    "Fräulein",
    "Island",
    "Soufflé",
    "Kingdom",
    "Mirror",
    "Voyage",
    "Daughter",
    "Smörgåsbord",
    "Shadow",
    "Train",
];
const PLACES: &[&str] = &[
    "Paris",
    "Málaga",
    "Zürich",
    "the Sea",
    "Göteborg",
    "the Moon",
    "São Paulo",
    "Montréal",
    "Ohio",
    "the North",
    "København",
    "Bogotá",
    "Texas",
    "Ávila",
    "the Desert",
    "Köln",
];

/// A title for each movie. Each genre has nouns of its own.
pub fn titles(sample: &Sample, movies: &[Movie], rng: &mut impl Rng) -> Vec<Title> {
    let nouns_of = |genre: u32| {
        let nouns = NOUNS.iter().skip(genre as usize).step_by(sample.genres as usize);
        nouns.copied().collect::<Vec<_>>()
    };
    let nouns = (0..sample.genres).map(nouns_of).collect::<Vec<_>>();
    let mut word = |words: &[&'static str]| words.choose(rng).copied().unwrap_or_default();
    let title = |movie: &Movie| {
        let nouns = sample.genre(movie.id).map_or(NOUNS, |genre| &nouns[genre as usize]);
        let (adjective, noun, place) = (word(ADJECTIVES), word(nouns), word(PLACES));
        let title = match movie.id % 7 {
            0 => format!("{noun} of {place}, The"),
            1 | 2 => format!("The {adjective} {noun}"),
            3 => format!("{adjective}, {}, and the {noun}", word(ADJECTIVES)),
            4 if noun.starts_with(['E', 'I', 'O']) => format!("An {noun} in {place}"),
            4 => format!("A {noun} in {place}"),
            5 => format!("{adjective} {noun}: Part {}", movie.id % 4 + 1),
            _ => format!("{noun} and {}", word(nouns)),
        };
        Title {
            movie_id: movie.id,
            release_year: movie.release_year.map(|year| year as u16),
            title: Some(title),
        }
    };
    movies.iter().map(title).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_genre_has_nouns() {
        assert!(NOUNS.len() >= Sample::MOST_GENRES as usize);
    }
}
