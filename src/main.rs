//! The `deltaglider` command.
fn main() {}
