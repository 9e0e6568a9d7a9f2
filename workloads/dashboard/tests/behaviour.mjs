// Checks in headless Chromium, against the mock, what only a browser shows: lost connections,
// readiness, groups, themes, load. Run `npm run build` before.
//
//   node tests/behaviour.mjs

import { spawn } from "node:child_process";
import assert from "node:assert/strict";
import { once } from "node:events";

import { chromium } from "playwright-core";

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const limit = { timeout: 20_000 };
let port = 8190;

/** Runs a check on a page of a mock of its own. */
async function check(name, settings, run) {
  port += 1;
  const mock = spawn(process.execPath, ["mock/server.mjs"], {
    env: { ...process.env, ...settings, MOCK_PORT: String(port) },
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(mock.stdout, "data");
  const url = `http://127.0.0.1:${port}/`;
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  const page = await context.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(error.message));
  try {
    await page.goto(url);
    await page.waitForSelector(".board tbody tr", limit);
    await run(page, url);
    assert.deepEqual(errors, []);
    console.log(`ok   ${name}`);
  } catch (error) {
    console.error(`FAIL ${name}\n${error.stack}`);
    process.exitCode = 1;
  } finally {
    await context.close();
    mock.kill();
  }
}

const health = (page, wanted) =>
  page.waitForFunction((text) => document.getElementById("health")?.dataset.health === text, wanted, limit);
const board = (page) => page.locator(".board tbody").innerText();

await check("a lost connection is named, and the page goes on by itself when it is back", {}, async (page, url) => {
  await health(page, "ready");
  await fetch(`${url}mock/down?ms=3000`, { method: "POST" });
  await health(page, "lost");
  assert.match(await page.locator("#banner").innerText(), /No connection/);
  await health(page, "ready");
  const before = await board(page);
  await page.waitForFunction((text) => document.querySelector(".board tbody")?.innerText !== text, before, limit);
  assert.equal(await page.locator("#banner").isVisible(), false);
});

await check("a pipeline that is not ready says why", { MOCK_READY: "no" }, async (page) => {
  await health(page, "notReady");
  assert.match(await page.locator("#banner").innerText(), /sink standings: the database is locked/);
});

await check("one of several groups is chosen, and the choice survives a reload", { MOCK_RACES: "3" }, async (page) => {
  await page.waitForFunction(() => document.querySelectorAll("#group option").length === 3, undefined, limit);
  await page.selectOption("#group", "heat-2");
  await page.reload();
  await page.waitForFunction(() => document.getElementById("group")?.value === "heat-2", undefined, limit);
});

await check("texts from outside are shown as texts", {}, async (page) => {
  await page.waitForSelector(".dead-preview", limit);
  assert.equal(await page.locator("main script").count(), 0);
  assert.match(await page.locator(".dead").innerText(), /<script>alert\(1\)<\/script>/);
});

await check("the theme is chosen by keyboard and kept", {}, async (page) => {
  await page.locator("#theme").focus();
  await page.keyboard.press("Enter");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "dark");
  await page.reload();
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "dark");
});

await check("an event is listed once, however often the connection was lost", {}, async (page, url) => {
  await health(page, "ready");
  await page.waitForSelector(".event", limit);
  for (let i = 0; i < 3; i += 1) {
    await fetch(`${url}mock/down?ms=300`, { method: "POST" });
    await page.waitForTimeout(1500);
  }
  await health(page, "ready");
  const texts = await page.locator(".event").evaluateAll((items) => items.map((item) => `${item.querySelector("time")?.dateTime} ${item.textContent}`));
  assert.equal(new Set(texts).size, texts.length);
});

await check("nothing shifts while values change", {}, async (page) => {
  await page.waitForSelector(".event", limit);
  await page.waitForTimeout(2500);
  const shift = await page.evaluate(() => new Promise((resolve) => {
    let sum = 0;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) sum += entry.value;
    }).observe({ type: "layout-shift", buffered: false });
    setTimeout(() => resolve(sum), 5000);
  }));
  assert.ok(shift < 0.02, `layout shift ${shift}`);
});

await check("thousands of records a second do not freeze the page", { MOCK_RACES: "100" }, async (page) => {
  await page.waitForTimeout(4000);
  const frames = await page.evaluate(() => new Promise((resolve) => {
    let count = 0;
    const end = performance.now() + 4000;
    const frame = (now) => {
      count += 1;
      if (now < end) requestAnimationFrame(frame);
      else resolve(count / 4);
    };
    requestAnimationFrame(frame);
  }));
  console.log(`     ${frames.toFixed(0)} frames/s`);
  assert.ok(frames > 5, `${frames} frames a second`);
});

await check("charts show a line for each series, from history and live", {}, async (page) => {
  await page.waitForFunction(() => document.querySelectorAll(".chart canvas").length === 2, undefined, limit);
  await page.waitForFunction(() => document.querySelectorAll(".chart-legend")[1]?.children.length === 6, undefined, limit);
  const before = await page.locator(".chart-legend").first().innerText();
  await page.waitForFunction((text) => document.querySelector(".chart-legend")?.innerText !== text, before, limit);
});

await check("all streams share one connection", {}, async (page) => {
  const opened = [];
  page.on("request", (request) => { if (request.url().includes("/events?")) opened.push(request.url()); });
  await page.reload();
  const before = await page.locator(".chart-legend").last().innerText();
  await page.waitForFunction((text) => [...document.querySelectorAll(".chart-legend")].at(-1)?.innerText !== text, before, limit);
  await page.waitForTimeout(1000);
  assert.equal(opened.length, 1);
});

await check("the API is tried on a page of its own", {}, async (page, url) => {
  await page.goto(`${url}openapi`);
  await page.locator("summary", { hasText: "records" }).click();
  await page.locator("details[open] input").first().fill("laps");
  await page.locator("details[open] .send").click();
  await page.waitForFunction(() => document.querySelector("details[open] .answer-status")?.textContent.startsWith("200"), undefined, limit);
  assert.match(await page.locator("details[open] .answer").innerText(), /"records"/);
});

await browser.close();
