//! The result of one job of the first pass.

use super::alignment::MovieLines;
use super::segment::Segment;
use crate::find::notice::Notice;
use crate::parse::reject::Reject;
use crate::parse::title::Title;
use crate::parse::title_form::TitleForm;
use crate::read::text_file::TextFile;

/// What one job found. Indexes of files count the files of this job only.
#[derive(Default)]
pub struct Findings {
    pub files: Vec<TextFile>,
    pub segments: Vec<Segment>,
    pub rejects: Vec<Reject>,
    pub titles: Vec<Title>,
    /// The form of the titles file.
    pub title_form: TitleForm,
    pub probe: Vec<(u32, u32)>,
    /// The number of pairs in the qualifying set.
    pub qualifying: u64,
    /// The `id:` lines of the qualifying set or of its answers.
    pub movie_lines: MovieLines,
    pub notices: Vec<Notice>,
    /// Whether the file's name ends in `.gz` although it is not gzipped.
    pub has_wrong_ending: bool,
}
