//! The embedded server: a real mongod as a single-node replica set, started and supervised.
