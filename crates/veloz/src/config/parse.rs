//! One function a kind of value: text to value, or the rule that it breaks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use veloz_core::latency::Latency;
use veloz_core::types::{Asset, Money, Qty, Symbol};

use super::{Durability, MarketSource, ReplaySpeed};

type Parsed<T> = Result<T, String>;

pub(super) fn host(text: &str) -> Parsed<IpAddr> {
    if text == "localhost" {
        return Ok(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    text.trim_start_matches('[')
        .trim_end_matches(']')
        .parse()
        .map_err(|_| "must be an IP address or localhost".to_owned())
}

/// A comma-separated list; empty entries are not counted.
pub(super) fn list(text: &str) -> Parsed<Vec<String>> {
    Ok(text.split(',').map(str::trim).filter(|t| !t.is_empty()).map(str::to_owned).collect())
}

/// Names by which the gateway may be asked, each with a port or without.
pub(super) fn hosts(text: &str) -> Parsed<Vec<String>> {
    let hosts = list(text)?;
    let is_name = |name: &str| {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        match address {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => !name.is_empty() && name.bytes().all(is_part),
        }
    };
    let is_host = |host: &&String| match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => {
            is_name(name) && port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok()
        }
        _ => is_name(host),
    };
    match hosts.iter().find(|host| !is_host(host)) {
        Some(wrong) => {
            Err(format!("{wrong:?} is no name such as desk.example or desk.example:8443"))
        }
        None => Ok(hosts),
    }
}

pub(super) fn origins(text: &str) -> Parsed<Vec<String>> {
    let origins = list(text)?;
    let is_origin = |origin: &String| {
        origin.parse::<http::Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.authority().is_some()
                && !origin.ends_with('/')
                && uri.path() == "/"
        })
    };
    match origins.iter().find(|o| !is_origin(o)) {
        Some(wrong) => Err(format!("{wrong:?} is no origin such as https://desk.example")),
        None => Ok(origins),
    }
}

/// A program and its arguments, as a shell would split them; there is no shell.
pub(super) fn command(text: &str) -> Parsed<Option<Vec<String>>> {
    let words = shell_words::split(text)
        .map_err(|_| "must be a program and its arguments, each quote closed".to_owned())?;
    match words.first() {
        None if text.is_empty() => Ok(None),
        Some(program) if !program.is_empty() => Ok(Some(words)),
        _ => Err("must name a program".to_owned()),
    }
}

pub(super) fn optional_count(text: &str) -> Parsed<Option<usize>> {
    match text {
        "" => Ok(None),
        _ => match text.parse() {
            Ok(count) if count > 0 => Ok(Some(count)),
            _ => Err("must be a whole number above 0".to_owned()),
        },
    }
}

pub(super) fn optional_seed(text: &str) -> Parsed<Option<u64>> {
    match text {
        "" => Ok(None),
        _ => text.parse().map(Some).map_err(|_| "must be a whole number, 0 to 2^64-1".to_owned()),
    }
}

pub(super) fn optional_path(text: &str) -> Parsed<Option<PathBuf>> {
    Ok((!text.is_empty()).then(|| PathBuf::from(text)))
}

/// Whether liquidity that was taken is there again at once.
pub(super) fn replenished(text: &str) -> Parsed<bool> {
    match text {
        "consumed" => Ok(false),
        "replenished" => Ok(true),
        _ => Err("must be consumed or replenished".to_owned()),
    }
}

pub(super) fn market_source(text: &str) -> Parsed<MarketSource> {
    match text {
        "sim" => Ok(MarketSource::Sim),
        "replay" => Ok(MarketSource::Replay),
        "none" => Ok(MarketSource::None),
        "binance" | "binance_rest" => {
            Err("must be sim, replay or none (Binance comes with a later version)".to_owned())
        }
        _ => Err("must be sim, replay or none".to_owned()),
    }
}

pub(super) fn durability(text: &str) -> Parsed<Durability> {
    match text {
        "process" => Ok(Durability::Process),
        "disk" => Ok(Durability::Disk),
        _ => Err("must be process or disk".to_owned()),
    }
}

pub(super) fn replay_speed(text: &str) -> Parsed<ReplaySpeed> {
    if text == "max" {
        return Ok(ReplaySpeed::Max);
    }
    match Qty::parse(text) {
        Ok(factor) if factor > Qty::ZERO => Ok(ReplaySpeed::Factor(factor)),
        _ => Err("must be max or a factor above 0, such as 20 or 0.5".to_owned()),
    }
}

