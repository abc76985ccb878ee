//! A table in which all is well, and each way to lie in it.

use std::collections::BTreeMap;

use super::*;

const TABLE: &str = r#"
# Tornado's x_test.py
crate = "x"

[classes]
TestOne = 3 # with a remark
TestOther = 1

[TestOne.test_a]
summary = "a thing # and no remark"
shown = [
  "x/first::a",
  "y/lib::inner::tests::{b, c}", # both
]

[TestOne.test_b]
summary = "another"
differs = "RFC 9112, section 6.1, forbids it"
documented = "A read is refused"

[TestOne.test_c]
summary = "one more"
not_applicable = "no such thing"
shown = ["x/first::a"]

[TestOther.test_a]
summary = "the last"
missing = "the thing itself"
"#;

const LIB: &str = "//! A crate.\n//!\n//! # Differences from Tornado\n//! - A read\n//!   is refused.\n//!\n\
                   //! # Next\n//! Nothing else.\nmod a;\n";

/// What is reported of this table, in the crate `x` that documents one difference.
fn problems_of(table: &str) -> Vec<String> {
    let files = BTreeMap::from([("tests/parity/x.toml", table), ("crates/x/src/lib.rs", LIB)]);
    read_tables(&[("x", 4)], &|path| files.get(path).map(|text| (*text).to_owned())).1
}

#[test]
fn a_good_table_is_read() {
    assert_eq!(problems_of(TABLE), [""; 0]);
    let table = Table::parse(TABLE).unwrap();
    let expected = Count { shown: 1, differs: 1, not_applicable: 1, missing: 1 };
    assert_eq!(Count::of(&table), expected);
    let tests: Vec<String> = table.behaviours[0].tests.iter().map(Test::to_string).collect();
    assert_eq!(tests, ["x/first::a", "y/lib::inner::tests::b", "y/lib::inner::tests::c"]);
    let report = report(&[("x", table)]);
    assert!(report.starts_with("missing: x_test::TestOther.test_a: the thing itself\n"), "{report}");
    let last: Vec<&str> = report.lines().last().unwrap().split_whitespace().collect();
    assert_eq!(last, ["x", "4", "1", "1", "1", "1", "3"]);
}

#[test]
fn every_lie_is_reported() {
    let cases = [
        // Methods that vanish, or that nobody knows.
        (
            "\n[TestOther.test_a]\nsummary = \"the last\"\nmissing = \"the thing itself\"\n",
            "",
            "TestOther has 1 test methods, but 0 entries",
        ),
        ("TestOther = 1", "", "26: [classes] doesn't count those of TestOther"),
        ("TestOther = 1", "TestOther = 0", "[classes] counts 3 test methods, the module has 4"),
        ("[TestOne.test_c]", "[TestOne.test_b]", "21: TestOne.test_b stands already at line 16"),
        ("[TestOther.test_a]", "[TestOther]", "26: [TestOther] is neither [classes] nor a [Class.method]"),
        // Entries that say nothing, too much, or what nobody reads.
        ("summary = \"one more\"\n", "", "21: TestOne.test_c: no summary"),
        ("missing = \"the thing itself\"", "", "none of `shown`, `differs`, `not_applicable`, `missing`"),
        ("missing = \"the thing itself\"", "missing = \"  \"", "`missing` is not a text, or an empty one"),
        ("missing = \"the thing itself\"", "missing = \"it\"\nshown = [\"x/a::b\"]", "more than one of"),
        ("not_applicable", "missing = \"it\"\nnot_applicable", "more than one of"),
        ("not_applicable", "differs = \"issue 1\"\nnot_applicable", "more than one of"),
        ("not_applicable", "because", "`because` means nothing here"),
        ("missing = \"the", "skipped = 1\nmissing = \"the", "`skipped` means nothing here"),
        ("crate = \"x\"", "", "1: no `crate = \"..\"` at the top"),
        // Tests that can't be meant.
        ("shown = [\"x/first::a\"]", "shown = []", "21: TestOne.test_c: `shown` is not a list of tests"),
        ("shown = [\"x/first::a\"]", "shown = \"x/first::a\"", "`shown` is not a list of tests"),
        ("shown = [\"x/first::a\"]", "shown = [\"x/first\"]", "`x/first` is not of the form crate/target::path"),
        ("shown = [\"x/first::a\"]", "shown = [\"x/first::a b\"]", "`x/first::a b` is not of the form"),
        ("shown = [\"x/first::a\"]", "shown = [\"--lib/a::b\"]", "`--lib/a::b` is not of the form"),
        ("shown = [\"x/first::a\"]", "shown = [\"x/first::a\", \"x/first::a\"]", "names `x/first::a` twice"),
        ("{b, c}", "{b, c", "the brace is not closed"),
        ("{b, c}", "{b, b}", "names `y/lib::inner::tests::b` twice"),
        // Differences without reason or documentation.
        (
            "RFC 9112, section 6.1",
            "RFC 9112",
            "16: TestOne.test_b differs without an RFC's section or an issue's number",
        ),
        ("RFC 9112, section 6.1", "an issue", "differs without an RFC's section or an issue's number"),
        ("documented = \"A read is refused\"\n", "", "`differs` without `documented`"),
        ("A read is refused", "A write is refused", "crates/x/src/lib.rs has no \"A write is refused\" under"),
        ("A read is refused", "Nothing else", "crates/x/src/lib.rs has no \"Nothing else\" under"),
        ("documented", "crate = \"z\"\ndocumented", "crates/z/src/lib.rs has no \"A read is refused\" under"),
        // What is no such table.
        ("TestOther = 1", "TestOther = \"1\"", "`TestOther` is not a number"),
        ("TestOther = 1", "TestOther = 1.5", "not a text, a number or a list of texts"),
        ("TestOther = 1", "TestOther 1", "neither `[section]` nor `key = value`"),
        ("TestOther = 1", "TestOne = 1", "stands there already"),
        ("[classes]", "[classes", "`]` is missing"),
        ("\"x/first::a\",", "\"x/first::a\"", "not a text, a number or a list of texts"),
        ("\"x/first::a\"]", "\"x/first::a\"", "not a text, a number or a list of texts"),
        ("missing = \"the thing itself\"", "shown = [\"x/first::a\",", "the list does not end"),
        ("\"one more\"", "\"one \\\" more\"", "not a text, a number or a list of texts"),
    ];
    for (from, to, says) in cases {
        assert!(TABLE.contains(from), "{from}");
        let problems = problems_of(&TABLE.replacen(from, to, 1));
        let found =
            problems.iter().any(|problem| problem.starts_with("tests/parity/x.toml:") && problem.contains(says));
        assert!(found, "{from} -> {to}: {says}: {problems:#?}");
    }
}

#[test]
fn a_table_that_vanished_is_reported() {
    let problems = read_tables(&[("x", 4)], &|_| None).1;
    assert_eq!(problems, ["tests/parity/x.toml: is missing"]);
}

#[test]
fn a_reason_can_be_looked_up() {
    for reason in ["RFC 8305, section 5", "see Tornado issue 1912", "issue 3: too slow"] {
        assert!(can_be_looked_up(reason), "{reason}");
    }
    for reason in ["", "it is better so", "RFC 8305", "section 5", "an issue", "the RFC section 5"] {
        assert!(!can_be_looked_up(reason), "{reason}");
    }
}
