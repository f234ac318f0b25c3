//! Numbers as people read them.

/// A number with a thousand's unit, for axes: `950`, `1.5 k`, `10 k`, `2 M`.
pub fn short(value: f64) -> String {
    let (divisor, unit) = match value.abs() {
        size if size >= 999_950_000.0 => (1e9, " G"),
        size if size >= 999_950.0 => (1e6, " M"),
        size if size >= 1000.0 => (1e3, " k"),
        _ => (1.0, ""),
    };
    let scaled = value / divisor;
    let decimals = if divisor > 1.0 { 1 } else { 2 };
    format!("{}{unit}", trimmed(scaled, decimals))
}

/// A whole number in groups of three digits: `100,480,507`.
pub fn grouped(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0 { format!("-{text}") } else { text }
}

/// A number with so many decimals at most.
pub fn trimmed(value: f64, decimals: usize) -> String {
    let text = fixed(value, decimals);
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    text.into()
}

/// A number of things: `1 edge`, `2 edges`.
pub fn counted(number: usize, name: &str) -> String {
    format!("{number} {name}{}", if number == 1 { "" } else { "s" })
}

/// A number with exactly so many decimals.
pub fn fixed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    // What is rounded to 0 has no sign.
    if text.starts_with('-') && text[1..].chars().all(|digit| digit == '0' || digit == '.') {
        text[1..].into()
    } else {
        text
    }
}

/// A parameter's value, with so many significant digits at most. A whole number has all of its digits.
pub fn significant(value: f64, digits: i32) -> String {
    if value == 0.0 || !value.is_finite() {
        return if value == 0.0 { "0".into() } else { value.to_string() };
    }
    let exponent = value.abs().log10().floor() as i32;
    if !(-4..=14).contains(&exponent) {
        let text = format!("{value:.*e}", (digits - 1) as usize);
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let mantissa = if mantissa.contains('.') {
            mantissa.trim_end_matches('0').trim_end_matches('.')
        } else {
            mantissa
        };
        return format!("{mantissa}e{exponent}");
    }
    trimmed(value, (digits - 1 - exponent).max(0) as usize)
}

/// A share as a percentage: `34 %`, `0.3 %`.
pub fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    if percent == 0.0 || percent >= 9.95 {
        format!("{percent:.0} %")
    } else if percent >= 0.095 {
        format!("{} %", trimmed(percent, 1))
    } else {
        format!("{} %", trimmed(percent, 6))
    }
}

/// How many decimals tell values apart that lie in a range of this length.
pub fn decimals(length: f64) -> usize {
    match length {
        length if length > 5.0 => 0,
        length if length > 0.8 => 1,
        length if length > 0.08 => 2,
        length if length > 0.008 => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        let cases = [
            (0.0, "0"),
            (950.0, "950"),
            (1500.0, "1.5 k"),
            (10_000.0, "10 k"),
            (2e6, "2 M"),
            (999_999.0, "1 M"),
        ];
        for (value, text) in cases {
            assert_eq!(short(value), text);
        }
        assert_eq!(
            (grouped(100_480_507), grouped(-1234), grouped(12)),
            ("100,480,507".into(), "-1,234".into(), "12".into())
        );
        let cases = [
            (0.045, "0.045"),
            (1e-5, "1e-5"),
            (20.0, "20"),
            (0.00121, "0.00121"),
            (20240101.0, "20240101"),
            (1.001, "1.001"),
        ];
        for (value, text) in cases {
            assert_eq!(significant(value, 6), text);
        }
        assert_eq!(significant(0.123_456_789, 3), "0.123");
        assert_eq!(
            (percent(0.3359), percent(0.046), percent(0.0002)),
            ("34 %".into(), "4.6 %".into(), "0.02 %".into())
        );
    }
}
