//! The figures of a report, computed anew, slowly and from the event lines alone.

use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;
use std::process::Command;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{BTC, ETH, Run};
use crate::support::{needed, recorded};

const START: &[(&str, &str)] = &[("USDT", "20000"), ("BTC", "0.5"), ("ETH", "3"), ("SOL", "7")];
const PAIRS: &[(&str, &str)] = &[("BTCUSDT", "BTC"), ("ETHUSDT", "ETH")];
const UNIT: i128 = 10_i128.pow(16);

/// An exact decimal in units of 10^-16.
fn amount(text: &str) -> i128 {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let number: i128 = format!("{whole}{fraction:0<16}").parse().expect("a decimal");
    sign * number
}

/// The product of two amounts of 8 decimals: exact.
fn product(a: i128, b: i128) -> i128 {
    assert_eq!((a % 100_000_000, b % 100_000_000), (0, 0), "more than 8 decimals");
    (a / 100_000_000) * (b / 100_000_000)
}

/// What an amount comes to at a price, rounded down at 16 decimals.
fn valued(amount: i128, price: i128) -> i128 {
    let price = price / 100_000_000;
    amount / 100_000_000 * price + amount % 100_000_000 * price / 100_000_000
}

/// A line of the events, its numbers as they stand there.
#[derive(Deserialize)]
struct Line {
    id: u64,
    event: String,
    data: HashMap<String, Box<RawValue>>,
}

impl Line {
    fn text(&self, key: &str) -> String {
        self.data[key].get().trim_matches('"').to_owned()
    }

    fn amount(&self, key: &str) -> i128 {
        amount(self.data[key].get())
    }

    fn ts(&self) -> i64 {
        self.data["ts_ns"].get().parse().expect("a time")
    }
}

#[derive(Debug, Default)]
struct Traded {
    fills: u64,
    maker: u64,
    bought: i128,
    sold: i128,
    volume: i128,
    cash: i128,
}

type Amounts = BTreeMap<String, i128>;

/// All that follows from the lines.
#[derive(Default)]
struct Anew {
    balances: Amounts,
    fees: Amounts,
    traded: BTreeMap<String, Traded>,
    first: Amounts,
    last: Amounts,
    statuses: BTreeMap<String, String>,
    placed: BTreeMap<String, (u64, i64)>,
    /// Balances and prices after each step.
    points: Vec<(Amounts, Amounts)>,
}

impl Anew {
    fn read(lines: &[Line]) -> Anew {
        let mut anew = Anew::default();
        let (mut last_id, mut last_ts) = (0, 0);
        for line in lines {
            assert_eq!(line.id, last_id + 1, "no event is missing");
            last_id = line.id;
            if line.event != "market" && line.event != "order_state" {
                assert!(line.ts() >= last_ts, "time does not go back: {last_id}");
                last_ts = line.ts();
            }
            anew.take(line);
        }
        anew.point();
        anew
    }

    /// The state so far is one that a step has led to.
    fn point(&mut self) {
        self.points.push((self.balances.clone(), self.last.clone()));
    }

    fn take(&mut self, line: &Line) {
        match line.event.as_str() {
            "market" => {
                self.point();
                let base = PAIRS.iter().find(|(symbol, _)| *symbol == line.text("symbol"));
                let (base, price) = (base.expect("a pair").1.to_owned(), line.amount("price"));
                self.first.entry(base.clone()).or_insert(price);
                self.last.insert(base, price);
            }
            "order_update" => {
                let (id, status) = (line.text("client_order_id"), line.text("status"));
                if ["ACCEPTED", "REJECTED", "CANCELLED"].contains(&status.as_str()) {
                    self.point();
                    self.placed.entry(id.clone()).or_insert((line.id, line.ts()));
                }
                self.statuses.insert(id, status);
            }
            "fill" => self.fill(line),
            "account" => {
                let balances: Vec<HashMap<String, Box<RawValue>>> =
                    serde_json::from_str(line.data["balances"].get()).expect("balances");
                for balance in balances {
                    let asset = balance["asset"].get().trim_matches('"').to_owned();
                    let held = amount(balance["free"].get()) + amount(balance["locked"].get());
                    self.balances.insert(asset, held);
                }
                self.point();
            }
            "order_state" => {}
            other => panic!("{other}"),
        }
    }

