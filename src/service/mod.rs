//! The use cases.

#[cfg_attr(not(test), expect(dead_code, reason = "the use cases that read the Python tool's buckets come with it"))]
mod packing;
