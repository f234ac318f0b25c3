//! What one job found.

use super::alignment::Steps;
use super::segment::Segment;
use crate::find::notice::Notice;
use crate::parse::reject::Reject;
use crate::parse::title::Title;
use crate::parse::title_form::TitleForm;
use crate::read::text_file::TextFile;

/// What one job found. Places of files are counted within the job.
#[derive(Default)]
pub struct Found {
    pub files: Vec<TextFile>,
    pub segments: Vec<Segment>,
    pub rejects: Vec<Reject>,
    pub titles: Vec<Title>,
    /// How the titles' file is written.
    pub form: TitleForm,
    pub probe: Vec<(u32, u32)>,
    pub qualifying: u64,
    /// Of the qualifying set or the answers to it.
    pub steps: Steps,
    pub notices: Vec<Notice>,
    /// Whether a file whose name ends in `.gz` is not packed.
    pub is_misnamed: bool,
}
