//! Compatibility with the documents, the Python tool and stock xdelta3.

mod documents;
mod python_buckets;
mod readme_promises;
mod real_input;
