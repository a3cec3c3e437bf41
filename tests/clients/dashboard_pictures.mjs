// Pictures of the dashboard with orders, fills and positions: dark and light, from a phone to a wide screen.
//   node dashboard_pictures.mjs URL DIRECTORY
// `dark-1280.png` is the one in the README (docs/dashboard.png).
import assert from 'node:assert/strict';
import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { story } from './dashboard_page.mjs';

const [url, directory] = process.argv.slice(2);
const MOST_BYTES = 250_000;

async function trade() {
  const post = (path, body) => fetch(new URL(path, url), { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
  const { price } = await (await fetch(new URL('/api/market?symbol=BTCUSDT', url))).json();
  const at = (share) => (price * share).toFixed(2);
  const orders = [
    { side: 'BUY', qty: '0.25', type: 'MARKET' }, { side: 'SELL', qty: '0.1', type: 'MARKET' },
    { side: 'BUY', symbol: 'ETHUSDT', qty: '2', type: 'MARKET' },
    { side: 'BUY', qty: '0.4', price: at(0.9999) }, { side: 'BUY', qty: '0.15', price: at(0.9996) }, { side: 'SELL', qty: '0.2', price: at(1.0004) },
    { side: 'SELL', qty: '0.05', type: 'STOP_LOSS', stop_price: at(0.9993) },
    { side: 'BUY', qty: '0.1', price: at(1.1), type: 'LIMIT_MAKER' }, { side: 'BUY', qty: '0.1', price: at(0.9), time_in_force: 'IOC' },
  ];
  for (const order of orders) await post('/api/order', { symbol: 'BTCUSDT', ...order });
}

mkdirSync(directory, { recursive: true });
await trade();
for (const colorScheme of ['dark', 'light']) {
  for (const [width, height] of [[390, 844], [1280, 930], [2560, 1440]]) {
    await story(url, async (page, { shows, row }) => {
      await page.goto(url);
      await shows('#connection', 'Live');
      if (width < 1000) await page.getByRole('button', { name: 'Trade', exact: true }).click();
      else {
        await page.locator('#trades tbody tr').nth(4).waitFor();
        await shows('.earned', 'USDT');
        await row('open-orders', 'BTCUSDT').waitFor();
      }
      await page.locator('#qty').fill('0.05');
      await page.locator('#bids button').nth(2).click();
      const path = join(directory, `${colorScheme}-${width}.png`);
      await page.screenshot({ path });
      assert.ok(width > 2000 || statSync(path).size < MOST_BYTES, `${path} is too large`);
    }, { width, height }, { colorScheme });
  }
}
if (!process.exitCode) console.log('taken');
