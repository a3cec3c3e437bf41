//! Ten lines that trade: buys below the market, follows the order until it ends, and takes it back
//! when it did not fill within a hundred trades. Run it beside `veloz serve`.

#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use veloz_client::{Client, Event, OrderRequest, Price, Side, StreamItem, StreamOptions};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("VELOZ_URL").unwrap_or("http://127.0.0.1:8080".to_owned());
    let client = Client::new(&url)?;
    let symbol = "BTCUSDT".parse()?;
    let price = client.market(Some(symbol)).await?.price.ok_or("no price yet")?;
    let bid = Price::parse(&format!("{}", price.raw() / 100_000_000 - 1))?;
    let order = OrderRequest::limit(Side::Buy, symbol, "0.001".parse()?, bid);
    let since = Some(client.events(0, 1).await?.newest);
    println!("placed: {:?}", client.place_with_retry(&order).await?);

    let mut events = client.stream(StreamOptions { since, ..StreamOptions::default() });
    let mut trades = 0;
    while let Some(item) = events.next().await {
        let StreamItem::Event(event) = item? else { continue };
        match event.decode()? {
            Some(Event::Market(_)) => trades += 1,
            Some(Event::Fill(fill)) if fill.client_order_id == order.id() => println!("{fill:?}"),
            Some(Event::OrderState(state)) if state.client_order_id == order.id() => {
                println!("{state:?}");
                if state.status.is_some_and(|status| status.is_final()) {
                    break;
                }
            }
            _ => {}
        }
        if trades == 100 {
            client.cancel(order.id(), None).await?;
        }
    }
    Ok(())
}