pub(super) fn flag(text: &str) -> Parsed<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" | "" => Ok(false),
        _ => Err("must be 1 or 0 (true/false, yes/no, on/off)".to_owned()),
    }
}

pub(super) fn symbol(text: &str) -> Parsed<Symbol> {
    Symbol::parse(text).map_err(|e| format!("a symbol {e}"))
}

pub(super) fn symbols(text: &str) -> Parsed<Vec<Symbol>> {
    list(text)?.iter().map(|t| symbol(t)).collect()
}

/// Milliseconds, at least `least`, at most a day.
pub(super) fn millis(text: &str, least: u64) -> Parsed<Duration> {
    const MOST: u64 = 86_400_000;
    match text.parse() {
        Ok(millis) if (least..=MOST).contains(&millis) => Ok(Duration::from_millis(millis)),
        _ => Err(format!("must be milliseconds, a whole number from {least} to {MOST}")),
    }
}

pub(super) fn balances(text: &str) -> Parsed<Vec<(Asset, Money)>> {
    let rule = |entry: &str, why: &str| format!("{entry:?} {why}; such as USDT=100000,BTC=1");
    let mut balances: Vec<(Asset, Money)> = Vec::new();
    for entry in list(text)? {
        let (asset, amount) =
            entry.split_once('=').ok_or_else(|| rule(&entry, "is not ASSET=AMOUNT"))?;
        let asset = Asset::parse(asset.trim()).map_err(|e| rule(asset, &e.to_string()))?;
        let amount = Qty::parse(amount.trim()).map_err(|e| rule(&entry, &e.to_string()))?;
        if amount < Qty::ZERO {
            return Err(rule(&entry, "is below 0"));
        }
        if balances.iter().any(|(known, _)| *known == asset) {
            return Err(rule(&entry, "names an asset twice"));
        }
        balances.push((asset, Money::from(amount)));
    }
    Ok(balances)
}

/// `maker=0.001,taker=0.001`, each from 0 to below 1.
pub(super) fn fees(text: &str) -> Parsed<(Qty, Qty)> {
    let rule = || "must be maker=RATE,taker=RATE, each a fraction from 0 to below 1".to_owned();
    let (mut maker, mut taker) = (None, None);
    for entry in list(text)? {
        let (name, rate) = entry.split_once('=').ok_or_else(rule)?;
        let rate = Qty::parse(rate.trim()).map_err(|_| rule())?;
        if rate < Qty::ZERO || Money::from(rate) >= Money::from_raw(10_i128.pow(Money::SCALE)) {
            return Err(rule());
        }
        match name.trim() {
            "maker" if maker.is_none() => maker = Some(rate),
            "taker" if taker.is_none() => taker = Some(rate),
            _ => return Err(rule()),
        }
    }
    Ok((maker.ok_or_else(rule)?, taker.ok_or_else(rule)?))
}

/// `to=20,from=20,jitter=5`: milliseconds with up to six decimals, each from 0 to a minute; what is left out is 0.
pub(super) fn latency(text: &str) -> Parsed<Latency> {
    const MOST_NS: u64 = 60_000_000_000;
    let rule = || {
        "must be to=MS,from=MS and perhaps jitter=MS, each from 0 to 60000 milliseconds with up to six \
         decimals"
            .to_owned()
    };
    let (mut to, mut from, mut jitter) = (None, None, None);
    for entry in list(text)? {
        let (name, ms) = entry.split_once('=').ok_or_else(rule)?;
        // A quantity counts in 10^-8: a nanosecond is a hundred of them.
        let ms = Qty::parse(ms.trim()).ok().and_then(|ms| u64::try_from(ms.raw()).ok());
        let ns = ms.filter(|ms| ms.is_multiple_of(100)).map(|ms| ms / 100).ok_or_else(rule)?;
        let part = match name.trim() {
            "to" => &mut to,
            "from" => &mut from,
            "jitter" => &mut jitter,
            _ => return Err(rule()),
        };
        if ns > MOST_NS || part.replace(ns).is_some() {
            return Err(rule());
        }
    }
    let ns = Option::unwrap_or_default;
    Ok(Latency { to_ns: ns(to), from_ns: ns(from), jitter_ns: ns(jitter), seed: 0 })
}

