//! Parser of the two files of AWS profiles, as far as endpoints need them (AWS SDKs and Tools
//! Reference Guide, "Shared config and credentials files").

use std::collections::BTreeMap;

/// A profile file: properties by section. A section is named by the words in its brackets, for
/// example `profile x`.
#[derive(Debug, Default)]
pub(super) struct ProfileFile {
    sections: BTreeMap<String, Section>,
}

/// Properties by their lower-case name. A property in an indented block below `name =` has the name
/// `name.property`.
type Section = BTreeMap<String, String>;

impl ProfileFile {
    /// Parses a file. Like the SDKs, ignores lines without a meaning, which another tool may use.
    pub(super) fn parse(text: &str) -> Self {
        let mut file = Self::default();
        let mut section: Option<&mut Section> = None;
        let mut block = String::new();
        for line in text.trim_start_matches('\u{feff}').lines() {
            let content = without_comment(line).trim();
            if content.is_empty() {
                continue;
            }
            if let Some(name) = content.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                let words: Vec<&str> = name.split_whitespace().collect();
                section = Some(file.sections.entry(words.join(" ")).or_default());
                block.clear();
                continue;
            }
            let (Some(section), Some((name, value))) = (section.as_mut(), content.split_once('='))
            else {
                continue;
            };
            let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
            if !line.starts_with([' ', '\t']) {
                block = if value.is_empty() { name.clone() } else { String::new() };
                section.insert(name, value.to_owned());
            } else if !block.is_empty() {
                section.insert(format!("{block}.{name}"), value.to_owned());
            }
        }
        file
    }

    /// Returns a property of a section; `None` if it is absent or empty.
    pub(super) fn get(&self, section: &str, property: &str) -> Option<&str> {
        self.sections
            .get(section)?
            .get(property)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }
}

/// Returns a line without its comment, which is the whole line or begins after a space or tab.
fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with(['#', ';']) {
        return "";
    }
    let starts = [" #", " ;", "\t#", "\t;"].iter().filter_map(|start| line.find(start)).min();
    line.get(..starts.unwrap_or(line.len())).unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
# a comment
stray = 1
[default]
Endpoint_URL = http://a  # for tests
other=x;y
; another
[ profile   dev ]
services = local
s3 =
  endpoint_url = http://block
  max_attempts = 2
region = eu-west-3
  endpoint_url = http://continuation
[services local]
s3 =
\tendpoint_url = http://b#c
dynamodb =
  endpoint_url = http://d
[default]
region =
no property
[broken
";

    #[test]
    fn sections_and_blocks_are_parsed() {
        let file = ProfileFile::parse(FILE);
        assert_eq!(file.get("default", "endpoint_url"), Some("http://a"));
        assert_eq!(file.get("default", "other"), Some("x;y"));
        assert_eq!(file.get("default", "region"), None);
        assert_eq!(file.get("profile dev", "services"), Some("local"));
        assert_eq!(file.get("profile dev", "s3.endpoint_url"), Some("http://block"));
        assert_eq!(file.get("profile dev", "endpoint_url"), None);
        assert_eq!(file.get("profile dev", "region.endpoint_url"), None);
        assert_eq!(file.get("services local", "s3.endpoint_url"), Some("http://b#c"));
        assert_eq!(file.get("services local", "dynamodb.endpoint_url"), Some("http://d"));
        assert_eq!(file.get("dev", "services"), None);
        assert_eq!(file.get("", "stray"), None);
    }
}
