//! millrace-processors
