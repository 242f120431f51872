//! The documents, and the Python tool and stock xdelta3 beside this one.

mod documents;
mod python_buckets;
mod readme_promises;
mod real_input;
