//! What a running program reads and writes: the event, copied only when it is changed, and its
//! context.

use std::borrow::Cow;

use millrace_core::Value;
use vrl::compiler::SecretTarget;
use vrl::compiler::Target;
use vrl::path::OwnedTargetPath;
use vrl::path::PathPrefix;

use super::is_root;

/// The target of one run.
#[derive(Debug)]
pub(super) struct EventTarget<'a> {
    event: Cow<'a, Value>,
    context: Value,
}

impl<'a> EventTarget<'a> {
    pub(super) fn owned(event: Value, context: Value) -> Self {
        Self { event: Cow::Owned(event), context }
    }

    pub(super) fn borrowed(event: &'a Value, context: Value) -> Self {
        Self { event: Cow::Borrowed(event), context }
    }

    pub(super) fn into_event(self) -> Value {
        self.event.into_owned()
    }
}

impl Target for EventTarget<'_> {
    fn target_insert(&mut self, path: &OwnedTargetPath, value: Value) -> Result<(), String> {
        match path.prefix {
            PathPrefix::Event if is_root(&path.path) => self.event = Cow::Owned(value),
            PathPrefix::Event => {
                self.event.to_mut().insert(&path.path, value);
            }
            PathPrefix::Metadata => {
                self.context.insert(&path.path, value);
            }
        }
        Ok(())
    }

    fn target_get(&self, path: &OwnedTargetPath) -> Result<Option<&Value>, String> {
        Ok(match path.prefix {
            PathPrefix::Event => self.event.get(&path.path),
            PathPrefix::Metadata => self.context.get(&path.path),
        })
    }

    fn target_get_mut(&mut self, path: &OwnedTargetPath) -> Result<Option<&mut Value>, String> {
        Ok(match path.prefix {
            PathPrefix::Event => self.event.to_mut().get_mut(&path.path),
            PathPrefix::Metadata => self.context.get_mut(&path.path),
        })
    }

    fn target_remove(
        &mut self,
        path: &OwnedTargetPath,
        compact: bool,
    ) -> Result<Option<Value>, String> {
        Ok(match path.prefix {
            PathPrefix::Event => self.event.to_mut().remove(&path.path, compact),
            PathPrefix::Metadata => self.context.remove(&path.path, compact),
        })
    }
}

/// Programs have no secrets; nothing that they may call asks for one.
impl SecretTarget for EventTarget<'_> {
    fn get_secret(&self, _key: &str) -> Option<&str> {
        None
    }

    fn insert_secret(&mut self, _key: &str, _value: &str) {}

    fn remove_secret(&mut self, _key: &str) {}
}
