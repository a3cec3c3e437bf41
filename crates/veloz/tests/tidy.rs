//! The rules of the code that a machine can check: which way imports run, how long things may be, what
//! no file may hold. Each rule is a table and one loop over the files that git tracks; a failure lists
//! every place.
#![cfg(test)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

const FILE_LINES: usize = 600;
const FUNCTION_LINES: usize = 70;

/// What the readers of the log may know of it: its face, and nothing about files.
const LOG: [&str; 6] = [
    "journal::Bounds",
    "journal::Lineage",
    "journal::LogError",
    "journal::LogId",
    "journal::LogReader",
    "journal::Read",
];

/// The modules of the program and what each may import from its siblings: a module, or one name of it.
/// The parts that see everything (the start-up function, `main`) are not listed.
const IMPORTS: &[(&str, &[&str])] = &[
    ("config", &[]),
    ("frame", &[]),
    ("market", &[]),
    ("protocol", &[]),
    (
        "engine",
        &["market", "protocol", "service::Clock", "service::SteadyClock", "gateway::Signals"],
    ),
    ("venue", &["metrics", "protocol", "process"]),
    ("process", &[]),
    (
        "backtest",
        &[
            "market",
            "process",
            "protocol",
            "http::bodies",
            "service::ServiceError",
            "service::Waiters",
            "service::Wants",
            "service::book_frame",
            "stream::filter",
            "gateway::Signals",
        ],
    ),
    ("histogram", &[]),
    ("metrics", &[]),
    ("journal", &["frame", "histogram"]),
    ("restore", &["frame", "journal"]),
    ("stream", &["frame", "histogram", LOG[0], LOG[1], LOG[2], LOG[3], LOG[4], LOG[5]]),
    ("plan", &["config", "market"]),
    (
        "service",
        &["frame", "histogram", "journal", "metrics", "stream", "venue", "market::SourceMessage"],
    ),
    (
        "http",
        &["frame", "metrics", "stream", "service", LOG[0], LOG[1], LOG[2], LOG[3], LOG[4], LOG[5]],
    ),
    ("cli", &["backtest", "config", "frame", "journal", "restore"]),
];

/// Modules that see everything: they put the parts together.
const ASSEMBLY: &[&str] = &["main", "lib", "gateway"];

/// What no tracked text may hold, and why. Split, so that this file does not hold it either.
const NOWHERE: &[(&str, &str)] = &[
    (concat!("TO", "DO"), "file an issue, or do it"),
    (concat!("FIX", "ME"), "file an issue, or fix it"),
    (concat!("/wo", "rk/"), "a path of one machine"),
    (concat!("/tm", "p/"), "a path of one machine"),
    (concat!("/ro", "ot/"), "a path of one machine"),
    (concat!("/ho", "me/"), "a path of one machine"),
    (concat!("registry.npm", "js"), "the host of a registry"),
    (concat!("pypi", ".org"), "the host of a registry"),
    (concat!("pythonho", "sted"), "the host of a registry"),
    (concat!("index.crates", ".io"), "the host of a registry"),
    (concat!("\"resol", "ved\":"), "the host of a registry, in a lock file"),
];

/// The kinds of file that belong here, by the end of a name or by the whole of it. Anything else was
/// left by a tool, and a profile or a capture stays in the history for ever.
const KINDS: &[&str] = &[
    ".archive",
    ".conf",
    ".css",
    ".gitignore",
    ".html",
    ".json",
    ".lock",
    ".md",
    ".mjs",
    ".names",
    ".png",
    ".py",
    ".rs",
    ".sh",
    ".snap",
    ".svg",
    ".toml",
    ".ts",
    ".tsx",
    ".txt",
    ".vlz",
    "LICENSE",
    "Makefile",
];

/// Where files have no such name: programs to call, and the fuzzers' inputs.
const NAMELESS: &[&str] = &[".ci/", "bench/run", "scripts/", "fuzz/corpus/"];

/// What no Rust file may hold, and why.
const NO_RUST: &[(&str, &str)] = &[
    (concat!("dbg", "!("), "left from a hunt"),
    (concat!("to", "do!("), "a stub"),
    (concat!("unimple", "mented!("), "a stub"),
    (concat!("#[ig", "nore"), "a test that does not run"),
    (concat!("allow(dead_", "code)"), "remove what nobody uses"),
    (concat!("unboun", "ded"), "every queue is bounded"),
    (concat!("Arc<Mutex<", "State>"), "one thread owns the state"),
];

/// A test waits for a condition, in one of the functions made for it; only these may sleep.
const SLEEP: &str = concat!("thread::", "sleep(");
const WAITERS: &[&str] = &["eventually", "wait_for"];

