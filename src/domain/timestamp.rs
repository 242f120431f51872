//! Points in time in metadata, arguments and responses. The only module with calendar arithmetic,
//! which panics at the ends of its range.
//!
//! `OffsetDateTime` is a disallowed type elsewhere (clippy.toml).
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the only module that may use them"
)]

use std::time::{Duration, SystemTime};

use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::{Iso8601, Rfc3339};
use time::macros::format_description;
use time::{Date, OffsetDateTime, PrimitiveDateTime, UtcOffset};

/// A point in time in UTC, in the years -9999 to 9999.
///
/// ```
/// use std::time::SystemTime;
///
/// use deltaglider::domain::Timestamp;
///
/// let at = Timestamp::parse("2026-11-23T15:45:40.588247+02:00").unwrap();
/// assert_eq!(at.to_iso(), "2026-11-23T13:45:40.588247");
/// assert!(at > SystemTime::UNIX_EPOCH.into());
/// // In UTC, this is the year 10000.
/// assert_eq!(Timestamp::parse("9999-12-31T23:59:59-14:00"), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(OffsetDateTime);

impl Timestamp {
    /// The latest time.
    pub const MAX: Self = Self(PrimitiveDateTime::MAX.assume_utc());

    /// The earliest time.
    pub const MIN: Self = Self(PrimitiveDateTime::MIN.assume_utc());

    /// Parses the formats that any version of DeltaGlider writes: ISO 8601 with or without
    /// fractions of a second, with none, one or two `Z`, or with an offset. Returns `None` for any
    /// other text and for times out of range in UTC.
    pub fn parse(text: &str) -> Option<Self> {
        let naive = text.trim_end_matches('Z');
        let zoned = format!("{naive}Z");
        let parsed = OffsetDateTime::parse(&zoned, &Iso8601::DEFAULT);
        parsed.or_else(|_| OffsetDateTime::parse(naive, &Iso8601::DEFAULT)).ok().and_then(Self::of)
    }

    /// Parses a user's time: RFC 3339, seconds since 1970, ISO 8601 without a zone, or a day.
    pub fn parse_typed(text: &str) -> Option<Self> {
        let seconds = || OffsetDateTime::from_unix_timestamp(text.parse().ok()?).ok();
        let naive = || {
            PrimitiveDateTime::parse(text, &Iso8601::DEFAULT)
                .ok()
                .map(PrimitiveDateTime::assume_utc)
        };
        let day =
            || Date::parse(text, &Iso8601::DEFAULT).ok().map(|day| day.midnight().assume_utc());
        // Must precede `naive`, which accepts a text with an offset and ignores the offset.
        let zoned = OffsetDateTime::parse(text, &Rfc3339)
            .or_else(|_| OffsetDateTime::parse(text, &Iso8601::DEFAULT));
        zoned.ok().or_else(seconds).or_else(naive).or_else(day).and_then(Self::of)
    }

    fn of(at: OffsetDateTime) -> Option<Self> {
        at.checked_to_offset(UtcOffset::UTC).map(Self)
    }

    /// Returns this time plus `duration`; [`MAX`](Self::MAX) if that is out of range.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        let duration = time::Duration::try_from(duration).unwrap_or(time::Duration::MAX);
        Self(self.0.saturating_add(duration))
    }

    /// Returns the seconds since 1970, rounded down.
    pub fn unix_seconds(self) -> i64 {
        self.0.unix_timestamp()
    }

    /// Formats as ISO 8601 in UTC with microseconds and without a zone, like Python's `isoformat`.
    pub fn to_iso(self) -> String {
        self.text(format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]"
        ))
    }

    /// Formats as `YYYY-MM-DD HH:MM:SS` in UTC.
    pub fn to_date(self) -> String {
        self.text(format_description!("[year]-[month]-[day] [hour]:[minute]:[second]"))
    }

    /// Formats as in HTTP headers (RFC 9110, section 5.6.7).
    pub fn to_http(self) -> String {
        self.text(HTTP)
    }

    /// Returns whether a text is a time as in HTTP headers, with the right day of the week.
    pub fn is_http(text: &str) -> bool {
        let parsed = PrimitiveDateTime::parse(text, HTTP);
        // The parser does not compare the day of the week with the date.
        parsed.is_ok_and(|at| at.format(HTTP).is_ok_and(|right| right == text))
    }

    /// Formats the time. All components are present, so formatting does not fail.
    fn text(self, format: &[BorrowedFormatItem<'_>]) -> String {
        self.0.format(format).unwrap_or_default()
    }
}

const HTTP: &[BorrowedFormatItem<'_>] = format_description!(
    "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
);

/// Converts a time; one out of range becomes the nearest in range.
impl From<SystemTime> for Timestamp {
    fn from(at: SystemTime) -> Self {
        let (before, since) = match at.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => (false, since),
            Err(error) => (true, error.duration()),
        };
        let nearest = if before { Self::MIN } else { Self::MAX };
        let Ok(nanoseconds) = i128::try_from(since.as_nanos()) else { return nearest };
        let nanoseconds = if before { nanoseconds.saturating_neg() } else { nanoseconds };
        OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).map_or(nearest, Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_that_utc_lacks_are_none() {
        for text in [
            "9999-12-31T23:59:59-14:00",
            "-9999-01-01T00:00:00+23:59",
            "9999-365T23:59:59.999999-23:59",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
            assert_eq!(Timestamp::parse_typed(text), None, "{text}");
        }
    }

    #[test]
    fn typed_offset_is_applied() {
        for text in [
            "2026-11-29T10:00:00+02:00",
            "2026-333T10:00:00+02:00",
            "2026-11-29T08:00:00",
            "1795939200",
        ] {
            assert_eq!(
                Timestamp::parse_typed(text).unwrap().to_date(),
                "2026-11-29 08:00:00",
                "{text}"
            );
        }
    }

    #[test]
    fn system_times_are_clamped() {
        let far = Duration::from_secs(1 << 50);
        assert_eq!(Timestamp::from(SystemTime::UNIX_EPOCH + far), Timestamp::MAX);
        assert_eq!(Timestamp::from(SystemTime::UNIX_EPOCH - far), Timestamp::MIN);
        assert_eq!(Timestamp::from(SystemTime::UNIX_EPOCH).to_date(), "1970-01-01 00:00:00");
    }

    #[test]
    fn sums_end_with_last_time() {
        assert_eq!(Timestamp::MAX.saturating_add(Duration::from_micros(1)), Timestamp::MAX);
        assert_eq!(Timestamp::MIN.saturating_add(Duration::MAX), Timestamp::MAX);
    }

    proptest! {
        #[test]
        fn no_text_panics(
            year in prop_oneof![Just(-9999i32), Just(9999), Just(0), -12000..12000i32],
            month in 0..14u8, day in 0..33u8, hour in 0..26u8, minute in 0..61u8, second in 0..62u8,
            fraction in "(\\.[0-9]{0,12})?",
            zone in "(Z{0,2}|[+-][0-9]{2}:?[0-9]{2})",
            any in ".{0,40}",
        ) {
            let text = format!(
                "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}{zone}"
            );
            for text in [&text, &any] {
                let parsed = [Timestamp::parse(text), Timestamp::parse_typed(text)];
                for at in parsed.into_iter().flatten() {
                    let later = at.saturating_add(Duration::from_micros(1));
                    prop_assert!(later >= at);
                    prop_assert!(!later.to_iso().is_empty() && !at.to_http().is_empty());
                }
            }
        }
    }
}
