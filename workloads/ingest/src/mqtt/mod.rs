//! MQTT: our own endpoint, and the client of an external broker.
