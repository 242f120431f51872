//! Sums of sizes, which foreign metadata may claim to be any number.

use std::fmt;

/// A saturating sum of sizes in bytes.
///
/// ```
/// use deltaglider::domain::Total;
///
/// let mut total = Total::of([1, 2]);
/// assert_eq!((total.bytes(), total.to_string()), (3, "3".to_owned()));
/// total.add(u64::MAX);
/// assert_eq!(total.to_string(), "at least 18446744073709551615");
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Total(u64);

impl Total {
    /// Returns the sum of these sizes.
    pub fn of(sizes: impl IntoIterator<Item = u64>) -> Self {
        let mut total = Self::default();
        sizes.into_iter().for_each(|size| total.add(size));
        total
    }

    /// Adds a size.
    pub fn add(&mut self, size: u64) {
        self.0 = self.0.saturating_add(size);
    }

    /// Returns the sum; [`u64::MAX`] means that many bytes or more.
    pub fn bytes(self) -> u64 {
        self.0
    }

    /// Returns this sum minus `other`, saturated to the range of the type.
    pub fn less(self, other: u64) -> i64 {
        let difference = i128::from(self.0).saturating_sub(i128::from(other));
        i64::try_from(difference).unwrap_or(if difference < 0 { i64::MIN } else { i64::MAX })
    }

    /// Returns `text`, a form of the sum, marked as a lower bound if the sum is saturated.
    pub fn qualified(self, text: impl fmt::Display) -> String {
        if self.0 == u64::MAX { format!("at least {text}") } else { text.to_string() }
    }
}

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.qualified(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_end_at_the_range() {
        assert_eq!(Total::of([5]).less(7), -2);
        assert_eq!(Total::default().less(u64::MAX), i64::MIN);
        assert_eq!(Total::of([u64::MAX]).less(3), i64::MAX);
    }
}
