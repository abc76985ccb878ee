//! Forking a server into worker processes and keeping them alive (Tornado's process)
#![forbid(unsafe_code)]
