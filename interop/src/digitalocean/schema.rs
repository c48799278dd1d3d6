//! The published schema of the API's answers, as a check that the stand-in keeps to it.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::Value;

static SCHEMA: LazyLock<Validator> = LazyLock::new(|| {
    let text = include_str!("../../data/digitalocean/droplets.schema.json");
    let schema = serde_json::from_str(text).expect("the schema is JSON");
    jsonschema::options()
        .should_validate_formats(true)
        .build(&schema)
        .expect("the schema is one")
});

/// All places where `body` is not what `GET /v2/droplets` may answer; empty when it is.
pub fn violations(body: &Value) -> Vec<String> {
    // The error of `oneOf` names no place, so the alternative that was meant is tried by itself.
    if SCHEMA.is_valid(body) {
        return Vec::new();
    }
    SCHEMA
        .iter_errors(body)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}
