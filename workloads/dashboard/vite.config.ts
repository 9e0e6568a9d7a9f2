import { defineConfig } from "vite";

// Where the API is during `npm run dev`: the mock (`npm run mock`) or a running pipeline.
const api = process.env.MILLRACE_URL ?? "http://127.0.0.1:8090";

export default defineConfig({
  root: "page",
  // The page may be served below any path.
  base: "./",
  server: { proxy: { "/api": { target: api, changeOrigin: true }, "/openapi.json": { target: api, changeOrigin: true } } },
  build: {
    outDir: "../dist",
    emptyOutDir: true,
    target: "es2022",
    // A strict content security policy allows neither inline scripts nor data URLs.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: { input: { index: "page/index.html", openapi: "page/openapi.html" } },
  },
});
