//! The `plantain` command.

fn main() {}