    fn fill(&mut self, line: &Line) {
        let (placed_id, placed_ts) = self.placed[&line.text("client_order_id")];
        assert!(placed_id < line.id && placed_ts <= line.ts(), "a fill before its order");
        let (qty, price) = (line.amount("qty"), line.amount("price"));
        let traded = self.traded.entry(line.text("symbol")).or_default();
        traded.fills += 1;
        traded.maker += u64::from(line.text("liquidity") == "MAKER");
        traded.volume += product(price, qty);
        if line.text("side") == "BUY" {
            traded.bought += qty;
            traded.cash -= product(price, qty);
        } else {
            traded.sold += qty;
            traded.cash += product(price, qty);
        }
        *self.fees.entry(line.text("fee_asset")).or_default() += line.amount("fee");
    }

    /// What balances are worth; what has had no price yet is worth its first one.
    fn worth(&self, balances: &Amounts, prices: &Amounts) -> i128 {
        let value = |(asset, held): (&String, &i128)| match asset.as_str() {
            "USDT" => *held,
            _ => match prices.get(asset).or_else(|| self.first.get(asset)) {
                Some(price) => valued(*held, *price),
                None => 0,
            },
        };
        balances.iter().map(value).sum()
    }

    fn drawdown(&self) -> i128 {
        let (mut peak, mut deepest) = (i128::MIN, 0);
        for (balances, prices) in self.points.iter().filter(|(balances, _)| !balances.is_empty()) {
            let equity = self.worth(balances, prices);
            peak = peak.max(equity);
            deepest = deepest.max(peak - equity);
        }
        deepest
    }
}

/// Both captures in one, by time.
fn merged() -> Option<tempfile::NamedTempFile> {
    let (btc, eth) = (recorded(BTC)?, recorded(ETH)?);
    let mut command = Command::new("bash");
    let script = "set -o pipefail; sort -m -n <(zcat \"$0\") <(zcat \"$1\")";
    let output = command.args(["-c", script]).args([btc, eth]).output().expect("bash");
    assert!(output.status.success());
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(&output.stdout).expect("written");
    Some(file)
}

#[test]
fn the_report_is_what_the_events_say() {
    let Some(capture) = merged() else { return };
    let strategy = format!("python3 {}", needed("tests/clients/random_strategy.py").display());
    let balances = START.iter().map(|(asset, held)| format!("{asset}={held}"));
    let balances = balances.collect::<Vec<_>>().join(",");
    let args = ["--sim-balances", &balances, "--sim-fees", "maker=0.0002,taker=0.0007"];
    let mut run = Run::new(capture.path(), &strategy).with(&args);
    let report = run.succeed();
    let lines = run.text("events");
    let lines: Vec<Line> =
        lines.lines().map(|line| serde_json::from_str(line).expect("a line")).collect();
    let anew = Anew::read(&lines);
    assert_eq!(report["played"]["events"], Value::from(lines.len()));
    check_trades(&anew, &report);
    check_account(&anew, &report);
    check_orders(&anew, &report);
}

#[track_caller]
fn figure(value: &Value) -> i128 {
    amount(value.as_str().unwrap_or_else(|| panic!("{value} is no text")))
}

