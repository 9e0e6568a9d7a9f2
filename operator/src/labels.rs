//! Labels of a pipeline's objects.

use std::collections::BTreeMap;

use crate::names::Names;
use crate::names::Part;

/// Who manages an object.
pub const MANAGER: &str = "millrace-operator";

/// Label that names the pipeline of an object.
pub const PIPELINE: &str = "millrace.dev/pipeline";

/// Label that names the part of a pipeline.
pub const COMPONENT: &str = "app.kubernetes.io/component";

/// Labels by which a Deployment or Service finds the pods of a part. They never change and hold no
/// version.
#[must_use]
pub fn selector(names: &Names, part: Part) -> BTreeMap<String, String> {
    BTreeMap::from([
        (PIPELINE.to_owned(), names.pipeline().to_owned()),
        (COMPONENT.to_owned(), part.name().to_owned()),
    ])
}

/// Labels of every object of a pipeline.
#[must_use]
pub fn common(names: &Names) -> BTreeMap<String, String> {
    BTreeMap::from([
        (PIPELINE.to_owned(), names.pipeline().to_owned()),
        ("app.kubernetes.io/name".to_owned(), "millrace".to_owned()),
        ("app.kubernetes.io/instance".to_owned(), names.pipeline().to_owned()),
        ("app.kubernetes.io/managed-by".to_owned(), MANAGER.to_owned()),
    ])
}

/// Labels of the objects of a part.
#[must_use]
pub fn recommended(names: &Names, part: Part) -> BTreeMap<String, String> {
    let mut labels = common(names);
    labels.extend(selector(names, part));
    labels
}
