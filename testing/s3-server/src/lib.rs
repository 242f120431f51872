//! S3 servers on a socket, for tests.