fn check_trades(anew: &Anew, report: &Value) {
    let pairs = report["pairs"].as_array().expect("pairs");
    assert_eq!(pairs.len(), PAIRS.len());
    for pair in pairs {
        let symbol = pair["symbol"].as_str().expect("a symbol");
        let traded = &anew.traded[symbol];
        assert!(traded.fills > 100 && traded.maker > 10, "{symbol}: {traded:?} is little");
        assert!(traded.fills - traded.maker > 10, "{symbol}: {traded:?} is little");
        assert_eq!(pair["fills"], Value::from(traded.fills));
        assert_eq!(pair["maker"], Value::from(traded.maker));
        assert_eq!(pair["taker"], Value::from(traded.fills - traded.maker));
        assert_eq!(figure(&pair["bought"]), traded.bought);
        assert_eq!(figure(&pair["sold"]), traded.sold);
        assert_eq!(figure(&pair["volume"]), traded.volume);
        let position = traded.bought - traded.sold;
        assert_eq!(figure(&pair["position"]), position);
        let last = anew.last[symbol.strip_suffix("USDT").expect("of USDT")];
        assert_eq!(figure(&pair["last"]), last);
        // By whatever method: what is closed and what is open are together what came in, and what is left.
        let both = figure(&pair["realised"]) + figure(&pair["unrealised"]);
        assert_eq!(both, traded.cash + product(position, last), "{symbol}");
    }
}

fn check_account(anew: &Anew, report: &Value) {
    let start: Amounts =
        START.iter().map(|(asset, held)| ((*asset).to_owned(), amount(held))).collect();
    let fee = |asset: &str| anew.fees.get(asset).copied().unwrap_or_default();
    let assets = report["assets"].as_array().expect("assets");
    assert_eq!(assets.len(), START.len());
    for asset in assets {
        let name = asset["asset"].as_str().expect("a name");
        assert_eq!(figure(&asset["start"]), start[name]);
        assert_eq!(figure(&asset["end"]), anew.balances[name]);
        assert_eq!(figure(&asset["fees"]), fee(name));
        // Nothing comes from nowhere, and nothing goes there.
        let moved = match PAIRS.iter().find(|(_, base)| *base == name) {
            Some((symbol, _)) => anew.traded[*symbol].bought - anew.traded[*symbol].sold,
            None if name == "USDT" => anew.traded.values().map(|traded| traded.cash).sum(),
            None => 0,
        };
        assert_eq!(anew.balances[name], start[name] + moved - fee(name), "{name}");
        assert_eq!(asset["value"].is_null(), name == "SOL", "what has no price is not counted");
    }
    let equity = &report["equity"];
    let first = anew.worth(&start, &BTreeMap::new());
    let end = anew.worth(&anew.balances, &anew.last);
    let held = anew.worth(&start, &anew.last);
    assert_eq!(figure(&equity["start"]), first);
    assert_eq!(figure(&equity["end"]), end);
    assert_eq!(figure(&equity["held"]), held);
    assert_eq!(figure(&equity["pnl"]), end - held);
    let fees: i128 = anew.worth(&anew.fees, &anew.last);
    assert_eq!(figure(&equity["fees"]), fees);
    assert_eq!(figure(&equity["return"]), (end - first) * 100_000_000 / first * 100_000_000);
    assert_eq!(figure(&equity["drawdown"]["amount"]), anew.drawdown());
    assert!(anew.drawdown() > UNIT, "a drawdown to speak of");
    // Both pairs are priced in USDT, so that the result is the sum of its parts.
    let pairs = report["pairs"].as_array().expect("pairs").iter();
    let results: i128 = pairs.map(|p| figure(&p["realised"]) + figure(&p["unrealised"])).sum();
    assert_eq!(figure(&equity["pnl"]), results - fees);
}

fn check_orders(anew: &Anew, report: &Value) {
    let orders = &report["orders"];
    assert_eq!(orders["total"], Value::from(anew.statuses.len()));
    let mut counted: BTreeMap<&str, u64> = BTreeMap::new();
    for status in anew.statuses.values() {
        *counted.entry(status).or_default() += 1;
    }
    let open = ["ACCEPTED", "PARTIALLY_FILLED"].map(|s| counted.remove(s).unwrap_or_default());
    assert_eq!(orders["open"].as_array().map(Vec::len), usize::try_from(open[0] + open[1]).ok());
    assert_eq!(orders["by_status"], serde_json::json!(counted));
    assert!(counted.len() > 2, "{counted:?} is little");
}
