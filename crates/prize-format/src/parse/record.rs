//! The records: the lines after an `id:` line, in each kind of file.

use super::date::Date;
use super::reject::Reason;

/// A line after an `id:` line.
pub trait Record: Copy {
    /// Parses a line without its line end.
    fn parse(line: &[u8]) -> Result<Self, Reason>;
}

/// `customer,rating,yyyy-mm-dd`, as in the training set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rating {
    /// The customer's id.
    pub customer_id: u32,
    /// The day it was given.
    pub date: Date,
    /// 1 to 5.
    pub rating: u8,
}

/// `customer`, as in `probe.txt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The customer's id.
    pub customer_id: u32,
}

/// `customer,yyyy-mm-dd`, as in `qualifying.txt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Qualifying {
    /// The customer's id.
    pub customer_id: u32,
    /// The day the withheld rating was given.
    pub date: Date,
}

/// `rating,subset`, as in `judging.txt`. It answers the line of `qualifying.txt` with the same line number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// 1 to 5.
    pub rating: u8,
    /// Which half of the qualifying set the pair is in.
    pub subset: Subset,
}

/// Half of the qualifying set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subset {
    /// Written 0. The leaderboard showed the error on this half.
    Quiz,
    /// Written 1. The error on this half decided who won.
    Test,
}

impl Rating {
    /// Packs customer, day and rating into eight bytes, because a hundred million of them must fit into memory. Packed
    /// ratings sort by customer.
    pub(crate) fn pack(&self) -> u64 {
        u64::from(self.customer_id) << 32 | u64::from(self.date.key()) << 3 | u64::from(self.rating)
    }

    /// The rating that [`Rating::pack`] packed.
    pub(crate) fn unpack(packed: u64) -> Rating {
        let date = Date::from_key((packed as u32) >> 3);
        Rating { customer_id: (packed >> 32) as u32, date, rating: (packed & 7) as u8 }
    }

