//! A pair of orders of which one at most is executed.

use clap::Args;
use veloz_client::{Client, ClientOrderId, PairRequest, Price, Qty, Side, Symbol, TimeInForce};

use super::error::CliError;
use super::output::Output;
use super::trade::{parse_symbol, placed_table, side_parser, tif_parser};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  veloz oco sell BTCUSDT 0.001 60000 --stop 45000
  veloz oco sell BTCUSDT 0.001 60000 --stop 45000 --stop-limit 44900
  veloz oco buy BTCUSDT 0.001 45000 --stop 60000 --id my-1     the stop is my-1-stop

The first that is executed or woken ends the other; taking back one takes back both. Of a sale the
limit is above the last price and the stop below it, of a purchase the other way round.
Exit code 3 when the gateway refuses the pair: stderr says why, and neither order stands.")]
pub(super) struct OcoArgs {
    /// buy or sell
    #[arg(value_parser = side_parser(), ignore_case = true)]
    side: Side,
    /// What to trade, such as BTCUSDT.
    #[arg(value_parser = parse_symbol)]
    symbol: Symbol,
    /// How much of the base asset.
    #[arg(allow_negative_numbers = true)]
    qty: Qty,
    /// The limit of the order that takes the profit; it never takes liquidity.
    #[arg(allow_negative_numbers = true)]
    price: Price,
    /// The price that wakes the order that ends the loss.
    #[arg(long, value_name = "PRICE")]
    stop: Price,
    /// The limit of that order; without it it goes at any price.
    #[arg(long, value_name = "PRICE")]
    stop_limit: Option<Price>,
    /// How long the stop with a limit stands once it is awake.
    #[arg(long, value_parser = tif_parser(), ignore_case = true, requires = "stop_limit")]
    tif: Option<TimeInForce>,
    /// An id of your own for the limit order, never used before: 1 to 31 of A-Z a-z 0-9 - _; longer ones need
    /// --stop-id.
    #[arg(long)]
    id: Option<ClientOrderId>,
    /// An id of your own for the stop; by default that of --id with -stop behind it.
    #[arg(long, requires = "id")]
    stop_id: Option<ClientOrderId>,
}

pub(super) async fn oco(
    client: &Client,
    args: &OcoArgs,
    output: &mut Output,
) -> Result<(), CliError> {
    let request = args.request()?;
    let [id, _] = request.ids();
    let placed = client.place_pair_with_retry(&request).await;
    let reply = placed.map_err(|source| CliError::of_placing(id, source))?;
    if output.json {
        return Ok(output.json(&reply)?);
    }
    placed_table(&reply.orders, output)
}

impl OcoArgs {
    fn request(&self) -> Result<PairRequest, CliError> {
        let mut pair = PairRequest::new(self.side, self.symbol, self.qty, self.price, self.stop);
        if let Some(limit) = self.stop_limit {
            pair = pair.stop_limit(limit);
        }
        if let Some(tif) = self.tif {
            pair = pair.stop_limit_time_in_force(tif);
        }
        let Some(id) = self.id else { return Ok(pair) };
        let derived = || {
            ClientOrderId::parse(&format!("{id}-stop")).map_err(|_| {
                CliError::Usage(
                    "--id is too long for -stop behind it: --stop-id names the stop".to_owned(),
                )
            })
        };
        Ok(pair.with_ids(id, self.stop_id.map_or_else(derived, Ok)?))
    }
}
