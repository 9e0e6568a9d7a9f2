// Opens a dashboard in headless Chromium, checks that it lives, and takes a picture of it.
//
//   node tests/screenshot.mjs URL WIDTHxHEIGHT OUT.png [--theme light|dark] [--entities 6]
//        [--wait SECONDS] [--full] [--no-checks]
//
// Checks: as many entities as asked for are on the board and move on the map, values change, and
// the console shows no error. Exits with 1 and says why if one does not hold. `CHROMIUM` names
// another browser than /usr/bin/chromium.

import { parseArgs } from "node:util";

import { chromium } from "playwright-core";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    theme: { type: "string", default: "light" },
    entities: { type: "string", default: "6" },
    wait: { type: "string", default: "4" },
    full: { type: "boolean", default: false },
    "no-checks": { type: "boolean", default: false },
  },
});
const [url, size, out] = positionals;
const [width, height] = (size ?? "").split("x").map(Number);
if (!url || !width || !height || !out) {
  console.error("usage: node tests/screenshot.mjs URL WIDTHxHEIGHT OUT.png [--theme light|dark] [--entities 6]");
  process.exit(2);
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const problems = [];
try {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: values.theme, deviceScaleFactor: 1 });
  const page = await context.newPage();
  page.on("console", (message) => {
    if (message.type() === "error") problems.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => problems.push(`page: ${error.message}`));
  await page.goto(url);
  if (!values["no-checks"]) await check(page, Number(values.entities));
  await page.waitForTimeout(Number(values.wait) * 1000);
  await page.screenshot({ path: out, fullPage: values.full });
  const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  if (wider > 0) problems.push(`the page is ${wider} px wider than the window`);
} finally {
  await browser.close();
}
for (const problem of problems) console.error(problem);
process.exitCode = problems.length > 0 ? 1 : 0;

async function check(page, entities) {
  const limit = { timeout: 30_000 };
  await page.waitForFunction((n) => document.querySelectorAll(".board tbody tr").length === n, entities, limit)
    .catch(() => problems.push(`the board does not show ${entities} entities`));
  await page.waitForFunction((n) => document.getElementById("map")?.dataset.moving === String(n), entities, limit)
    .catch(() => problems.push(`the map does not show ${entities} moving entities`));
  const before = await page.locator(".board tbody").innerText().catch(() => "");
  await page.waitForFunction((text) => document.querySelector(".board tbody")?.innerText !== text, before, limit)
    .catch(() => problems.push("the values on the board do not change"));
  await page.waitForSelector(".event", limit).catch(() => problems.push("no event has come"));
  await page.waitForFunction(() => document.getElementById("health")?.dataset.health === "ready", undefined, limit)
    .catch(() => problems.push("the page does not say that the pipeline is ready"));
}
