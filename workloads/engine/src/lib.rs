//! millrace-engine
