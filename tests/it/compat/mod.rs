//! The Python tool and stock xdelta3 beside this one.

mod python_buckets;
mod readme_promises;
mod real_input;
