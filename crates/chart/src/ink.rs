//! The colours of both themes.
//!
//! The colours of series are those of Okabe and Ito (2008), which people with each kind of colour blindness can tell apart, without
//! yellow and black, which one of the two themes would hide. In the dark theme they are lighter.

/// A colour in both themes, as `#rrggbb`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ink {
    pub light: &'static str,
    pub dark: &'static str,
}

const fn ink(light: &'static str, dark: &'static str) -> Ink {
    Ink { light, dark }
}

pub const BACKGROUND: Ink = ink("#ffffff", "#16181d");
pub const TEXT: Ink = ink("#1a1a1a", "#ececec");
pub const MUTED: Ink = ink("#595959", "#b3b3b3");
pub const AXIS: Ink = ink("#6b6b6b", "#9c9c9c");
pub const GRID: Ink = ink("#e4e4e4", "#363a42");
/// What belongs to no series.
pub const OTHER: Ink = ink("#9e9e9e", "#7d7d7d");
pub const SERIES: [Ink; 6] = [
    ink("#0072b2", "#5aaee6"),
    ink("#d55e00", "#f28b4b"),
    ink("#009e73", "#31c79d"),
    ink("#a8479b", "#dd8bd1"),
    ink("#e69f00", "#f2bb42"),
    ink("#56b4e9", "#a5daf8"),
];

/// Every colour that differs between the themes.
pub fn all() -> impl Iterator<Item = Ink> {
    [BACKGROUND, TEXT, MUTED, AXIS, GRID, OTHER].into_iter().chain(SERIES)
}

/// The class of every chart, so that the rules below are for charts only, and not for other drawings on the same page.
pub const CLASS: &str = "netflix-chart";

/// The rules that turn the light theme's colours into the dark theme's where the reader's system is dark. A printed page stays light.
pub fn dark_rules() -> String {
    let mut rules = format!("@media screen and (prefers-color-scheme:dark){{.{CLASS}{{fill:{}}}", TEXT.dark);
    for Ink { light, dark } in all() {
        rules += &format!(
            ".{CLASS} [fill=\"{light}\"]{{fill:{dark}}}.{CLASS} [stroke=\"{light}\"]{{stroke:{dark}}}"
        );
    }
    rules + "}"
}

/// Steps of viridis (Smith and van der Walt 2015), dark to light. It can be read in both themes, in grey, and by the colour-blind.
const VIRIDIS: [(f64, f64, f64); 9] = [
    (68.0, 1.0, 84.0),
    (72.0, 40.0, 120.0),
    (62.0, 74.0, 137.0),
    (49.0, 104.0, 142.0),
    (38.0, 130.0, 142.0),
    (31.0, 158.0, 137.0),
    (53.0, 183.0, 121.0),
    (109.0, 205.0, 89.0),
    (253.0, 231.0, 37.0),
];

/// The colour of a share from 0 (dark) to 1 (light), and the colour of text on it.
pub fn viridis(share: f64) -> (String, &'static str) {
    let at = share.clamp(0.0, 1.0) * (VIRIDIS.len() - 1) as f64;
    let below = (at as usize).min(VIRIDIS.len() - 2);
    let (low, high) = (VIRIDIS[below], VIRIDIS[below + 1]);
    let between = |low: f64, high: f64| low + (at - below as f64) * (high - low);
    let (red, green, blue) = (between(low.0, high.0), between(low.1, high.1), between(low.2, high.2));
    let luminance = 0.299 * red + 0.587 * green + 0.114 * blue;
    let text = if luminance > 120.0 { "#000000" } else { "#fefefe" };
    (format!("#{:02x}{:02x}{:02x}", red.round() as u8, green.round() as u8, blue.round() as u8), text)
}
