// How Chromium is started here: Debian's, headless, and asking no host on the network for anything.
import { existsSync } from 'node:fs';

const executablePath = '/usr/bin/chromium';
if (!existsSync(executablePath)) {
  console.error(`${executablePath} is missing: run make setup`);
  process.exit(1);
}

export const launchOptions = {
  executablePath,
  args: [
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
  ],
};