/// `4GiB`, `500MB`, `1048576`.
pub(super) fn bytes(text: &str) -> Parsed<u64> {
    const UNITS: &[(&str, u64)] = &[
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
        ("kB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("", 1),
    ];
    with_unit(text, UNITS)
        .filter(|bytes| *bytes >= 1 << 20)
        .ok_or_else(|| "must be a size of at least 1MiB, such as 4GiB or 500MB".to_owned())
}

/// `24h`, `90d`, `30m`, `45s`.
pub(super) fn duration(text: &str) -> Parsed<Duration> {
    const UNITS: &[(&str, u64)] = &[("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)];
    with_unit(text, UNITS)
        .filter(|seconds| *seconds > 0)
        .map(Duration::from_secs)
        .ok_or_else(|| "must be a time such as 45s, 30m, 24h or 90d".to_owned())
}

/// A whole number and one of the units; an empty unit matches a bare number.
fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: std::fmt::Debug + PartialEq>(
        parse: impl Fn(&str) -> Parsed<T>,
        good: &[(&str, T)],
        bad: &[&str],
    ) {
        for (text, value) in good {
            assert_eq!(parse(text).as_ref(), Ok(value), "{text:?}");
        }
        for text in bad {
            assert!(parse(text).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn sizes_and_times() {
        check(
            bytes,
            &[("4GiB", 4 << 30), ("500MB", 500_000_000), ("1048576", 1 << 20), ("2 GiB", 2 << 30)],
            &["", "4", "GiB", "4gib", "-1GiB", "1.5GiB", "99999999999TiB", "1 2GiB"],
        );
        check(
            duration,
            &[("24h", Duration::from_secs(86_400)), ("45s", Duration::from_secs(45))],
            &["", "24", "h", "0s", "-1h", "1.5h", "24 hours"],
        );
        check(|t| millis(t, 100), &[("100", Duration::from_millis(100))], &["99", "", "1s", "1e3"]);
    }

    #[test]
    fn money() {
        let asset = |name: &str| Asset::parse(name).expect("an asset");
        let money = |text: &str| Money::parse(text).expect("money");
        check(
            balances,
            &[
                ("", vec![]),
                (
                    "USDT=0.5, BTC=1",
                    vec![(asset("USDT"), money("0.5")), (asset("BTC"), money("1"))],
                ),
            ],
            &["USDT", "USDT=", "USDT=-1", "USDT=NaN", "usdt=1", "USDT=1,USDT=2", "=1"],
        );
        let rate = |text: &str| Qty::parse(text).expect("a rate");
        check(
            fees,
            &[("maker=0,taker=0.001", (rate("0"), rate("0.001")))],
            &["", "maker=0", "maker=1,taker=0", "maker=-0.1,taker=0", "maker=0,maker=0", "a=1,b=2"],
        );
    }

    #[test]
    fn ways() {
        let way = |to_ns, from_ns, jitter_ns| Latency { to_ns, from_ns, jitter_ns, seed: 0 };
        check(
            latency,
            &[
                ("to=0,from=0", way(0, 0, 0)),
                ("to=20,from=5", way(20_000_000, 5_000_000, 0)),
                ("to=0.25, from=0.000001, jitter=60000", way(250_000, 1, 60_000_000_000)),
                ("from=1", way(0, 1_000_000, 0)),
            ],
            &[
                "20",
                "to",
                "to=",
                "to=-1",
                "to=60000.1",
                "to=0.0000001",
                "to=1,to=2",
                "too=1",
                "to=1ms",
            ],
        );
    }

    #[test]
    fn places_and_names() {
        check(
            host,
            &[
                ("localhost", IpAddr::V4(Ipv4Addr::LOCALHOST)),
                ("[::1]", "::1".parse().expect("ip")),
            ],
            &["", "example.com", "127.0.0.1:8080"],
        );
        let names =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        check(
            hosts,
            &[
                ("", vec![]),
                ("desk.example, my_box:8443,", names(&["desk.example", "my_box:8443"])),
                (
                    "10.0.0.7:80,[fe80::1],[fe80::1]:80",
                    names(&["10.0.0.7:80", "[fe80::1]", "[fe80::1]:80"]),
                ),
            ],
            &[
                "*", "a b", "http://a", "a:99999", "a:", "a:+1", "a/", ":80", "fe80::1", "[x]",
                "*.a", "me@a",
            ],
        );
        check(
            origins,
            &[("", vec![]), ("https://a.example:8443", vec!["https://a.example:8443".to_owned()])],
            &["*", "a.example", "https://a.example/", "https://a.example/x", "ftp://a.example"],
        );
        check(optional_count, &[("", None), ("5", Some(5))], &["0", "-1", "x"]);
        check(flag, &[("1", true), ("off", false)], &["2", "maybe"]);
        check(replay_speed, &[("max", ReplaySpeed::Max)], &["0", "-1", "fast", ""]);
        assert!(market_source("binance").is_err_and(|e| e.contains("later version")));
    }
}
