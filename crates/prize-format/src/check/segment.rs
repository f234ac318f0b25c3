//! Where a movie's ratings stand in the texts.

/// Some records of one movie that follow each other in a text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub movie_id: u32,
    /// Index of the text in [`Survey::files`].
    pub file: u32,
    pub offset: u64,
    pub bytes: u64,
    /// The line of its first record.
    pub line: u64,
    pub records: u32,
    /// The sum of its records' digests.
    pub digest: u64,
    /// Whether a customer stands in it twice.
    pub is_doubtful: bool,
}

/// The place of a segment in the survey's list.
pub(crate) type SegmentId = usize;
