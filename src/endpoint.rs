//! Where the store of this process is: the rule of [`Endpoint`] asked of the process's environment and files.

use std::path::Path;

use crate::domain::endpoint::{Endpoint, EndpointError, Sources};

/// The endpoint of `--endpoint-url`, the environment or the profile; `profile` is `--profile`.
///
/// # Errors
///
/// When the first value that is set is no endpoint, or a profile file is there and cannot be read.
pub fn of_process(endpoint_url: Option<&str>, profile: Option<&str>) -> Result<Endpoint, EndpointError> {
    let file = |path: &Path| std::fs::read_to_string(path);
    Endpoint::resolve(&Sources { endpoint_url, profile, variable: &|name| std::env::var_os(name), file: &file })
}
