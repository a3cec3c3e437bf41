//! Clients that end while the gateway itself ends their connections: because they have stalled, and because it shuts
//! down and drains its streams.

use std::time::{Duration, Instant};

use crate::support::{ClientProcess, Gateway, eventually};

use super::endings::{ENDS, End, REASONS, Step, begin_to_end, client, go, head, until};
use super::{FOLLOWERS, Loaded, under_load};

/// How long a client may take nothing: long enough for all of them to come so far.
const STALL: Duration = Duration::from_millis(1_500);
/// How long a shutdown waits for those who are not at the tail.
const DRAIN: Duration = Duration::from_secs(5);
/// Clients of each end that stall at about the same time, and how often.
const AT_ONCE: usize = 4;
const ROUNDS: usize = 2;

fn closed(gateway: &Gateway, reasons: &[&str]) -> u64 {
    let page = gateway.metrics();
    let of =
        |reason| page.value(&format!("veloz_stream_closes_total{{reason=\"{reason}\"}}")) as u64;
    reasons.iter().copied().map(of).sum()
}

/// Waits until the followers alone are connected; all that were opened besides are closed, each once.
fn followers_are_left(gateway: &Gateway) {
    eventually("the followers are left", || {
        let page = gateway.metrics();
        let attached = page.value("veloz_stream_attached_total") as u64;
        let connections = page.value("veloz_stream_connections") as u64;
        let left = attached.checked_sub(closed(gateway, &REASONS));
        (connections == FOLLOWERS as u64 && left == Some(connections)).then_some(())
    });
}

/// The gateway's handles without those of the traders, who come and go: looked at while none does.
fn handles_besides_traders(gateway: &Gateway) -> usize {
    let traders = || gateway.metrics().value("veloz_http_connections") as usize;
    eventually("no trader comes or goes", || {
        let (before, handles) = (traders(), gateway.handles());
        (traders() == before).then_some(handles - before)
    })
}

/// What brings a client into each state in which its socket takes no more.
fn blocked(gateway: &Gateway) -> [Vec<Step>; 3] {
    [
        vec![head(gateway, "?last_id=0"), until("id: 1\n")],
        vec![head(gateway, "?last_id=0&format=ndjson"), until("\"id\":1,")],
        vec![head(gateway, "?snapshot=1"), until("\"snapshot\":true")],
    ]
}

/// So many clients of each end that read no more.
fn blocked_clients(gateway: &Gateway, of_each: usize) -> Vec<(ClientProcess, End)> {
    let ends = ENDS.iter().cycle().take(of_each * ENDS.len());
    let mut clients: Vec<_> = ends.map(|end| (client(gateway), *end)).collect();
    for ((client, _), steps) in clients.iter_mut().zip(blocked(gateway).iter().cycle()) {
        go(client, steps);
    }
    eventually("they are blocked", || {
        (gateway.metrics().value("veloz_stream_blocked") as usize == clients.len()).then_some(())
    });
    clients
}

/// Ends them all; what the half closed ones heard at last.
fn end_all(clients: Vec<(ClientProcess, End)>) -> Vec<ClientProcess> {
    clients.into_iter().filter_map(|(client, end)| begin_to_end(client, end)).collect()
}

fn rest(half_closed: Vec<ClientProcess>) {
    for mut client in half_closed {
        client.ask("rest");
    }
}

fn ended_when_closed_as_stalled(gateway: &Gateway) {
    let clients = blocked_clients(gateway, 1);
    let all = clients.len() as u64;
    eventually("all are closed", || (closed(gateway, &["stalled"]) == all).then_some(()));
    rest(end_all(clients));
    followers_are_left(gateway);
    assert_eq!(closed(gateway, &["stalled"]), all);
}

/// The gateway finds that their time is up and that they have ended, both at once.
fn ended_when_their_time_was_up(gateway: &Gateway) {
    let (reasons, clients) = (["stalled", "peer"], blocked_clients(gateway, 1));
    let before = closed(gateway, &["peer"]);
    gateway.hold();
    let held = Instant::now();
    eventually("their time is up", || (held.elapsed() > STALL).then_some(()));
    let all = clients.len() as u64;
    let half_closed = end_all(clients);
    gateway.go_on();
    rest(half_closed);
    followers_are_left(gateway);
    assert_eq!(closed(gateway, &reasons), before + 2 * all, "the ones before stalled");
}

/// Some are closed already, some are about to be.
fn ended_in_the_midst_of_it(gateway: &Gateway) {
    let before = closed(gateway, &["stalled"]);
    let clients = blocked_clients(gateway, AT_ONCE);
    eventually("the first is closed", || (closed(gateway, &["stalled"]) > before).then_some(()));
    rest(end_all(clients));
    followers_are_left(gateway);
}

/// Those who have everything are closed, those who take nothing are waited for.
fn begin_to_drain(gateway: &Gateway) {
    gateway.begin_to_stop();
    eventually("the followers are closed", || {
        (closed(gateway, &["shutdown"]) >= FOLLOWERS as u64).then_some(())
    });
}

fn ended_in_the_drain(gateway: &mut Gateway) {
    let clients = blocked_clients(gateway, ENDS.len());
    let all = clients.len();
    begin_to_drain(gateway);
    rest(end_all(clients));
    assert_eq!(gateway.stopped().code(), Some(0));
    let said = gateway.said();
    // Nobody was waited for in vain: their ends were seen, each once.
    assert_eq!(said.matches("stream closed reason=\"peer\"").count(), all, "{said}");
}

/// The same, found only when the drain's time is up.
fn ended_at_the_end_of_the_drain(gateway: &mut Gateway) {
    let clients = blocked_clients(gateway, ENDS.len());
    begin_to_drain(gateway);
    gateway.hold();
    let held = Instant::now();
    eventually("the drain's time is up", || (held.elapsed() > DRAIN).then_some(()));
    let half_closed = end_all(clients);
    gateway.go_on();
    rest(half_closed);
    assert_eq!(gateway.stopped().code(), Some(0));
}

#[test]
fn who_ends_while_it_is_closed_takes_nothing_from_anybody() {
    let work = |Loaded { gateway, options, .. }: &mut Loaded| {
        assert_eq!(gateway.terminate().code(), Some(0));
        gateway.restart_with(options.clone().env("VELOZ_STALL_MS", STALL.as_millis()));
        followers_are_left(gateway);
        let handles = handles_besides_traders(gateway);
        ended_when_closed_as_stalled(gateway);
        ended_when_their_time_was_up(gateway);
        (0..ROUNDS).for_each(|_| ended_in_the_midst_of_it(gateway));
        eventually("the handles are back", || {
            (handles_besides_traders(gateway) <= handles).then_some(())
        });
        assert_eq!(gateway.terminate().code(), Some(0));
        for ended in [ended_in_the_drain, ended_at_the_end_of_the_drain] {
            gateway.restart_with(options.clone().env("VELOZ_LOG", "veloz::stream=debug,info"));
            followers_are_left(gateway);
            ended(gateway);
        }
        gateway.restart_with(options.clone());
    };
    under_load("closing", work, |_| {});
}
