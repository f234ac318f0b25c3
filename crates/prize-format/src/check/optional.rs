//! What is made of the files that ratings can do without, when all have been read.

use super::found::Found;
use super::pass::Limits;
use crate::find::notice::Notice;
use crate::parse::reject::Reject;
use crate::parse::title_form::TitleForm;
use crate::read::text_file::{Kind, TextFile};

impl Found {
    /// What the text is for, where it is one of those that are read alone.
    fn is_of(&self, kind: Kind) -> bool {
        self.files.first().is_some_and(|file| file.kind == kind)
    }
}

/// Chooses between titles files, and leaves answers aside that do not go with the qualifying set. Tells that, and of which files
/// many lines could not be used.
pub fn choose(found: Vec<Found>, limits: Limits, notices: &mut Vec<Notice>) -> Vec<Found> {
    let mut found = choose_titles(found, notices);
    if let Some(judging) = found.iter().position(|one| one.is_of(Kind::Judging))
        && let Some(why) = out_of_step(&found[judging], found.iter().find(|one| one.is_of(Kind::Qualifying)))
    {
        let path = found.remove(judging).files.remove(0).path;
        notices.push(Notice::LeftAside { path, why });
    }
    for one in &found {
        let Some(TextFile { kind, path, rejected, records, .. }) = one.files.first() else { continue };
        let is_many = *records == 0 || limits.rejects.is_some_and(|max| *rejected > max);
        if let Some(Reject { line, reason, text, .. }) = one.rejects.first()
            && kind.is_optional()
            && is_many
        {
            let (path, count, text) = (path.clone(), *rejected, text.clone());
            notices.push(Notice::Rejects { path, count, line: *line, reason: *reason, text });
        }
    }
    found
}

/// Of several titles files, takes the first that has titles and is in the official form, or else the first that has titles.
fn choose_titles(found: Vec<Found>, notices: &mut Vec<Notice>) -> Vec<Found> {
    let (mut titles, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|one| one.is_of(Kind::Titles));
    titles.sort_by_key(|one| (one.titles.is_empty(), one.form != TitleForm::OFFICIAL));
    let mut titles = titles.into_iter();
    let Some(chosen) = titles.next() else { return others };
    let path = &chosen.files[0].path;
    if chosen.form != TitleForm::OFFICIAL {
        notices.push(Notice::TitleForm { path: path.clone(), form: chosen.form });
    }
    let left = titles.collect::<Vec<_>>();
    if !left.is_empty() {
        let files = left.iter().map(|one| &*one.files[0].path).collect();
        let why = format!("the titles of \"{}\" are loaded", path.display());
        notices.push(Notice::NotRead { files, why, is_loss: false });
    }
    std::iter::once(chosen).chain(others).collect()
}

/// Why the answers do not go with the qualifying set, where they do not.
fn out_of_step(judging: &Found, qualifying: Option<&Found>) -> Option<String> {
    let Some(qualifying) = qualifying else {
        return Some(
            "its lines name no customers, and go with those of qualifying.txt. Put that beside it and load the folder again"
                .into(),
        );
    };
    let (line, found, wanted) = judging.steps.differ(&qualifying.steps)?;
    Some(format!(
        "its lines go with those of \"{}\", but on line {line} it has {found}, where that has {wanted}. \
         Take both files from one copy of the data set and load the folder again",
        qualifying.files[0].path.display()
    ))
}
