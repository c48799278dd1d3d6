//! `name_match`: which of the registered names are meant.

use serde::Deserialize;

use crate::config::ConfigError;

/// What `name_match` takes.
pub(super) const NAME_MATCH: &str = "a text that the name before the @ holds, \"app\", or a list of whole names, [\"app\", \"web\"]";

/// By default every name is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum NameMatch {
    #[default]
    Any,
    /// Names that hold this text, as libcluster's strings do.
    Holds(String),
    /// These names, as libcluster's lists of atoms.
    Exactly(Vec<String>),
}

impl NameMatch {
    /// An empty text or list is a mistake: it would let all or none through.
    pub(super) fn check(&self, path: &str) -> Result<(), ConfigError> {
        let empty = match self {
            Self::Any => false,
            Self::Holds(text) => text.is_empty(),
            Self::Exactly(names) => names.is_empty() || names.iter().any(String::is_empty),
        };
        if empty {
            let what = "name_match holds an empty text or list";
            let cure = format!("allowed is {NAME_MATCH}; or leave the key out");
            return Err(ConfigError::new(path, Some("name_match"), what, cure));
        }
        Ok(())
    }

    /// Whether the part before the `@` is meant.
    pub(super) fn takes(&self, alive: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Holds(text) => alive.contains(text.as_str()),
            Self::Exactly(names) => names.iter().any(|name| name == alive),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_libcluster_matches() {
        let takes =
            |name_match: NameMatch| ["a", "b", "a1", "b1"].map(|name| name_match.takes(name));
        assert_eq!(takes(NameMatch::Any), [true; 4]);
        assert_eq!(
            takes(NameMatch::Holds("1".into())),
            [false, false, true, true]
        );
        let list = NameMatch::Exactly(vec!["a".into(), "b".into()]);
        assert_eq!(takes(list), [true, true, false, false]);
    }
}
