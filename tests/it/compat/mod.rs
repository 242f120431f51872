//! Compatibility with the Python tool and with stock xdelta3.

mod python_buckets;
mod readme_promises;
mod real_input;
