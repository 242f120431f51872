//! Families of keys that differ only in version numbers, such as `app-1.9.zip` and
//! `app-1.10.1.zip`.

/// A key without regard to its version numbers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Family(String);

impl Family {
    /// Returns the family of a key. Digits, and digits joined by `.`, `-` or `_`, are one number.
    pub fn of(key: &str) -> Self {
        let mut family = String::new();
        let mut rest = key;
        while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
            let (before, number) = rest.split_at(at);
            family.push_str(before);
            family.push('#');
            rest = number.get(number_len(number.as_bytes())..).unwrap_or_default();
        }
        family.push_str(rest);
        Self(family)
    }

    /// Returns the common prefix of the keys of the family of `key`.
    pub fn common_prefix(key: &str) -> &str {
        key.split(|c: char| c.is_ascii_digit()).next().unwrap_or_default()
    }
}

/// Returns the length in bytes of the number that `text` begins with.
fn number_len(text: &[u8]) -> usize {
    let digits = |from: usize| text.iter().skip(from).take_while(|c| c.is_ascii_digit()).count();
    let mut len = digits(0);
    while text.get(len).is_some_and(|c| b".-_".contains(c)) && digits(len + 1) > 0 {
        len += 1 + digits(len + 1);
    }
    len
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_versions_form_a_family() {
        let same = |a: &str, b: &str| Family::of(a) == Family::of(b);
        assert!(same("app-1.9.zip", "app-1.10.1.zip"));
        assert!(same("r/1.2/app.zip", "r/1.2.3-4/app.zip"));
        assert!(same("2024-01-31.tar", "2026-11-25.tar"));
        assert!(!same("app-1.9-linux.zip", "app-1.9-windows.zip"));
        assert!(!same("app.zip", "app-1.zip"));
        assert!(same("日本-1.zip", "日本-22.zip"));
        assert_eq!(Family::common_prefix("r/app-1.9.zip"), "r/app-");
        assert_eq!(Family::common_prefix("1/a"), "");
    }
}
