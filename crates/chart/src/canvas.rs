//! Size and theme of a chart.

use crate::ink::Ink;

/// What the caller may get wrong.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// A width or height out of range.
    #[error("{name} must be from {least} to {most} pixels, not {value}")]
    Size {
        /// `width` or `height`.
        name: &'static str,
        /// The least value.
        least: u32,
        /// The greatest value.
        most: u32,
        /// What was given.
        value: i64,
    },
    /// A theme that does not exist.
    #[error("there is no theme \"{0}\"")]
    Theme(String),
}

/// The colours of a chart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Theme {
    /// Light, and dark if the reader's system is (by a media query, which viewers other than browsers ignore).
    Auto,
    /// Dark on white.
    Light,
    /// Light on black.
    Dark,
    /// As `Auto`, in a page that has [`crate::page`]'s style sheet.
    Page,
}

impl Theme {
    /// The names of the themes that a caller can choose.
    pub const NAMES: [&str; 3] = ["auto", "light", "dark"];

    /// The theme of a name. [`Error::Theme`] if there is none.
    pub fn named(name: &str) -> Result<Theme, Error> {
        match name {
            "auto" => Ok(Theme::Auto),
            "light" => Ok(Theme::Light),
            "dark" => Ok(Theme::Dark),
            _ => Err(Error::Theme(name.into())),
        }
    }

    /// The colour to write into the SVG.
    pub(crate) fn color(self, ink: Ink) -> &'static str {
        if self == Theme::Dark { ink.dark } else { ink.light }
    }
}

/// Size, in pixels, and theme of a chart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Canvas {
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) theme: Theme,
}

impl Canvas {
    /// The least width and height: what headings, axes and a plot need.
    pub const LEAST: (u32, u32) = (320, 240);
    /// The greatest width and height.
    pub const MOST: (u32, u32) = (4000, 4000);

    /// A canvas of this size. [`Error::Size`] if it is not within [`Canvas::LEAST`] and [`Canvas::MOST`].
    pub fn new(width: i64, height: i64, theme: Theme) -> Result<Canvas, Error> {
        let check = |name, value: i64, least: u32, most: u32| {
            if (i64::from(least)..=i64::from(most)).contains(&value) {
                Ok(value as f64)
            } else {
                Err(Error::Size { name, least, most, value })
            }
        };
        Ok(Canvas {
            width: check("width", width, Canvas::LEAST.0, Canvas::MOST.0)?,
            height: check("height", height, Canvas::LEAST.1, Canvas::MOST.1)?,
            theme,
        })
    }

    /// Whether the chart is for a phone: less text is then better.
    pub(crate) fn is_narrow(&self) -> bool {
        self.width < 480.0
    }
}