    /// A hash of the rating. The wrapping sum of the hashes of a list does not depend on the order of the list, and two
    /// lists with different ratings almost surely have different sums. The mixing function is that of SplitMix (Steele,
    /// Lea and Flood 2014).
    #[inline]
    pub(crate) fn digest(&self) -> u64 {
        let mut mixed = self.pack();
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

impl Record for Rating {
    fn parse(line: &[u8]) -> Result<Rating, Reason> {
        const FORM: Reason = Reason::Form("customer,rating,yyyy-mm-dd");
        let (customer, rest) = split_at_comma(line).ok_or(FORM)?;
        let (rating, date) = split_at_comma(rest).ok_or(FORM)?;
        let customer_id = parse_id(customer).ok_or(Reason::Customer)?;
        let rating = parse_rating(rating).ok_or(Reason::Rating)?;
        let date = Date::parse(date).ok_or(Reason::Date)?;
        Ok(Rating { customer_id, rating, date })
    }
}

impl Record for Probe {
    fn parse(line: &[u8]) -> Result<Probe, Reason> {
        if line.contains(&b',') {
            return Err(Reason::Form("customer"));
        }
        Ok(Probe { customer_id: parse_id(line).ok_or(Reason::Customer)? })
    }
}

impl Record for Qualifying {
    fn parse(line: &[u8]) -> Result<Qualifying, Reason> {
        let (customer, date) = split_at_comma(line).ok_or(Reason::Form("customer,yyyy-mm-dd"))?;
        Ok(Qualifying {
            customer_id: parse_id(customer).ok_or(Reason::Customer)?,
            date: Date::parse(date).ok_or(Reason::Date)?,
        })
    }
}

impl Record for Judged {
    fn parse(line: &[u8]) -> Result<Judged, Reason> {
        let (rating, subset) = split_at_comma(line).ok_or(JUDGED_FORM)?;
        let subset = match subset {
            b"0" => Subset::Quiz,
            b"1" => Subset::Test,
            _ if subset.contains(&b',') => return Err(JUDGED_FORM),
            _ => return Err(Reason::Subset),
        };
        Ok(Judged { rating: parse_rating(rating).ok_or(Reason::Rating)?, subset })
    }
}

const JUDGED_FORM: Reason = Reason::Form("rating,subset");

fn parse_rating(digits: &[u8]) -> Option<u8> {
    match digits {
        &[digit @ b'1'..=b'5'] => Some(digit - b'0'),
        _ => None,
    }
}

/// Parses the id of a movie or customer: 1 to 2,147,483,647, the positive values of a PostgreSQL `int`. Any number of
/// leading zeros is allowed, because some tools pad ids with zeros.
pub(crate) fn parse_id(digits: &[u8]) -> Option<u32> {
    const MAX_DIGITS: usize = 10;
    let digits = match digits.len() {
        ..=MAX_DIGITS => digits,
        _ => &digits[digits.iter().take_while(|&&b| b == b'0').count()..],
    };
    if digits.len() > MAX_DIGITS {
        return None;
    }
    let mut id = 0u64;
    for &b in digits {
        let digit = b.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        id = id * 10 + u64::from(digit);
    }
    (1..=i32::MAX as u64).contains(&id).then_some(id as u32)
}

/// Splits at the first comma. The field before it is short, so a plain loop is faster than a vectorised search.
fn split_at_comma(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = line.iter().position(|&b| b == b',')?;
    Some((&line[..at], &line[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mistake_has_its_reason() {
        let rating = |line: &str| Rating::parse(line.as_bytes());
        let date = Date::new(2005, 9, 6).unwrap();
        assert_eq!(rating("1488844,3,2005-09-06"), Ok(Rating { customer_id: 1_488_844, rating: 3, date }));
        for zeros in 0..30 {
            let padded = format!("{}7,3,2005-09-06", "0".repeat(zeros));
            assert_eq!(rating(&padded), Ok(Rating { customer_id: 7, rating: 3, date }));
        }
        for bad in ["0", "00000000000000", "00002147483648", "00000000000x", "12345678901"] {
            assert_eq!(rating(&format!("{bad},3,2005-09-06")), Err(Reason::Customer), "{bad}");
        }
        assert_eq!(rating("2147483648,3,2005-09-06"), Err(Reason::Customer));
        assert_eq!(rating("-1,3,2005-09-06"), Err(Reason::Customer));
        assert_eq!(rating(",3,2005-09-06"), Err(Reason::Customer));
        for bad in ["0", "6", "x", "", "3.0", "33", " 3"] {
            assert_eq!(rating(&format!("7,{bad},2005-09-06")), Err(Reason::Rating), "{bad}");
        }
        assert_eq!(rating("7,3,2005-02-30"), Err(Reason::Date));
        assert_eq!(rating("7,3,2005-09-06,"), Err(Reason::Date));
        assert!(matches!(rating("7;3;2005-09-06"), Err(Reason::Form(_))));
        assert!(matches!(rating("7,3"), Err(Reason::Form(_))));
        assert!(matches!(Probe::parse(b"7,3,2005-09-06"), Err(Reason::Form(_))));
        assert_eq!(Probe::parse(b"7"), Ok(Probe { customer_id: 7 }));
        assert_eq!(Qualifying::parse(b"7,2005-09-06"), Ok(Qualifying { customer_id: 7, date }));
        assert_eq!(Qualifying::parse(b"7,3,2005-09-06"), Err(Reason::Date));
        assert_eq!(Judged::parse(b"4,0"), Ok(Judged { rating: 4, subset: Subset::Quiz }));
        assert_eq!(Judged::parse(b"1,1"), Ok(Judged { rating: 1, subset: Subset::Test }));
        assert_eq!(Judged::parse(b"6,1"), Err(Reason::Rating));
        assert_eq!(Judged::parse(b"5,2"), Err(Reason::Subset));
        for form in [&b"5"[..], b"7,3,2005-09-06", b"3,0,"] {
            assert!(matches!(Judged::parse(form), Err(Reason::Form(_))));
        }
    }
}
