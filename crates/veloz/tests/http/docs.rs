//! The examples of `docs/http-api.md`, run as they stand.

use std::process::Command;

use serde_json::Value;

use crate::harness::gateway;

const DOCUMENT: &str = include_str!("../../../../docs/http-api.md");

/// Each `bash` block with the `json` block behind it.
fn examples() -> Vec<(&'static str, &'static str)> {
    let block = |text: &'static str| text.split_once("```").map_or(text, |(block, _)| block);
    let examples = DOCUMENT.split("```bash\n").skip(1);
    examples
        .map(|text| {
            let answer = text.split_once("```json\n").expect("an answer behind each example").1;
            (block(text), block(answer))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_examples_work() {
    let g = gateway().await;
    let examples = examples();
    assert!(examples.len() > 10);
    for (command, wanted) in examples {
        let own = command.replace("127.0.0.1:8080", &g.address.to_string());
        let run = move || Command::new("sh").arg("-c").arg(own).output();
        let output = tokio::task::spawn_blocking(run).await.unwrap().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let got: Value =
            serde_json::from_str(&text).unwrap_or_else(|e| panic!("{command}{text}: {e}"));
        let wanted: Value = serde_json::from_str(wanted).unwrap();
        for (key, value) in wanted.as_object().unwrap() {
            let same_kind = std::mem::discriminant(value) == std::mem::discriminant(&got[key]);
            assert!(same_kind, "{command}: {key} is not {value} in {text}");
            let is_text = matches!(key.as_str(), "error" | "status" | "reason" | "client_order_id");
            assert!(!is_text || got[key] == *value, "{command}: {key} is not {value} in {text}");
        }
    }
}
