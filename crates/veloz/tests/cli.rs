//! The command line as a user has it: the real program, against a scripted gateway.

#[cfg(test)]
#[path = "../../client/tests/it/gateway.rs"]
#[expect(dead_code, reason = "the client's own tests use the rest")]
mod gateway;

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Output, Stdio};

    use veloz::frame::write_frame;
    use veloz::journal::{Batch, Journal, JournalConfig};
    use veloz_client::{ErrorEvent, Event};

    use crate::gateway::{Reply, Request, frame, frames, gateway};

    fn veloz(args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_veloz"));
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("VELOZ_") {
                command.env_remove(name);
            }
        }
        command
    }

    fn text(bytes: &[u8]) -> String {
        String::from_utf8(bytes.to_vec()).expect("text")
    }

    /// Runs it to its end and checks how it ended and what it said.
    fn check(command: &mut Command, code: i32, stdout: &[&str], stderr: &[&str]) -> Output {
        let output = command.output().expect("runs");
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{command:?}\n{out}\n{err}");
        for (said, wanted) in [(&out, stdout), (&err, stderr)] {
            for part in wanted {
                assert!(said.contains(part), "{command:?}: no {part:?} in\n{said}");
            }
        }
        output
    }

    async fn check_with(
        args: &[&str],
        script: impl Fn(&Request) -> Reply + Send + Sync + 'static,
        code: i32,
        stdout: &[&str],
        stderr: &[&str],
    ) -> Output {
        let url = gateway(script).await;
        let mut command = veloz(args);
        command.env("VELOZ_URL", url);
        tokio::task::block_in_place(|| check(&mut command, code, stdout, stderr))
    }

    #[test]
    fn help_has_examples() {
        check(&mut veloz(&["--help"]), 0, &["Examples:", "Exit codes:", "tail"], &[]);
        for command in ["serve", "order", "tail", "bench", "replay", "completions"] {
            check(&mut veloz(&[command, "--help"]), 0, &["Example"], &[]);
        }
        check(&mut veloz(&["serve", "--help"]), 0, &["--data-dir", "[env: VELOZ_DATA_DIR]"], &[]);
        check(&mut veloz(&["--version"]), 0, &[env!("CARGO_PKG_VERSION")], &[]);
    }

    #[test]
    fn completions_name_the_commands() {
        for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
            check(&mut veloz(&["completions", shell]), 0, &["cancel-all"], &[]);
        }
    }

    #[test]
    fn wrong_usage_is_told() {
        for (args, told) in [
            (&[][..], "Usage:"),
            (&["buy"], "buy"),
            (&["order", "hold", "BTCUSDT", "1", "1"], "possible values: buy, sell"),
            (&["order", "buy", "BTC/USDT", "1", "1"], "letters (upper case) and digits"),
            (&["order", "buy", "BTCUSDT", "NaN", "1"], "is not a decimal number"),
            (&["order", "buy", "BTCUSDT", "0.000000001", "1"], "more than 8 decimals"),
            (&["order", "buy", "BTCUSDT", "1"], "needs a price"),
            (&["order", "buy", "BTCUSDT", "1", "1", "--type", "market"], "has no price"),
            (&["order", "buy", "BTCUSDT", "1", "1", "--id", "a b"], "A-Z a-z 0-9"),
            (&["order", "buy", "BTCUSDT"], "QTY"),
            (&["order", "buy", "BTCUSDT", "1", "--quote", "5"], "cannot be used with"),
            (
                &["order", "buy", "BTCUSDT", "1", "--stop", "5", "--take", "6"],
                "cannot be used with",
            ),
            (
                &["order", "buy", "BTCUSDT", "1", "1", "--until", "9", "--tif", "ioc"],
                "cannot be used",
            ),
            (&["amend", "a-1"], "--qty"),
            (&["tail", "--types", "fill,fills"], "order_update"),
            (&["tail", "--since", "-1"], "--since"),
            (&["orders", "--open", "--id", "a"], "cannot be used with"),
            (&["account", "--url", "localhost"], "http://127.0.0.1:8080"),
        ] {
            check(&mut veloz(args), 2, &[], &[told]);
        }
    }

    #[test]
    fn wrong_settings_are_told() {
        let flag = "VELOZ_PORT=\"-1\" (from the command line)";
        check(&mut veloz(&["serve", "--port", "-1"]), 1, &[], &[flag, "veloz serve --help"]);
        let file = ["serve", "--config", "/nonexistent.toml"];
        check(&mut veloz(&file), 1, &[], &["/nonexistent.toml", "No such file"]);
        let variable = "VELOZ_DURABILITY=\"ram\" (from the environment)";
        check(veloz(&["serve"]).env("VELOZ_DURABILITY", "ram"), 1, &[], &[variable]);
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("veloz.toml");
        std::fs::write(&file, "port = 1\nport = 2\n").expect("written");
        let shown = ["line 2, column 1\n", "\n2 | port = 2\n"];
        check(veloz(&["serve", "--config"]).arg(&file), 1, &[], &shown);
    }

    #[test]
    fn nobody_there() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        drop(listener);
        for args in [&["account"][..], &["tail"], &["order", "buy", "BTCUSDT", "1", "1"]] {
            let told = ["cannot connect to", "refused", "veloz serve"];
            check(veloz(args).args(["--url", &url]), 4, &[], &told);
        }
    }

    /// Whatever listens there may answer with 200 or send elsewhere: nothing was done, and nothing is well.
    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_no_gateway_is_not_believed() {
        let asked = [
            &["health"][..],
            &["health", "--json"],
            &["cancel", "a"],
            &["account", "--json"],
            &["market", "--json"],
            &["book", "--json"],
            &["risk", "--json"],
        ];
        for body in ["<html></html>", "", "null", "[]", "{}", r#"{"ok":false}"#] {
            for args in asked {
                let told = ["cannot read the answer", "is that address a gateway's"];
                let output = check_with(args, |_| Reply::json(body), 1, &[], &told).await;
                assert!(output.stdout.is_empty(), "{args:?} {body}: {}", text(&output.stdout));
            }
        }
        let moved = |_: &Request| Reply::status("302 Found", "Location: http://localhost/\r\n", "");
        let told = "status 302, which no gateway gives";
        check_with(&["cancel", "a"], moved, 1, &[], &[told]).await;
        let order = ["order", "buy", "BTCUSDT", "1", "1", "--id", "a-1"];
        check_with(&order, moved, 1, &[], &["not known whether order a-1", told]).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_gateways_words_do_not_steer_the_terminal() {
        let body = r#"{"error":"x\u001b[31m","message":"\u001b]0;t\u0007\n\u202ea"}"#;
        let told = "error: \u{fffd}]0;t\u{fffd}\u{fffd}\u{fffd}a (400 x\u{fffd}[31m)\n";
        let script = |_: &Request| Reply::status("400 Bad Request", "", body);
        check_with(&["account"], script, 3, &[], &[told]).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn every_type_of_order_is_sent() {
        for (args, sent) in [
            (
                &["buy", "BTCUSDT", "--quote", "100"][..],
                r#""quote_qty":100.0,"client_order_id":"a-1","type":"MARKET"}"#,
            ),
            (
                &["sell", "BTCUSDT", "1", "--stop", "9"],
                r#""stop_price":9.0,"client_order_id":"a-1","type":"STOP_LOSS"}"#,
            ),
            (
                &["sell", "BTCUSDT", "1", "8", "--stop", "9"],
                r#""price":8.0,"stop_price":9.0,"client_order_id":"a-1","type":"STOP_LOSS_LIMIT"}"#,
            ),
            (&["sell", "BTCUSDT", "1", "--take", "9"], r#""type":"TAKE_PROFIT"}"#),
            (
                &["sell", "BTCUSDT", "1", "8", "--take", "9", "--reduce-only"],
                r#""type":"TAKE_PROFIT_LIMIT","reduce_only":true}"#,
            ),
            (
                &["buy", "BTCUSDT", "1", "8", "--until", "77"],
                r#""type":"LIMIT","time_in_force":"GTD","expire_ts_ns":77}"#,
            ),
        ] {
            let args: Vec<_> =
                ["order"].iter().chain(args).chain(&["--id", "a-1"]).copied().collect();
            let taken = move |request: &Request| {
                assert!(request.body.ends_with(sent), "{sent} is not in {}", request.body);
                Reply::json(
                    r#"{"ok":true,"client_order_id":"a-1","status":"ACCEPTED","executed_qty":0.0}"#,
                )
            };
            check_with(&args, taken, 0, &["a-1\tACCEPTED"], &[]).await;
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn orders_are_amended() {
        let amend = ["amend", "a-1", "--qty", "0.0020", "--price", "50001"];
        let taken = |request: &Request| {
            assert_eq!(request.body, r#"{"client_order_id":"a-1","qty":0.002,"price":50001.0}"#);
            Reply::json(
                r#"{"ok":true,"client_order_id":"a-1","status":"ACCEPTED","executed_qty":0.001,"qty":0.002,"price":50001.0}"#,
            )
        };
        let table = "ID\tSTATUS\tQTY\tPRICE\tEXECUTED\na-1\tACCEPTED\t0.002\t50001.0\t0.001\n";
        check_with(&amend, taken, 0, &[table], &[]).await;
        let refused = |_: &Request| {
            let body = r#"{"error":"rejected","message":"order a-1 stays as it was: amend_qty","reason":"amend_qty"}"#;
            Reply::status("422 Unprocessable Entity", "", body)
        };
        check_with(&amend, refused, 3, &[], &["error: order a-1 stays as it was"]).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn orders_are_placed_and_refused() {
        let order = ["order", "BUY", "btcusdt", "0.0010", "50000", "--tif", "IOC", "--id", "a-1"];
        let taken = |request: &Request| {
            assert_eq!(
                request.body,
                r#"{"side":"BUY","symbol":"BTCUSDT","qty":0.001,"price":50000.0,"client_order_id":"a-1","type":"LIMIT","time_in_force":"IOC"}"#
            );
            Reply::json(
                r#"{"ok":true,"client_order_id":"a-1","venue_order_id":"7","status":"FILLED","executed_qty":0.001}"#,
            )
        };
        let table = "ID\tSTATUS\tEXECUTED\tVENUE ID\tREASON\na-1\tFILLED\t0.001\t7\t-\n";
        check_with(&order, taken, 0, &[table], &[]).await;
        let answer = |status: &'static str, body: &'static str| {
            move |_: &Request| Reply::status(status, "", body)
        };
        let rejected =
            r#"{"error":"rejected","message":"the notional is too small","reason":"min_notional"}"#;
        let refused = answer("422 Unprocessable Entity", rejected);
        check_with(&order, refused, 3, &[], &["error: the notional is too small"]).await;
        let unknown = answer("504 Gateway Timeout", r#"{"error":"unknown_outcome"}"#);
        check_with(&order, unknown, 1, &[], &["not known whether order a-1", "--id a-1"]).await;
        let gone = answer("404 Not Found", r#"{"error":"not_found","message":"no order a"}"#);
        check_with(&["cancel", "a"], gone, 3, &[], &["no order a"]).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_bench_places_no_order_on_a_real_venue() {
        let live = |request: &Request| {
            assert_eq!(request.target, "/api/config", "nothing else is asked for or sent");
            Reply::json(
                r#"{"market_source":"binance","market_symbol":"BTCUSDT","market_symbols":["BTCUSDT"],
                    "execution_mode":"binance_spot","market_source_state":"running","version":"1"}"#,
            )
        };
        let told = ["--orders: this gateway trades on binance_spot", "leave --orders out"];
        check_with(&["bench", "--orders"], live, 2, &[], &told).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn tables_and_json() {
        const ACCOUNT: &str = r#"{"ts_ns":5,"balances":[{"asset":"BTC","free":0.1,"locked":0.0},{"asset":"USDT","free":99999.5,"locked":12.0}]}"#;
        let account = |_: &Request| Reply::json(ACCOUNT);
        let table = "ASSET\tFREE\tLOCKED\nBTC\t0.1\t0.0\nUSDT\t99999.5\t12.0\n";
        check_with(&["account"], account, 0, &[table], &[]).await;
        let output = check_with(&["--json", "account"], account, 0, &[], &[]).await;
        assert_eq!(text(&output.stdout), format!("{ACCOUNT}\n"));
        let book = |request: &Request| {
            assert_eq!(request.target, "/api/book?symbol=ETHUSDT&depth=2");
            Reply::json(
                r#"{"symbol":"ETHUSDT","ts_ns":5,"bids":[[1.1,2.0],[1.0,3.0]],"asks":[[1.2,4.0]]}"#,
            )
        };
        let table = "2.0\t1.1\t1.2\t4.0\n3.0\t1.0\t-\t-\n";
        check_with(&["book", "ethusdt", "--depth", "2"], book, 0, &[table], &[]).await;
        let orders = |request: &Request| {
            assert_eq!(request.target, "/api/orders_state?status=open&limit=1000");
            Reply::json(
                r#"{"items":[{"type":"order_state","client_order_id":"b","status":"REJECTED","executed_qty":0.0,"avg_price":0.0,"reason":"\u001b[2Jx","last_ts_ns":0,"cum_quote":0.0}],"next_after":1}"#,
            )
        };
        let row =
            "b\t-\t-\t-\t-\t-\t-\t0.0\t0.0\tREJECTED\t1970-01-01T00:00:00.000Z\t\u{fffd}[2Jx\n";
        check_with(&["orders", "--open"], orders, 0, &[row], &[]).await;
        let halt = |request: &Request| {
            assert_eq!(request.body, r#"{"state":"HALTED","cancel_all":true}"#);
            Reply::json(r#"{"state":"HALTED"}"#)
        };
        check_with(&["halt", "--cancel-all"], halt, 0, &["no orders are taken"], &[]).await;
        let sick = |_: &Request| {
            let body = r#"{"error":"unhealthy","message":"the journal is full"}"#;
            Reply::status("503 Service Unavailable", "", body)
        };
        check_with(&["health"], sick, 1, &[], &["the journal is full"]).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn pairs_and_limits() {
        const TAKEN: &str = r#"{"ok":true,"orders":[{"client_order_id":"a","venue_order_id":"1","status":"ACCEPTED","executed_qty":0.0},{"client_order_id":"a-stop","venue_order_id":"2","status":"ACCEPTED","executed_qty":0.0}]}"#;
        let pair = |request: &Request| {
            assert_eq!(request.target, "/api/oco");
            let wanted = r#"{"side":"SELL","symbol":"BTCUSDT","qty":0.5,"price":110.0,"stop_price":90.0,"stop_limit_price":89.0,"stop_limit_time_in_force":"FOK","client_order_id":"a","stop_client_order_id":"a-stop"}"#;
            assert_eq!(request.body, wanted);
            Reply::json(TAKEN)
        };
        let line = "oco sell btcusdt 0.5 110 --stop 90 --stop-limit 89 --tif fok --id a";
        let args: Vec<_> = line.split(' ').collect();
        let rows = "a\tACCEPTED\t0.0\t1\t-\na-stop\tACCEPTED\t0.0\t2\t-\n";
        check_with(&args, pair, 0, &[rows], &[]).await;
        check(&mut veloz(&["oco", "sell", "btcusdt", "1", "110"]), 2, &[], &["--stop"]);
        let long = "x".repeat(36);
        let args = ["oco", "sell", "btcusdt", "1", "110", "--stop", "90", "--id", &long];
        check(&mut veloz(&args), 2, &[], &["--stop-id"]);

        let risk = |request: &Request| match (request.method.as_str(), request.target.as_str()) {
            ("GET", "/api/risk/use") => Reply::json(
                r#"{"open_orders":2,"orders_last_second":0,"symbol_notional":{"BTCUSDT":45.0},"position":{"BTC":1.5},"daily_loss":{}}"#,
            ),
            ("GET", _) => Reply::json(
                r#"{"state":"REDUCE_ONLY","max_open_orders":20,"max_position":{"BTC":2.0}}"#,
            ),
            (_, target) => {
                assert_eq!(target, "/api/risk");
                let wanted = r#"{"state":"REDUCE_ONLY","max_order_notional":null,"max_open_orders":20,"max_position":{"BTC":2.0,"ETH":null}}"#;
                assert_eq!(request.body, wanted);
                Reply::json(r#"{"state":"REDUCE_ONLY"}"#)
            }
        };
        let line = "risk --state reduce-only --max-order-notional none --max-open-orders 20 \
                    --max-position btc=2 --max-position ETH=none";
        let args: Vec<_> = line.split(' ').collect();
        let rows = [
            "state\t-\tREDUCE_ONLY\t-\n",
            "max_open_orders\t-\t20\t2\n",
            "max_symbol_notional\tBTCUSDT\t-\t45.0\n",
            "max_position\tBTC\t2.0\t1.5\n",
            "max_daily_loss\t-\t-\t-\n",
        ];
        check_with(&args, risk, 0, &rows, &[]).await;
        let json = check_with(&["--json", "risk"], risk, 0, &[], &[]).await;
        let json: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
        assert_eq!(json["limits"]["max_open_orders"], 20);
        assert_eq!(json["use"]["open_orders"], 2);
        check(&mut veloz(&["risk", "--max-position", "BTC"]), 2, &[], &["ASSET=AMOUNT"]);
        check(&mut veloz(&["risk", "--max-open-orders", "x"]), 2, &[], &["or none"]);
    }

    #[test]
    fn events_are_read_from_a_directory() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().to_str().expect("text");
        check(&mut veloz(&["events", path]), 0, &[], &["no events in"]);
        check(&mut veloz(&["events", "/nonexistent"]), 1, &[], &["/nonexistent", "data directory"]);

        let (mut journal, _, _) =
            Journal::open(dir.path(), JournalConfig::default()).expect("opens");
        let mut batch = Batch::new();
        for id in 1..=20 {
            let event = ErrorEvent { ts_ns: 0, message: format!("e{id}").into(), detail: None };
            batch.step(id, 1, b"", |out| write_frame(out, id, &Event::Error(event)));
        }
        journal.append(&mut batch, 0).expect("appends");
        // The gateway that owns the directory still runs.
        let all = check(&mut veloz(&["events", path]), 0, &["       1  error         1970"], &[]);
        assert_eq!(text(&all.stdout).lines().count(), 20);
        let lines = r#"{"id":6,"event":"error","data":{"type":"error","ts_ns":0,"message":"e6"}}
{"id":7,"event":"error","data":{"type":"error","ts_ns":0,"message":"e7"}}
"#;
        let page =
            ["events", path, "--after", "5", "--limit", "2", "--types", "fill,error", "--json"];
        assert_eq!(text(&check(&mut veloz(&page), 0, &[], &[]).stdout), lines);
        let none = check(&mut veloz(&["events", path, "--types", "fill"]), 0, &[], &[]);
        assert!(none.stdout.is_empty());
        let ahead = "event 99 was never issued";
        check(&mut veloz(&["events", path, "--after", "99"]), 0, &[], &[ahead]);
    }

    /// What it prints on a terminal of that kind: a dozen lines of a log, in a directory.
    fn on_a_terminal(environment: &str, args: &str) -> String {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut journal, ..) = Journal::open(dir.path(), JournalConfig::default()).expect("opens");
        let mut batch = Batch::new();
        for id in 1..=12 {
            let event = ErrorEvent { ts_ns: 0, message: format!("e{id}").into(), detail: None };
            batch.step(id, 1, b"", |out| write_frame(out, id, &Event::Error(event)));
        }
        journal.append(&mut batch, 0).expect("appends");
        drop(journal);
        let program = env!("CARGO_BIN_EXE_veloz");
        let line = format!("{environment} {program} {args} {}", dir.path().display());
        let mut command = Command::new("script");
        command.args(["-qec", &line, "/dev/null"]).stdin(Stdio::null());
        command.env_remove("NO_COLOR").env("TERM", "xterm");
        text(&check(&mut command, 0, &[], &[]).stdout)
    }

    #[test]
    fn colours_are_for_terminals_whose_users_want_them() {
        const ESCAPE: char = '\u{1b}';
        // The second writes its log, and ends because its own directory cannot be.
        let serve = "serve --port 0 --data-dir /dev/null/none || :";
        for (args, told) in [("events", "      12  error"), (serve, "VELOZ_PORT=0")] {
            let shown = on_a_terminal("", args);
            assert!(shown.contains(told) && shown.contains(ESCAPE), "{shown}");
            for environment in ["NO_COLOR=1", "TERM=dumb"] {
                let plain = on_a_terminal(environment, args);
                assert!(plain.contains(told) && !plain.contains(ESCAPE), "{plain}");
            }
        }
    }

    #[test]
    fn the_platform_says_where_the_log_is() {
        let home = tempfile::tempdir().expect("a directory");
        let at = |path: &str| home.path().join(path).display().to_string();
        let told = |variable: &str, value: &str, wanted: &str| {
            let mut command = veloz(&["reset"]);
            command.env_remove("XDG_STATE_HOME").env("HOME", home.path()).env(variable, value);
            check(&mut command, 1, &[], &[wanted]);
        };
        told("XDG_STATE_HOME", &at("state"), &at("state/veloz"));
        told("XDG_STATE_HOME", "relative", &at(".local/state/veloz"));
        told("XDG_STATE_HOME", "", &at(".local/state/veloz"));
        told("VELOZ_DATA_DIR", &at("mine"), &at("mine"));
    }

    const REFUSAL: &str = r#"{"error":"unauthorized","message":"the end"}"#;

    /// Answers each connection with some of what is left, cut off, then refuses.
    fn log_of(last: u64) -> impl Fn(&Request) -> Reply + Send + Sync {
        move |request| match request.last_id() {
            Some(after) if after < last => Reply::stream(&match request.number {
                0 => frames(after + 1, after + 2) + "id: 99\ndata: {",
                _ => frame(after + 1),
            }),
            _ => Reply::status("401 Unauthorized", "", REFUSAL),
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn tail_goes_on_over_broken_connections() {
        let told = [
            "-- disconnected: the connection was closed",
            "-- connected again, after event 2",
            "error: the end",
        ];
        let output =
            check_with(&["tail", "--json", "--since", "0"], log_of(4), 3, &[], &told).await;
        let line = |id| {
            format!(
                "{{\"id\":{id},\"event\":\"market\",\"data\":{{\"type\":\"market\",\"symbol\":\"BTCUSDT\",\"ts_ns\":{id},\"price\":{id}.5}}}}\n"
            )
        };
        assert_eq!(text(&output.stdout), (1..=4).map(line).collect::<String>());
        let human = "       3  market        1970-01-01T00:00:00.000Z  BTCUSDT 3.5\n";
        check_with(&["tail", "--since", "0"], log_of(3), 3, &[human], &[]).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn tail_tells_a_gap() {
        const GAP: &str =
            r#"{"type":"gap","reason":"trimmed","requested":3,"oldest":11,"newest":20}"#;
        let script = |request: &Request| match request.number {
            0 => Reply::stream(&format!("id: 10\nevent: gap\ndata: {GAP}\n\n{}", frames(11, 12))),
            _ => Reply::status("401 Unauthorized", "", REFUSAL),
        };
        let told = ["!! GAP: the events after 3 and before 11 are no longer retained"];
        check_with(&["tail", "--since", "3"], script, 3, &["      11  market"], &told).await;
        let line = format!("{{\"id\":10,\"event\":\"gap\",\"data\":{GAP}}}\n");
        check_with(&["tail", "--json", "--since", "3"], script, 3, &[&line], &told).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_reader_that_goes_away_ends_it_quietly() {
        let url = gateway(|request| {
            let after = request.last_id().expect("a position");
            Reply::stream(&frames(after + 1, after + 5_000))
        })
        .await;
        let mut child = veloz(&["tail", "--since", "0", "--url", &url]).spawn().expect("starts");
        let output = tokio::task::block_in_place(|| {
            drop(child.stdout.take());
            child.wait_with_output().expect("ends")
        });
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert_eq!(text(&output.stderr), "");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn ctrl_c_says_where_to_go_on() {
        let url = gateway(|_| Reply::stream(&frames(1, 3)).hanging()).await;
        let mut child = veloz(&["tail", "--since", "0", "--url", &url]).spawn().expect("starts");
        let output = tokio::task::block_in_place(|| {
            let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
            assert_eq!(lines.take(3).count(), 3);
            let pid = rustix::process::Pid::from_child(&child);
            rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("signalled");
            child.wait_with_output().expect("ends")
        });
        assert_eq!(output.status.code(), Some(130));
        assert_eq!(text(&output.stderr), "-- to go on from here: --since 3\n");
    }
}
