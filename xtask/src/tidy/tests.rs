//! A small tree in which all is well, and each way to break it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::{CHECKS, Repository, failures};
use crate::parity;

/// A repository in a directory of its own, gone when dropped.
struct Tree(PathBuf);

impl Tree {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("landspout-tidy-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let tree = Self(std::env::temp_dir().join(name));
        for (path, text) in GOOD {
            tree.write(path, text);
        }
        for (dir, dependencies) in CRATES {
            let name = if *dir == "landspout" { "landspout".to_owned() } else { format!("landspout-{dir}") };
            let manifest = format!(
                "[package]\nname = \"{name}\"\ndescription = \"d\"\n\n[lints]\nworkspace = true\n\n[dependencies]\n{dependencies}"
            );
            tree.write(&format!("crates/{dir}/Cargo.toml"), &manifest);
            tree.write(&format!("crates/{dir}/README.md"), "# A crate, see [the overview](../../README.md#top)\n");
            tree.write(&format!("crates/{dir}/src/lib.rs"), "//! A crate.\n#![forbid(unsafe_code)]\n");
        }
        for (module, count) in parity::MODULES {
            let entries = (0..*count).map(|n| format!("\n[Test.test_{n}]\nsummary = \"s\"\nmissing = \"m\"\n"));
            let table = format!("crate = \"{module}\"\n\n[classes]\nTest = {count}\n{}", entries.collect::<String>());
            tree.write(&format!("tests/parity/{module}.toml"), &table);
        }
        tree
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn append(&self, path: &str, text: &str) {
        let before = fs::read_to_string(self.0.join(path)).unwrap_or_default();
        self.write(path, &(before + text));
    }

    fn replace(&self, path: &str, from: &str, to: &str) {
        let before = fs::read_to_string(self.0.join(path)).unwrap();
        assert!(before.contains(from), "{path} has no {from:?}");
        self.write(path, &before.replace(from, to));
    }

    fn remove(&self, path: &str) {
        fs::remove_file(self.0.join(path)).unwrap();
    }

    fn repository(&self) -> Repository {
        Repository::read(&self.0, vec!["hello".to_owned()]).unwrap()
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const CRATES: &[(&str, &str)] = &[
    ("ioloop", "mio.workspace = true\n"),
    ("netutil", "socket2.workspace = true\nlandspout-ioloop = { workspace = true, optional = true }\n"),
    ("iostream", "landspout-ioloop.workspace = true\n"),
    ("process", "nix.workspace = true\n"),
    ("httputil", ""),
    ("http1", "landspout-httputil.workspace = true\nhttparse.workspace = true\nbytes.workspace = true\n"),
    ("landspout", "landspout-ioloop.workspace = true\n"),
];

const GOOD: &[(&str, &str)] = &[
    ("Cargo.toml", "[package]\nname = \"landspout-workbench\"\n\n[dev-dependencies]\nbytes.workspace = true\n"),
    ("Cargo.lock", ""),
    ("CHANGELOG.md", ""),
    ("CONTRIBUTING.md", ""),
    ("LICENSE-APACHE", ""),
    ("LICENSE-MIT", ""),
    (".gitignore", ""),
    (
        "README.md",
        "| crate | what for |\n|---|---|\n| `landspout` | |\n| `landspout-ioloop` | |\n| `landspout-netutil` | |\n\
         | `landspout-iostream` | |\n| `landspout-process` | |\n| `landspout-httputil` | |\n| `landspout-http1` | |\n\n\
         Run `hello`, see [its source](examples/hello.rs), [the crates](crates) and [mio](https://docs.rs/mio).\n",
    ),
    (
        "ARCHITECTURE.md",
        "# Layers\n\n| crate | what lives there | may depend on (ours) | packages |\n|---|---|---|---|\n\
         | `ioloop` | | – | mio |\n| `netutil` | | [ioloop] | socket2 |\n| `iostream` | | ioloop | |\n\
         | `process` | | – | nix |\n| `httputil` | | – | – |\n| `http1` | | httputil | httparse |\n\
         | `landspout` | | ioloop | |\n\n### Packages beyond the table\n\n- `http1`: `bytes`: bodies.\n\n### Next\n",
    ),
    ("examples/hello.rs", "fn main() {}\n"),
    ("xtask/src/main.rs", "fn main() {}\n"),
    // What the checks must let pass.
    ("crates/process/src/fork.rs", "// unsafe here\npub(crate) fn fork() { unsafe { raw() } }\n"),
    ("crates/ioloop/src/clock.rs", "use mio::Poll;\nfn now() -> Instant { Instant::now() }\n"),
    ("crates/http1/src/parse.rs", "use httparse::Header;\n"),
    (
        "crates/http1/src/prose.rs",
        "// httparse, mio and unsafe code in a comment; Instant::now too, and a TcpStream\n\
         const S: &str = \"httparse mio rustls unsafe SystemTime::now UnixStream\";\n",
    ),
    (
        "crates/iostream/src/transports/tcp.rs",
        "use mio::net::TcpStream;\nfn f(conn: &dyn HttpConnection) { conn.elapsed(); }\n",
    ),
    ("crates/iostream/src/transports/tls.rs", "use rustls::ServerConnection;\n"),
    ("crates/netutil/src/accept.rs", "use mio::Interest;\n"),
    ("crates/netutil/src/tls.rs", "use rustls::ServerConfig;\n"),
    ("crates/netutil/tests/tls/main.rs", "use rustls::{ServerConfig, ServerConnection};\n"),
    ("crates/netutil/tests/clock.rs", "fn f() { std::time::Instant::now(); }\n"),
];

struct Case {
    check: &'static str,
    /// A part of the problem that must be reported.
    says: &'static str,
    change: fn(&Tree),
}

const CASES: &[Case] = &[
    // One layer reaches up, sideways, or stops depending.
    Case {
        check: "crate_graph",
        says: "crates/ioloop/Cargo.toml: depends on `http1`, which is not in the layer table",
        change: |tree| {
            tree.append("crates/ioloop/Cargo.toml", "landspout-http1 = { workspace = true, optional = true }\n")
        },
    },
    Case {
        check: "crate_graph",
        says: "crates/ioloop/Cargo.toml: `http1` is not a layer below",
        change: |tree| {
            tree.append("crates/ioloop/Cargo.toml", "landspout-http1.workspace = true\n");
            tree.replace("ARCHITECTURE.md", "| `ioloop` | | – |", "| `ioloop` | | http1 |");
        },
    },
    Case {
        check: "crate_graph",
        says: "ARCHITECTURE.md: `http1` does not depend on `httputil`, but the layer table says so",
        change: |tree| tree.replace("crates/http1/Cargo.toml", "landspout-httputil.workspace = true\n", ""),
    },
    Case {
        check: "crate_graph",
        says: "crates/netutil/Cargo.toml: `ioloop` is not optional, in the layer table of ARCHITECTURE.md optional",
        change: |tree| tree.replace("crates/netutil/Cargo.toml", ", optional = true", ""),
    },
    Case {
        check: "crate_graph",
        says: "ARCHITECTURE.md: the layer table has no row for `process`",
        change: |tree| tree.replace("ARCHITECTURE.md", "| `process` | | – | nix |\n", ""),
    },
    Case {
        check: "crate_graph",
        says: "ARCHITECTURE.md: the layer table has a row for `gone`, which is no crate",
        change: |tree| tree.replace("ARCHITECTURE.md", "| `landspout` |", "| `gone` | | – | |\n| `landspout` |"),
    },
    Case {
        check: "crate_graph",
        says: "crates/http1/Cargo.toml: the package's name is not `landspout-http1`",
        change: |tree| {
            tree.replace("crates/http1/Cargo.toml", "\"landspout-http1\"", "\"http1-codec\"");
            tree.replace("README.md", "`landspout-http1`", "`http1-codec`");
        },
    },
    Case {
        check: "crate_graph",
        says: "Cargo.toml: the workbench has dev-dependencies only",
        change: |tree| tree.replace("Cargo.toml", "[dev-dependencies]", "[dependencies]"),
    },
    Case {
        check: "packages",
        says: "crates/httputil/Cargo.toml: depends on `memchr`",
        change: |tree| tree.append("crates/httputil/Cargo.toml", "memchr = { version = \"2\", optional = true }\n"),
    },
    Case {
        check: "packages",
        says: "crates/iostream/Cargo.toml: depends on `cc`",
        change: |tree| {
            tree.append("crates/iostream/Cargo.toml", "[target.'cfg(unix)'.build-dependencies]\ncc = \"1\"\n")
        },
    },
    Case {
        check: "packages",
        says: "`http1` does not depend on `bytes`",
        change: |tree| tree.replace("crates/http1/Cargo.toml", "bytes.workspace = true\n", ""),
    },
    Case {
        check: "packages",
        says: "without crate, package or reason: `http1`: `bytes`",
        change: |tree| tree.replace("ARCHITECTURE.md", "`bytes`: bodies.", "`bytes`"),
    },
    Case {
        check: "owned_packages",
        says: "crates/netutil/src/bind.rs:2: names `mio`",
        change: |tree| tree.write("crates/netutil/src/bind.rs", "\nuse ::mio::net::TcpListener;\n"),
    },
    Case {
        check: "owned_packages",
        says: "crates/iostream/src/stream.rs:1: names `rustls`",
        change: |tree| tree.write("crates/iostream/src/stream.rs", "fn f(_: &rustls::ClientConfig) {}\n"),
    },
    Case {
        check: "tls_connections",
        says: "crates/netutil/src/tls.rs:1: names rustls' `ServerConnection`",
        change: |tree| tree.write("crates/netutil/src/tls.rs", "use rustls::{ServerConfig, ServerConnection};\n"),
    },
    Case {
        check: "one_file_names_httparse",
        says: "crates/http1/src/parse.rs, crates/http1/src/target.rs",
        change: |tree| tree.write("crates/http1/src/target.rs", "use httparse::Request;\n"),
    },
    Case {
        check: "one_file_names_httparse",
        says: "crates/httputil/src/parse.rs",
        change: |tree| {
            tree.remove("crates/http1/src/parse.rs");
            tree.write("crates/httputil/src/parse.rs", "use httparse::Request;\n");
        },
    },
    Case {
        check: "sans_io",
        says: "crates/httputil/src/peer.rs:1: names `TcpStream`",
        change: |tree| tree.write("crates/httputil/src/peer.rs", "use std::net::TcpStream;\n"),
    },
    Case {
        check: "unsafe_code",
        says: "crates/http1/src/lib.rs: has no line `#![forbid(unsafe_code)]`",
        change: |tree| {
            tree.write("crates/http1/src/lib.rs", "//! #![forbid(unsafe_code)]\n// #![forbid(unsafe_code)]\n")
        },
    },
    Case {
        check: "unsafe_code",
        says: "benches/peers/raw/src/main.rs: has no line `#![forbid(unsafe_code)]`",
        change: |tree| tree.write("benches/peers/raw/src/main.rs", "fn main() {}\n"),
    },
    Case {
        check: "unsafe_code",
        says: "crates/ioloop/src/fast.rs:1: unsafe",
        change: |tree| tree.write("crates/ioloop/src/fast.rs", "unsafe fn f() {}\n"),
    },
    Case {
        check: "unsafe_code",
        says: "in more than one file: crates/process/src/fork.rs, crates/process/src/wait.rs",
        change: |tree| tree.write("crates/process/src/wait.rs", "fn f() { unsafe { raw() } }\n"),
    },
    Case {
        check: "clock",
        says: "crates/iostream/src/stream.rs:2: `Instant::now` reads the clock",
        change: |tree| tree.write("crates/iostream/src/stream.rs", "\nlet t = std::time::Instant::now();\n"),
    },
    Case {
        check: "clock",
        says: "crates/httputil/src/date.rs:1: `SystemTime::now` reads the clock",
        change: |tree| tree.write("crates/httputil/src/date.rs", "let t = time.unwrap_or_else(SystemTime::now);\n"),
    },
    Case {
        check: "clock",
        says: "crates/iostream/src/stream.rs:1: `Instant::now` reads the clock",
        change: |tree| tree.write("crates/iostream/src/stream.rs", "/// let begin = Instant::now();\n"),
    },
    Case {
        check: "clock",
        says: "crates/iostream/src/stream.rs:2: `elapsed` reads the clock",
        change: |tree| tree.write("crates/iostream/src/stream.rs", "self.elapsed();\nself.begin.elapsed();\n"),
    },
    Case {
        check: "packages_complete",
        says: "crates/http1/README.md is missing or empty",
        change: |tree| tree.remove("crates/http1/README.md"),
    },
    Case {
        check: "packages_complete",
        says: "crates/http1/Cargo.toml has no description",
        change: |tree| tree.replace("crates/http1/Cargo.toml", "description = \"d\"\n", ""),
    },
    Case {
        check: "packages_complete",
        says: "crates/http1/Cargo.toml has no `[lints] workspace = true`",
        change: |tree| tree.replace("crates/http1/Cargo.toml", "[lints]\nworkspace = true\n", ""),
    },
    Case {
        check: "top_level",
        says: "notes.txt does not belong to the top level",
        change: |tree| tree.write("notes.txt", "later\n"),
    },
    Case { check: "top_level", says: "LICENSE-MIT is missing", change: |tree| tree.remove("LICENSE-MIT") },
    Case {
        check: "no_machine_paths",
        says: concat!("CONTRIBUTING.md:1: `/ho", "me/`"),
        change: |tree| tree.write("CONTRIBUTING.md", concat!("Look into /ho", "me/me/landspout.\n")),
    },
    Case {
        check: "nothing_left_open",
        says: concat!("tests/http.rs:1: `TO", "DO`"),
        change: |tree| tree.write("tests/http.rs", concat!("// TO", "DO: test\n")),
    },
    Case {
        check: "nothing_left_open",
        says: "crates/http1/src/encode.rs:1",
        change: |tree| tree.write("crates/http1/src/encode.rs", concat!("fn f() { unimple", "mented!() }\n")),
    },
    Case {
        check: "no_ignored_tests",
        says: "crates/http1/tests/decode.rs:2",
        change: |tree| {
            tree.write("crates/http1/tests/decode.rs", concat!("#[test]\n#[", "ignore = \"slow\"]\nfn f() {}\n"))
        },
    },
    Case {
        check: "no_sleeping_threads",
        says: "crates/ioloop/tests/timeouts.rs:1",
        change: |tree| tree.write("crates/ioloop/tests/timeouts.rs", concat!("std::thread::", "sleep(SECOND);\n")),
    },
    Case {
        check: "short_files",
        says: "crates/http1/src/long.rs: 701 lines; 700 are the limit",
        change: |tree| {
            tree.write("crates/http1/src/not_long.rs", &"\n".repeat(700));
            tree.write("crates/http1/src/long.rs", &"\n".repeat(701));
        },
    },
    Case {
        check: "examples_listed",
        says: "examples/poem/main.rs: README.md does not list `poem`",
        change: |tree| tree.write("examples/poem/main.rs", "fn main() {}\n"),
    },
    Case {
        check: "examples_listed",
        says: "examples/poem.rs: the table of xtask/src/examples.rs does not list `poem`",
        change: |tree| {
            tree.write("examples/poem.rs", "fn main() {}\n");
            tree.append("README.md", "And `poem`.\n");
        },
    },
    Case {
        check: "links_lead_somewhere",
        says: "crates/http1/README.md:2: no file crates/ioloop/src/loop.rs",
        change: |tree| tree.append("crates/http1/README.md", "[the loop](../ioloop/src/loop.rs#L1)\n"),
    },
    Case {
        check: "parity_tables",
        says: "tests/parity/netutil.toml: Test has 7 test methods, but 6 entries",
        change: |tree| {
            tree.replace("tests/parity/netutil.toml", "\n[Test.test_3]\nsummary = \"s\"\nmissing = \"m\"\n", "")
        },
    },
    Case {
        check: "crates_listed",
        says: "README.md: the crate table does not list `landspout-http1`",
        change: |tree| tree.replace("README.md", "| `landspout-http1` | |\n", ""),
    },
];

#[test]
fn a_tidy_tree_passes() {
    assert_eq!(failures(&Tree::new().repository()), []);
}

#[test]
fn each_breach_fails_its_check_and_no_other() {
    for case in CASES {
        let tree = Tree::new();
        (case.change)(&tree);
        let failures = failures(&tree.repository());
        let names: Vec<&str> = failures.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, [case.check], "{}: {failures:?}", case.says);
        assert!(failures[0].1.iter().any(|problem| problem.contains(case.says)), "{}: {failures:?}", case.says);
    }
}

#[test]
fn each_check_was_seen_to_fail() {
    for (name, _) in CHECKS {
        assert!(CASES.iter().any(|case| case.check == *name), "no case breaks {name}");
    }
}

/// The real repository can be read whole; whether it is tidy is for `cargo xtask tidy` to say.
#[test]
fn this_repository_is_read() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let repository = Repository::read(root, Vec::new()).unwrap();
    assert!(repository.crates.iter().any(|manifest| manifest.name == "landspout-ioloop"));
    assert!(repository.sources().any(|file| file.path == "crates/ioloop/src/lib.rs"));
}
