//! The instruments of an exchange, from a stored answer of its `exchangeInfo`.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};
use veloz_core::exchange_info::ExchangeInfo;
use veloz_core::limits::EXCHANGE_INFO_BYTES;

use super::lines;

/// Reads an answer of Binance's `GET /api/v3/exchangeInfo`, plain or gzip (told by its content).
///
/// # Errors
/// Why it cannot be read, with the file's name.
pub fn read_exchange_info(path: &Path) -> Result<ExchangeInfo> {
    let shown = path.display();
    let file = lines::open(path).with_context(|| format!("cannot read {shown}"))?;
    let mut json = Vec::new();
    let most = u64::try_from(EXCHANGE_INFO_BYTES).unwrap_or(u64::MAX);
    file.take(most.saturating_add(1))
        .read_to_end(&mut json)
        .with_context(|| format!("cannot read {shown}"))?;
    if json.len() > EXCHANGE_INFO_BYTES {
        bail!("{shown} is longer than {EXCHANGE_INFO_BYTES} bytes");
    }
    ExchangeInfo::parse(&json)
        .with_context(|| format!("{shown} is not an answer of Binance's GET /api/v3/exchangeInfo"))
}
