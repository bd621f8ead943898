//! Removal: its deadlines, the hook, the payload and its files, and sweeps.

mod deadlines;
mod files;
mod hook;
mod payload;
mod sweep;
