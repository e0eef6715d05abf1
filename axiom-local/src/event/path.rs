//! Flattened names: `a.b` names the member `b` of the object `a`, and also a member that is itself called `a.b`.

use serde_json::{Map, Value};

/// Finds a value by its flattened name.
pub(crate) fn find<'v>(fields: &'v Map<String, Value>, path: &str) -> Option<&'v Value> {
    if let Some(value) = fields.get(path) {
        return Some(value);
    }
    path.match_indices('.')
        .find_map(|(dot, _)| match fields.get(&path[..dot]) {
            Some(Value::Object(inner)) => find(inner, &path[dot + 1..]),
            _ => None,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flattened_path_finds_nested_and_dotted_names() {
        let fields: Map<String, Value> =
            serde_json::from_str(r#"{"a.b":1,"c":{"d.e":2,"f":{"g":3}},"c.x":4}"#).unwrap();
        assert_eq!(find(&fields, "a.b"), Some(&Value::from(1)));
        assert_eq!(find(&fields, "c.d.e"), Some(&Value::from(2)));
        assert_eq!(find(&fields, "c.f.g"), Some(&Value::from(3)));
        assert_eq!(find(&fields, "c.x"), Some(&Value::from(4)));
        assert_eq!(find(&fields, "c.f.h"), None);
    }
}
