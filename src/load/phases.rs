//! The phases of a load, as `netflix_progress` shows them.

use crate::pg::progress::Phase;

/// Files are being read.
pub const READING_FILES: Phase = Phase { id: 1, name: "reading files", unit: "bytes" };
/// Ratings are being inserted.
pub const LOADING_RATINGS: Phase = Phase { id: 2, name: "loading ratings", unit: "bytes" };
/// Indexes are being rebuilt, and ratings counted.
pub const BUILDING_INDEXES: Phase = Phase { id: 3, name: "building indexes", unit: "tasks" };
/// The load is being marked as completed, and the tables analyzed.
pub const FINISHING: Phase = Phase { id: 4, name: "finishing", unit: "tasks" };

/// The phases of a load.
pub static PHASES: [&Phase; 4] = [&READING_FILES, &LOADING_RATINGS, &BUILDING_INDEXES, &FINISHING];
