import { defineConfig } from 'vite';

// `npm run dev` shows the page with a gateway that runs at VELOZ_URL (its own address: http://127.0.0.1:8080).
const gateway = process.env['VELOZ_URL'] ?? 'http://127.0.0.1:8080';

export default defineConfig({
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: {
    proxy: {
      '/api': { target: gateway, changeOrigin: true },
      '/health': { target: gateway, changeOrigin: true },
    },
  },
});
