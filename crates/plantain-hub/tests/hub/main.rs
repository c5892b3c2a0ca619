//! Pulls from a server on this machine that speaks the hub's interface, and that can be told to misbehave.

mod access;
mod broken;
mod disk;
mod fake_hub;
mod lists;
mod model;
mod offline;
mod pulling;
mod server;
mod stopping;
