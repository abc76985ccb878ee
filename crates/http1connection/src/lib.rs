//! HTTP/1 connections over streams (Tornado's http1connection): the pump between codec and stream
#![forbid(unsafe_code)]
