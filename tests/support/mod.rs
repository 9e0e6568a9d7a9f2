//! What the tests from outside share: the program as a process, an MQTT client, simulated races,
//! and the content of a data folder.

#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]

pub(crate) mod cluster;
pub(crate) mod content;
pub(crate) mod http;
pub(crate) mod kubernetes;
pub(crate) mod mqtt;
pub(crate) mod process;
pub(crate) mod race;
pub(crate) mod secrets;
