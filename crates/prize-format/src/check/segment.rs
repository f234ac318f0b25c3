//! Segments: where a movie's ratings are in the texts.

/// Records of one movie that follow each other in a text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub movie_id: u32,
    /// The index of the text in [`crate::Survey::files`].
    pub file: u32,
    /// The offset of its first line in the text.
    pub offset: u64,
    pub bytes: u64,
    /// The line number of its first record.
    pub line: u64,
    pub records: u32,
    /// The sum of its records' digests.
    pub digest: u64,
    /// Whether a customer has more than one record in it.
    pub has_customer_twice: bool,
}

/// The index of a segment in the survey's list of segments.
pub(crate) type SegmentId = usize;
