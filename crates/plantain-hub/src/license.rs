//! Licences, as the hub says repositories state them on their card.

/// The licence that a card states in `license`, several joined with commas, and in `license_name` where that is `other`.
pub(crate) fn stated(licenses: &[String], name: Option<&str>) -> Option<String> {
    let all = licenses.join(", ");
    match (all.as_str(), name) {
        ("" | "other", Some(name)) if !name.is_empty() => Some(name.to_string()),
        ("", _) => None,
        _ => Some(all),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_gives_way_to_the_name() {
        let other = ["other".to_string()];
        assert_eq!(stated(&other, Some("mine")).as_deref(), Some("mine"));
        assert_eq!(stated(&other, None).as_deref(), Some("other"));
        let both = ["mit".to_string(), "cc-by-4.0".to_string()];
        assert_eq!(
            stated(&both, Some("mine")).as_deref(),
            Some("mit, cc-by-4.0")
        );
        assert_eq!(stated(&[], None), None);
    }
}