/// Tests of what time itself does: a pace is what they are about.
const PACED: &[&str] =
    &["a_slow_reader_is_not_a_stalled_one", "events_take_the_place_of_keep_alives"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace")
}

/// A tracked text file: its path from the root, and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn is_rust(&self) -> bool {
        self.has_extension("rs")
    }

    fn has_extension(&self, extension: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|e| e == extension)
    }

    /// The part before the unit tests.
    fn production(&self) -> &str {
        self.text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default()
    }

    /// The part that is a test.
    fn tests(&self) -> &str {
        if self.path.contains("/tests/") {
            &self.text
        } else {
            &self.text[self.production().len()..]
        }
    }

    /// The module of the program that it belongs to.
    fn module(&self) -> Option<&str> {
        let rest = self.path.strip_prefix("crates/veloz/src/")?;
        rest.split('/').next().map(|first| first.trim_end_matches(".rs"))
    }
}

/// The paths, from the root, of all files that are tracked or about to be.
fn paths() -> Vec<String> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git is needed to list the files");
    assert!(listed.status.success(), "git ls-files: {}", String::from_utf8_lossy(&listed.stderr));
    let listed = String::from_utf8(listed.stdout).expect("UTF-8 names");
    listed.split_terminator('\0').map(str::to_owned).collect()
}

fn sources() -> Vec<Source> {
    let sources: Vec<Source> = paths()
        .into_iter()
        .filter_map(|path| {
            let text = std::fs::read_to_string(root().join(&path)).ok()?;
            Some(Source { path, text })
        })
        .collect();
    assert!(sources.iter().any(|s| s.path == "crates/core/src/lib.rs"), "the list is not ours");
    sources
}

#[track_caller]
fn check(rule: &str, problems: impl IntoIterator<Item = String>) {
    let problems: Vec<String> = problems.into_iter().collect();
    assert!(problems.is_empty(), "{rule}:\n  {}", problems.join("\n  "));
}

#[test]
fn imports_run_one_way() {
    let mut problems = Vec::new();
    for source in sources().iter().filter(|s| s.is_rust()) {
        let Some(module) = source.module().filter(|m| !ASSEMBLY.contains(m)) else { continue };
        let Some((_, allowed)) = IMPORTS.iter().find(|(name, _)| *name == module) else {
            problems.push(format!("{}: {module} is not in the table of imports", source.path));
            continue;
        };
        for import in imports(source.production()) {
            let own = import == module || import.starts_with(&format!("{module}::"));
            let fine = own
                || allowed.iter().any(|a| import == *a || import.starts_with(&format!("{a}::")));
            if !fine {
                problems.push(format!("{}: crate::{import}", source.path));
            }
        }
    }
    check("imports run one way (the table is in this test)", problems);
}

/// What a text names of its own crate: `journal::Read` for `crate::journal::{Read}` as well.
fn imports(text: &str) -> Vec<String> {
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    let mut found = Vec::new();
    for (start, _) in code.match_indices("crate::") {
        let rest = &code[start + "crate::".len()..];
        let end = rest
            .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
            .unwrap_or(rest.len());
        let path = rest[..end].trim_end_matches(':');
        match rest[end..].strip_prefix('{').filter(|_| rest[..end].ends_with("::") || end == 0) {
            Some(group) => {
                let group = &group[..matching_brace(group)];
                let prefix = if path.is_empty() { String::new() } else { format!("{path}::") };
                found.extend(parts(group).map(|part| format!("{prefix}{part}")));
            }
            None => found.push(path.to_owned()),
        }
    }
    found
}

fn matching_brace(group: &str) -> usize {
    let mut depth = 1;
    for (at, c) in group.char_indices() {
        depth += match c {
            '{' => 1,
            '}' => -1,
            _ => 0,
        };
        if depth == 0 {
            return at;
        }
    }
    group.len()
}

/// The first names of a use group's parts; what is nested deeper is of no interest.
fn parts(group: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0;
    group
        .split(move |c: char| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            c == ',' && depth == 0
        })
        .map(|part| part.split(['{', ' ']).find(|p| !p.trim().is_empty()).unwrap_or_default())
        .map(|part| part.trim().trim_end_matches(':'))
        .filter(|part| !part.is_empty())
}

#[test]
fn imports_are_read_right() {
    let text = "use crate::journal::{Read, log::{A, B}};\nuse crate::{a, b::C};\n// crate::no\n\
                fn f() -> crate::http::Error {}";
    let expected = ["journal::Read", "journal::log", "a", "b::C", "http::Error"];
    assert_eq!(imports(text), expected);
}

