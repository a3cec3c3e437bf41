//! The dashboard in a real browser, over a recorded market that is played line by line: what a trader
//! does and sees (the steps are in `tests/clients/dashboard.mjs`), and a gateway killed under the page.

use std::process::Command;

use serde_json::json;

use crate::support::{Capture, ClientProcess, Proxy, eventually, needed, root};

#[test]
fn a_trader_sees_all_of_it_through_a_crash() {
    needed("tests/clients/node_modules/playwright-core");
    needed("web/dist/index.html");
    let capture = Capture::book(&[("99.00", "1.0")], &[("100.00", "0.5"), ("101.00", "5.0")]);
    let mut gateway = capture.trade("SELL", "99.00", "0.1").play();
    gateway.step(1);
    let proxy = Proxy::start(gateway.address(), true);
    let mut command = Command::new("node");
    command.arg(root().join("tests/clients/dashboard.mjs"));
    let mut page = ClientProcess::start(command.arg(format!("http://{}/", proxy.address())));
    wait_for(&mut page, "kill");
    gateway.kill();
    wait_for(&mut page, "lost");
    let gateway = gateway.again();
    let order = json!({"side": "BUY", "symbol": "BTCUSDT", "qty": "0.2", "price": "98",
        "client_order_id": "while-away"});
    assert_eq!(gateway.post("/api/order", &order).status, 200);
    proxy.set_target(gateway.address());
    wait_for(&mut page, "done");
}

/// Waits until the page's driver says this word.
fn wait_for(page: &mut ClientProcess, word: &str) {
    eventually(&format!("the dashboard's driver says {word:?}"), || {
        if page.lines().iter().any(|line| line == word) {
            return Some(());
        }
        let ended = page.ended();
        assert!(ended.is_none(), "{ended:?}: {}", page.complaints().join("\n"));
        None
    });
}
