"""Runs our streams against real peers and prints a table of what happened. `cargo xtask interop` starts it.

usage: run.py --peer PROGRAM --playground PROGRAM --work DIRECTORY [--smoke] [WORD..]

--smoke runs a few cases that need nothing installed; with words, only cases whose name has one of them.
"""

import importlib
import os
import resource
import sys
import time

import harness
from harness import CASES, Setting, Skip

MODULES = ("openssl_peers", "curl_peers", "python_peers", "tornado_peers", "mail_peers", "proxy_peers", "http_peers", "http_clients", "garbage")


def main():
    arguments = sys.argv[1:]
    smoke = "--smoke" in arguments
    for flag in ("--peer", "--playground", "--work"):
        at = arguments.index(flag)
        setattr(Setting, flag[2:], os.path.abspath(arguments[at + 1]))
        del arguments[at : at + 2]
    words = [word for word in arguments if word != "--smoke"]
    os.makedirs(Setting.work, exist_ok=True)
    # Some cases need more than 1,024 descriptors, here and in the children.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for module in MODULES:
        importlib.import_module(module)
    if not harness.missing(["openssl"]):
        harness.make_certificates()
    chosen = [case for case in CASES if case.smoke or not smoke]
    chosen = [case for case in chosen if not words or any(word in case.name for word in words)]
    results = [run(case) for case in chosen]
    counts = {what: sum(result == what for result in results) for what in ("ok", "FAILED", "skipped")}
    print("interop: " + ", ".join(f"{count} {what}" for what, count in counts.items()))
    return 1 if counts["FAILED"] or not counts["ok"] else 0


def run(case):
    begin = time.monotonic()
    remark = ""
    try:
        if lacking := harness.missing(case.needs):
            raise Skip(f"no {lacking}")
        remark = case.function() or ""
        result = "ok"
    except Skip as skip:
        result, remark = "skipped", str(skip)
    except Exception as failure:
        result, remark = "FAILED", f"{type(failure).__name__}: {failure}"
    print(f"{case.name:<66} {result:<8}{time.monotonic() - begin:6.2f} s  {remark}", flush=True)
    return result


if __name__ == "__main__":
    sys.exit(main())
