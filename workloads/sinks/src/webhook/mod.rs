//! `webhook` sinks: a POST request for each record, at least once, signed as Standard Webhooks
//! has it.

mod attempt;
mod delivery;
mod metrics;
mod reader;
mod request;
mod runner;
mod signature;
mod traced;
mod window;

pub use attempt::ReadHeaderError;
pub use runner::StartWebhookError;
pub use runner::WebhookSinks;
pub use signature::ReadSecretError;
