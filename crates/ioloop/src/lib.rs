//! A single-thread event loop: reactor, tasks, callbacks and timeouts (Tornado's ioloop) on mio
#![forbid(unsafe_code)]
