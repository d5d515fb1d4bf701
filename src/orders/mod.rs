//! Orders: states, history, events.
