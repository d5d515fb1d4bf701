//! Live streams against running nodes: what clients may rely on (`docs/realtime.md`), and the rows F8, F9 and
//! F10 of the reliability goals.

mod browser;
mod drain;
mod ends;
mod feed;
mod many;
mod refusals;
mod resume;
mod slow;
mod staff;
mod support;
mod upgrade;
