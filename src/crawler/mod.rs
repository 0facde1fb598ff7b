//! Many DHT nodes and what they hear.
