//! The command from outside: what it writes, prints, refuses and leaves behind.

mod support;

mod adapt;
mod batch;
mod bench;
mod built_in;
mod convert;
mod doctor;
mod image_to_image;
mod info;
mod models;
mod outputs;
mod pictures;
mod prompts;
#[cfg(feature = "pull")]
mod pull;
mod requests;
mod shell;
mod trace;
mod transparent;