#[test]
fn files_and_functions_fit() {
    let mut problems = Vec::new();
    for source in sources() {
        if !["rs", "py", "mjs", "sh"].iter().any(|e| source.has_extension(e)) {
            continue;
        }
        let lines = source.text.lines().count();
        if lines > FILE_LINES {
            problems.push(format!("{}: {lines} lines, {FILE_LINES} are allowed", source.path));
        }
        if source.is_rust() {
            problems.extend(long_functions(&source));
        }
    }
    check("files and functions fit a screen", problems);
}

/// In formatted code a function ends at the first `}` with the indentation of its first line.
fn long_functions(source: &Source) -> Vec<String> {
    let lines: Vec<&str> = source.text.lines().collect();
    let mut problems = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let starts = ["fn ", "pub fn ", "async fn ", "pub async fn ", "const fn ", "pub const fn "]
            .iter()
            .any(|s| code.starts_with(s))
            || (code.starts_with("pub(") && code.contains(") fn "));
        if !starts || line.ends_with('}') || line.ends_with(';') {
            continue;
        }
        let end = format!("{}}}", &line[..line.len() - code.len()]);
        let length = lines[at..].iter().position(|l| *l == end).map_or(0, |n| n + 1);
        if length > FUNCTION_LINES {
            problems.push(format!("{}:{}: {length} lines: {code}", source.path, at + 1));
        }
    }
    problems
}

#[test]
fn every_file_is_of_a_known_kind() {
    let unknown = paths().into_iter().filter(|path| {
        !KINDS.iter().any(|kind| path.ends_with(kind))
            && !NAMELESS.iter().any(|place| path.starts_with(place))
    });
    check("a file of a kind that does not belong here (the kinds are in this test)", unknown);
}

#[test]
fn files_say_what_they_are() {
    let silent =
        sources().into_iter().filter(|s| s.is_rust() && !s.text.starts_with("//!")).map(|s| s.path);
    check("a Rust file starts with `//!`: what it promises", silent);
}

#[test]
fn nothing_is_left_lying_about() {
    let mut problems = Vec::new();
    let mut search = |source: &Source, text: &str, table: &[(&str, &str)]| {
        for (needle, why) in table {
            for (at, _) in text.match_indices(needle) {
                let line = text[..at].matches('\n').count() + 1;
                problems.push(format!("{}:{line}: {needle}: {why}", source.path));
            }
        }
    };
    for source in sources() {
        search(&source, &source.text, NOWHERE);
        if source.is_rust() {
            search(&source, &source.text, NO_RUST);
        }
    }
    check("no file may hold this", problems);
}

#[test]
fn no_test_sleeps() {
    let mut problems = Vec::new();
    for source in sources().iter().filter(|s| s.is_rust()) {
        for (at, _) in source.tests().match_indices(SLEEP) {
            let function = source.tests()[..at]
                .rfind("fn ")
                .map(|start| &source.tests()[start + "fn ".len()..])
                .and_then(|rest| rest.split(['(', '<']).next())
                .unwrap_or_default();
            if !WAITERS.contains(&function) && !PACED.contains(&function) {
                problems.push(format!("{}: {function}", source.path));
            }
        }
    }
    check("a test waits for a condition, it does not sleep", problems);
}

#[test]
fn links_of_the_documents_lead_somewhere() {
    let mut problems = Vec::new();
    for source in sources().iter().filter(|s| s.has_extension("md")) {
        for link in links(&source.text) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let folder = Path::new(&source.path).parent().expect("a file's folder");
            let target = match file {
                "" => root().join(&source.path),
                file => root().join(folder).join(file),
            };
            // What has no anchor may be a folder or a picture.
            let found = match anchor {
                "" => target.exists(),
                _ => std::fs::read_to_string(&target)
                    .is_ok_and(|text| headings(&text).any(|h| h == anchor)),
            };
            if !found {
                problems.push(format!("{}: {link}", source.path));
            }
        }
    }
    check("links lead somewhere", problems);
}

/// The targets of `[text](target)` outside code blocks.
fn links(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for prose in text.split("```").step_by(2) {
        for (at, _) in prose.match_indices("](") {
            let rest = &prose[at + 2..];
            found.extend(rest.find(')').map(|end| &rest[..end]));
        }
    }
    found
}

/// The anchors of a document's headings.
fn headings(text: &str) -> impl Iterator<Item = String> {
    text.lines().filter(|line| line.starts_with('#')).map(|line| {
        line.trim_start_matches('#')
            .trim()
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect()
    })
}
