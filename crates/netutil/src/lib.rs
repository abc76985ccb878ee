//! Listening sockets that are right the first time (Tornado's netutil): bind_sockets, bind_unix_socket, add_accept_handler
#![forbid(unsafe_code)]
