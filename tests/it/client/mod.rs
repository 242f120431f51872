//! The client as a user of the library sees it: verbs, streams, progress, errors, cancellation.

mod bodies;
mod drops;
mod errors;
mod examples;
mod folders;
mod over_http;
mod progress;
mod python_sdk;
mod stage;
mod streams;
mod verbs;
