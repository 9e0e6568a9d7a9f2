//! millrace-plan
