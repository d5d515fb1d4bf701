//! Real time: every order change reaches its buyer live.
