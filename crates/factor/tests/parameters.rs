//! The tables of parameters in `docs/train.md` and the defaults in `sql/train.sql` agree with the tables of this crate.

use std::collections::BTreeMap;

use factor::{Algorithm, Parameter, ParameterRange};
use serde_json::{Value, json};

/// A file of the repository.
fn read(path: &str) -> String {
    let path = format!("{}/../../{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn parameters(algorithm: &str) -> &'static [Parameter] {
    Algorithm::parse(algorithm, &json!({})).unwrap().parameters()
}

/// A default as docs and SQL write it: a number, a boolean, or a word in quotes.
fn value(text: &str) -> Value {
    let text = text.trim().trim_matches(['`', '\'']);
    match text.parse::<f64>() {
        Ok(number) => json!(number),
        Err(_) => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
    }
}

/// Whether two defaults are the same, 50 and 50.0 included.
fn is_same(one: &Value, other: &Value) -> bool {
    one.as_f64().map_or(one == other, |number| other.as_f64() == Some(number))
}

/// The rows of the first Markdown table below a heading: the text of each cell.
fn table_below<'a>(page: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let section = page.lines().skip_while(|line| *line != heading).skip(1);
    let section = section.take_while(|line| !line.starts_with("## "));
    let lines = section.skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

fn assert_range(case: &str, range: &ParameterRange, text: &str) {
    let bounds = text.split_once(" to ").map(|(low, high)| {
        [low, high].map(|bound| bound.parse::<f64>().unwrap_or_else(|_| panic!("{case}: range '{text}'")))
    });
    match range {
        ParameterRange::Whole(whole) => {
            assert_eq!(bounds, Some([*whole.start(), *whole.end()].map(|bound| bound as f64)), "{case}");
        }
        ParameterRange::Real(real) => assert_eq!(bounds, Some([*real.start(), *real.end()]), "{case}"),
        ParameterRange::OneOf(words) => {
            let mut listed = text.split(", ").map(|word| word.trim_matches(['`', '\''])).collect::<Vec<_>>();
            let mut words = words.to_vec();
            listed.sort_unstable();
            words.sort_unstable();
            assert_eq!(listed, words, "{case}");
        }
        ParameterRange::Any => assert_eq!(text, "", "{case}"),
    }
}

#[test]
fn the_tables_of_the_docs_are_those_of_the_crate() {
    let page = read("docs/train.md");
    for name in Algorithm::NAMES {
        let rows = table_below(&page, &format!("## train_{name}"));
        assert_eq!(rows[0], ["parameter", "default", "range", "meaning"], "train_{name}");
        // The seed is in the table of what all algorithms have in common.
        let expected = parameters(name).iter().filter(|parameter| parameter.name != "seed");
        let expected = expected.collect::<Vec<_>>();
        let names = rows[2..].iter().map(|row| row[0].trim_matches('`')).collect::<Vec<_>>();
        assert_eq!(names, expected.iter().map(|parameter| parameter.name).collect::<Vec<_>>());
        for (row, parameter) in rows[2..].iter().zip(expected) {
            let case = format!("{} of train_{name} in docs/train.md", parameter.name);
            let default = parameter.default_value();
            assert!(is_same(&value(row[1]), &default), "{case}: default {}, not {default}", row[1]);
            assert_range(&case, &parameter.range, row[2]);
        }
    }
}

/// The parameters and defaults of a SQL function, as its parameter list declares them: `name type DEFAULT value, ...`.
fn declared<'a>(sql: &'a str, function: &str) -> BTreeMap<&'a str, &'a str> {
    let lists = sql.match_indices(function).map(|(start, _)| {
        let list = &sql[start + function.len()..];
        list.split_once(')').map_or(list, |(list, _)| list)
    });
    // The name may also stand in a comment or in a grant.
    let mut lists = lists.filter(|list| list.contains(" DEFAULT "));
    let list = lists.next().unwrap_or_else(|| panic!("{function} is not declared"));
    let parameters = list.split(',').filter_map(|parameter| {
        let (declaration, default) = parameter.split_once(" DEFAULT ")?;
        Some((declaration.split_whitespace().next()?, default.trim()))
    });
    parameters.collect()
}

#[test]
fn the_defaults_of_the_sql_functions_are_those_of_the_crate() {
    let sql = read("sql/train.sql");
    for name in Algorithm::NAMES {
        let mut declared = declared(&sql, &format!("train_{name}("));
        for parameter in parameters(name) {
            let case = format!("{} of train_{name} in sql/train.sql", parameter.name);
            let default = declared.remove(parameter.name).unwrap_or_else(|| panic!("{case} is missing"));
            let expected = parameter.default_value();
            assert!(is_same(&value(default), &expected), "{case}: {default}, not {expected}");
        }
        let others = declared.into_keys().collect::<Vec<_>>();
        assert_eq!(others, ["deploy", "hold_out", "model", "split", "train_on"], "train_{name}");
    }
}

#[test]
fn every_parameter_has_a_meaning_in_plain_sentences() {
    for name in Algorithm::NAMES {
        for parameter in parameters(name) {
            assert!(parameter.meaning.ends_with('.'), "{name}: {}: {}", parameter.name, parameter.meaning);
        }
    }
}
