//! `scripts/load_test.sh` against the built server. Times are not looked at.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::path::Path;
use std::process::{Command, Output};

use support::{Server, folder, skipped, succeed};

/// All that the script calls, but for ab and wrk.
const TOOLS: [&str; 14] = [
    "awk", "bash", "cat", "curl", "date", "grep", "head", "mktemp", "rm", "sed", "seq", "shuf", "sort", "wc",
];

/// A folder with these tools and no others; `None` if one is missing.
fn tools(folder: &Path) -> Option<()> {
    for tool in TOOLS {
        let found = std::env::split_paths(&std::env::var_os("PATH")?)
            .map(|folder| folder.join(tool))
            .find(|path| path.is_file())?;
        std::os::unix::fs::symlink(found, folder.join(tool)).unwrap();
    }
    Some(())
}

fn run(tools: &Path, arguments: &[&str]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/load_test.sh");
    let mut command = Command::new(tools.join("bash"));
    command.arg(script).args(arguments).env("PATH", tools);
    command.env("CURL_REQUESTS", "2").env("COLD_TILES", "5").output().unwrap()
}

#[test]
fn prints_one_table_and_says_which_tool_is_missing() {
    let (slides, bin) = (folder(), folder());
    if tools(bin.path()).is_none() {
        skipped("curl or another tool of scripts/load_test.sh is missing");
        return;
    }
    let slide = slides.path().join("a b.mtm");
    succeed(["ingest", "synthetic:1000x700", "-o", slide.to_str().unwrap()]);
    let server = Server::start(slides.path(), &[]);
    let url = format!("http://127.0.0.1:{}", server.port);
    let output = run(bin.path(), &[&url]);
    let (table, talk) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{talk}");
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["test", "requests", "requests/s", "P50", "P99", "errors"]);
    let of = |name: &str| rows.iter().find(|row| row[0] == name).unwrap_or_else(|| panic!("{name}: {table}"));
    for (name, requests) in [("random", "5"), ("curl,", "2")] {
        let [.., found, _rate, _p50, _p99, errors] = of(name)[..] else { panic!("{table}") };
        assert_eq!((found, errors), (requests, "0"), "{table}");
    }
    for (name, package) in [("ab", "apache2-utils"), ("wrk", "wrk")] {
        assert!(of(name).contains(&"skipped"), "{table}");
        assert!(talk.contains(&format!("{name} is missing: apt-get install {package}")), "{talk}");
    }
    let refused = run(bin.path(), &[&url, "nosuch"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("has no slide nosuch"));
}
