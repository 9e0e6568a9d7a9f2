//! YAML to JSON values, document by document, with the place of a syntax error.

use serde::Deserialize;
use serde_json::Map;
use serde_json::Number;
use serde_json::Value;
use serde_yaml_ng::Value as Yaml;

use super::MAX_FILE_BYTES;

/// Most fields and items of a document after its aliases have been followed.
const MAX_NODES: usize = 200_000;

/// A text that is not the YAML of resources.
#[derive(Debug)]
pub(super) struct YamlError {
    pub(super) position: Option<(usize, usize)>,
    pub(super) message: String,
}

impl YamlError {
    fn new(message: impl Into<String>) -> Self {
        Self { position: None, message: message.into() }
    }
}

/// The documents that are not empty, with their numbers from 1.
pub(super) fn documents(text: &str) -> Result<Vec<(usize, Value)>, YamlError> {
    if text.len() > MAX_FILE_BYTES {
        return Err(YamlError::new(format!(
            "the file has {} bytes; at most {MAX_FILE_BYTES} are allowed",
            text.len()
        )));
    }
    let mut documents = Vec::new();
    for (index, document) in serde_yaml_ng::Deserializer::from_str(text).enumerate() {
        let value = Yaml::deserialize(document).map_err(|error| syntax(&error))?;
        let mut nodes = 0;
        let value = json(value, &mut nodes).map_err(YamlError::new)?;
        if !value.is_null() {
            documents.push((index + 1, value));
        }
    }
    Ok(documents)
}

fn syntax(error: &serde_yaml_ng::Error) -> YamlError {
    let position = error.location().map(|location| (location.line(), location.column()));
    let message = error.to_string();
    // The library ends its message with the place, which is shown before it.
    let message = message.split(" at line ").next().unwrap_or_default().to_owned();
    YamlError { position, message }
}

fn json(value: Yaml, nodes: &mut usize) -> Result<Value, String> {
    *nodes += 1;
    if *nodes > MAX_NODES {
        return Err(format!("the document has more than {MAX_NODES} fields and items"));
    }
    Ok(match value {
        Yaml::Null => Value::Null,
        Yaml::Bool(value) => Value::Bool(value),
        Yaml::Number(number) => Value::Number(number_of(&number)?),
        Yaml::String(text) => Value::String(text),
        Yaml::Sequence(items) => {
            Value::Array(items.into_iter().map(|item| json(item, nodes)).collect::<Result<_, _>>()?)
        }
        Yaml::Mapping(fields) => {
            let mut object = Map::new();
            for (name, value) in fields {
                object.insert(field_name(name)?, json(value, nodes)?);
            }
            Value::Object(object)
        }
        Yaml::Tagged(tagged) => return Err(format!("the tag `{}` is not used here", tagged.tag)),
    })
}

fn number_of(number: &serde_yaml_ng::Number) -> Result<Number, String> {
    if let Some(integer) = number.as_i64() {
        return Ok(integer.into());
    }
    if let Some(integer) = number.as_u64() {
        return Ok(integer.into());
    }
    number
        .as_f64()
        .and_then(Number::from_f64)
        .ok_or_else(|| format!("`{number}` is not a number that JSON can express"))
}

/// YAML allows any key; JSON and so a resource allows texts.
fn field_name(name: Yaml) -> Result<String, String> {
    match name {
        Yaml::String(text) => Ok(text),
        Yaml::Bool(value) => Ok(value.to_string()),
        Yaml::Number(number) => Ok(number.to_string()),
        _ => Err("a field's name is neither a text nor a number".to_owned()),
    }
}
