//! After all files are read: chooses between two titles files, and checks the optional files against each other.

use super::findings::Findings;
use super::pass::Limits;
use crate::find::notice::Notice;
use crate::parse::reject::Reject;
use crate::parse::title_form::TitleForm;
use crate::read::text_file::{TextFile, TextKind};

impl Findings {
    /// Whether this is a job that reads a text of this kind.
    fn is_of(&self, kind: TextKind) -> bool {
        self.files.first().is_some_and(|file| file.kind == kind)
    }
}

/// Chooses one of several titles files, and drops the answers if their lines do not match the qualifying set. Adds
/// notices about that, and about optional files of which too many lines cannot be used.
pub fn choose(findings: Vec<Findings>, limits: Limits, notices: &mut Vec<Notice>) -> Vec<Findings> {
    let mut findings = choose_titles(findings, notices);
    if let Some(judging) = findings.iter().position(|one| one.is_of(TextKind::Judging)) {
        let qualifying = findings.iter().find(|one| one.is_of(TextKind::Qualifying));
        if let Some(why) = mismatch(&findings[judging], qualifying) {
            let path = findings.remove(judging).files.remove(0).path;
            notices.push(Notice::Skipped { path, why });
        }
    }
    for one in &findings {
        let Some(TextFile { kind, path, rejected, records, .. }) = one.files.first() else { continue };
        let are_too_many = *records == 0 || limits.rejects.is_some_and(|max| *rejected > max);
        if let Some(Reject { line, reason, text, .. }) = one.rejects.first()
            && kind.is_optional()
            && are_too_many
        {
            let (path, count, text) = (path.clone(), *rejected, text.clone());
            notices.push(Notice::Rejects { path, count, line: *line, reason: *reason, text });
        }
    }
    findings
}

/// Keeps one titles file: the first with titles in the official form; if there is none, the first with titles.
fn choose_titles(findings: Vec<Findings>, notices: &mut Vec<Notice>) -> Vec<Findings> {
    let (mut titles, others): (Vec<_>, Vec<_>) =
        findings.into_iter().partition(|one| one.is_of(TextKind::Titles));
    titles.sort_by_key(|one| (one.titles.is_empty(), one.title_form != TitleForm::OFFICIAL));
    let mut titles = titles.into_iter();
    let Some(chosen) = titles.next() else { return others };
    let path = &chosen.files[0].path;
    if chosen.title_form != TitleForm::OFFICIAL {
        notices.push(Notice::TitleForm { path: path.clone(), form: chosen.title_form });
    }
    let unused = titles.collect::<Vec<_>>();
    if !unused.is_empty() {
        let files = unused.iter().map(|one| &*one.files[0].path).collect();
        let why = format!("the titles of \"{}\" are loaded", path.display());
        notices.push(Notice::NotRead { files, why, is_loss: false });
    }
    std::iter::once(chosen).chain(others).collect()
}

/// Why the answers do not match the qualifying set. `None` if they do.
fn mismatch(judging: &Findings, qualifying: Option<&Findings>) -> Option<String> {
    let Some(qualifying) = qualifying else {
        return Some(
            "its lines name no customers; each answers the same line of qualifying.txt, which is not there. \
             Put qualifying.txt beside it and load the folder again"
                .into(),
        );
    };
    let (line, here, there) = judging.movie_lines.first_difference(&qualifying.movie_lines)?;
    Some(format!(
        "each of its lines must match the same line of \"{}\", but line {line} is {here} here and {there} there. \
         Take both files from one copy of the data set and load the folder again",
        qualifying.files[0].path.display()
    ))
}
