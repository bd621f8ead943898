// The page in a real browser, with the real service.
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Service, Store, browser, deck } from "./service.mjs";

const SHOTS = process.env.SCREENSHOTS ?? new URL("../../../target/page-tests", import.meta.url).pathname;
const SLOW = { timeout: 60_000 };

let chromium;
before(async () => {
  mkdirSync(SHOTS, { recursive: true });
  chromium = await browser();
});
after(() => chromium?.close());

/** Records every value of each bar inside the page, even if it is visible for an instant only. */
function recordBars() {
  window.bars = [];
  const note = (bar) => {
    const card = bar.closest(".card");
    if (card) window.bars.push([card.dataset.id, card.querySelector(".attempt").textContent, bar.value]);
  };
  new MutationObserver((changes) => {
    for (const { target } of changes) if (target.tagName === "PROGRESS") note(target);
  }).observe(document, { subtree: true, attributes: true, attributeFilter: ["value"] });
}

/** Opens the page. The test fails on any error, dialog, or request to another host. */
async function open(t, service, { width = 1280, height = 900 } = {}) {
  const context = await chromium.newContext({ viewport: { width, height }, acceptDownloads: true });
  const page = await context.newPage();
  const wrong = [];
  page.on("pageerror", (error) => wrong.push(String(error)));
  page.on("dialog", (dialog) => wrong.push(`dialog: ${dialog.message()}`));
  page.on("request", (request) => {
    if (!request.url().startsWith(service.url) && !request.url().startsWith("data:")) wrong.push(request.url());
  });
  await page.addInitScript(recordBars);
  await page.goto(service.url);
  t.after(async () => {
    await context.close();
    assert.deepEqual(wrong, []);
  });
  return page;
}

async function submit(page, title, markdown) {
  await page.getByLabel("Title").fill(title);
  await page.getByLabel("Deck, in Markdown").fill(markdown);
  await page.getByRole("button", { name: "Submit" }).click();
  const card = page.locator(".card", { hasText: title });
  await card.waitFor(SLOW);
  await formIsOpen(page); // the card can be there before the answer is
  return card;
}

const formIsOpen = (page) => page.locator("fieldset:enabled").waitFor(SLOW);

const reaches = (card, status) => card.locator(`xpath=self::*[@data-status="${status}"]`).waitFor(SLOW);
const value = (card) => card.locator("progress").evaluate((bar) => bar.value);
const shot = (page, name) => page.screenshot({ path: join(SHOTS, `${name}.png`), fullPage: true });

async function untilOver(card, percent) {
  const deadline = Date.now() + SLOW.timeout;
  while ((await value(card)) <= percent) {
    assert.ok(Date.now() < deadline, "the bar stands still");
    await new Promise((go) => setTimeout(go, 5));
  }
}

async function started(t, options) {
  const service = await Service.start(options);
  t.after(async () => {
    if (service.process.exitCode === null) await service.stop();
  });
  return service;
}

test("five decks at once: bars never shrink, and each presentation ends with its picture", async (t) => {
  const service = await started(t);
  const page = await open(t, service);
  const cards = [];
  for (let number = 1; number <= 4; number += 1) cards.push(await submit(page, `Deck ${number}`, deck(40)));
  const file = join(SHOTS, "Fifth deck.md");
  writeFileSync(file, deck(40));
  await page.getByLabel("or a file").setInputFiles(file);
  await formIsOpen(page);
  assert.equal(await page.getByLabel("Title").inputValue(), "Fifth deck");
  await page.getByRole("button", { name: "Submit" }).click();
  cards.push(page.locator(".card", { hasText: "Fifth deck" }));
  await cards[4].waitFor(SLOW);
  await shot(page, "five-decks-running");
  for (const card of cards) {
    await reaches(card, "completed");
    assert.equal(await value(card), 100);
    const picture = card.locator("img");
    await picture.scrollIntoViewIfNeeded();
    await page.waitForFunction((img) => img.complete && img.naturalWidth > 0, await picture.elementHandle(), SLOW);
  }
  await page.getByText("5 of at most 64: 5 completed").waitFor(SLOW);
  await shot(page, "five-decks-completed");

  const bars = await page.evaluate(() => window.bars);
  const last = new Map();
  for (const [id, , now] of bars) {
    assert.ok(now >= (last.get(id) ?? 0), `${id}: from ${last.get(id)} to ${now}`);
    last.set(id, now);
  }
  assert.equal(last.size, 5);
  const between = bars.filter(([, , now]) => now > 0 && now < 100).length;
  assert.ok(between >= 20, `only ${between} values between begin and end`);

  const [download] = await Promise.all([page.waitForEvent("download"), cards[0].getByText("Download").click()]);
  assert.match(download.suggestedFilename(), /\.gif$/);
});

test("a presentation is stopped and retried, with the keyboard alone", async (t) => {
  const service = await started(t);
  const page = await open(t, service);
  await page.getByLabel("Title").focus();
  await page.keyboard.type("By hand");
  await page.keyboard.press("Tab");
  await page.keyboard.insertText(deck(60));
  await page.keyboard.press("Tab"); // the file
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  const card = page.locator(".card", { hasText: "By hand" });
  await untilOver(card, 0);
  await card.getByRole("button", { name: "Stop" }).focus();
  await page.keyboard.press("Space");
  // The painter ends it after the slide that it draws.
  await reaches(card, "cancelled");
  await card.getByText("stopped by a client").waitFor(SLOW);
  assert.ok((await value(card)) < 100);
  await shot(page, "cancelled");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Retry");
  await page.keyboard.press("Enter");
  await card.getByText("attempt 2").waitFor(SLOW);
  await reaches(card, "completed");
});

test("a presentation shows what is drawn, and is cancelled at once while it is stopping", async (t) => {
  const service = await started(t);
  const page = await open(t, service);
  const card = await submit(page, "Noted", deck(60));
  await card.getByText(/^slide \d+ of 60$/).waitFor(SLOW);
  // The page is told that the presentation stops, and the service is not, so that it goes on.
  await page.route("**/api/presentations/*", async (route) => {
    const response = await route.fetch({ method: "GET" });
    const json = { ...(await response.json()), status: "stopping", reason: "stopped by a client" };
    json.version = `f${json.version}`;
    await route.fulfill({ response, json });
  });
  await card.getByRole("button", { name: "Stop" }).click();
  await reaches(card, "stopping");
  await shot(page, "stopping");
  await page.unroute("**/api/presentations/*");
  await card.getByRole("button", { name: "Cancel at once" }).click();
  await page.reload();
  await reaches(card, "cancelled");
  await card.getByText("cancelled by a client").waitFor(SLOW);
});

test("a removal is announced and shown", async (t) => {
  const service = await started(t, { retention: "3s" });
  const page = await open(t, service);
  const card = await submit(page, "Short-lived", deck(1));
  await reaches(card, "completed");
  await card.getByText(/^in [0-3] s$/).waitFor(SLOW);
  await card.waitFor({ state: "detached", ...SLOW });
  assert.ok(await page.getByText("No presentations yet.").isVisible());
});

test("a reload continues with the current progress", async (t) => {
  const service = await started(t);
  const page = await open(t, service);
  const card = await submit(page, "Reloaded", deck(60));
  await untilOver(card, 5);
  const seen = await value(card);
  await page.reload();
  await card.waitFor(SLOW);
  await untilOver(card, seen - 0.001);
  const first = (await page.evaluate(() => window.bars))[0];
  assert.ok(first[2] >= seen, `from ${seen} to ${first[2]}`);
  await reaches(card, "completed");
});

test("a restart of the service is shown", async (t) => {
  const service = await started(t);
  const page = await open(t, service);
  const card = await submit(page, "Before", deck(1));
  await reaches(card, "completed");
  const stopped = await service.stop();
  assert.deepEqual(stopped, { code: 0, left: [] });
  await page.getByText("does not answer").waitFor(SLOW);
  assert.ok(await card.isVisible());
  await shot(page, "no-answer");
  await started(t, { port: service.port });
  await page.getByText("was restarted").waitFor(SLOW);
  await card.waitFor({ state: "detached", ...SLOW });
  await shot(page, "restarted");
  await reaches(await submit(page, "After", deck(1)), "completed");
});

test("the page of one replica follows a presentation that another one draws", async (t) => {
  const store = await Store.start();
  const ours = await started(t, { store });
  const theirs = await started(t, { store });
  t.after(() => store.stop()); // after the replicas
  const page = await open(t, ours);
  const submitted = await fetch(`${theirs.url}api/presentations`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ title: "Drawn elsewhere", deck: deck(40) }),
  });
  assert.equal(submitted.status, 202);
  const card = page.locator(".card", { hasText: "Drawn elsewhere" });
  await untilOver(card, 0);
  await card.getByText(/^slide \d+ of 40$/).waitFor(SLOW);
  await reaches(card, "completed");
  assert.equal(await value(card), 100);
  const bars = (await page.evaluate(() => window.bars)).map(([, , now]) => now);
  assert.ok(bars.every((now, index) => index === 0 || now >= bars[index - 1]), String(bars));
  assert.ok(bars.filter((now) => now > 0 && now < 100).length >= 5, String(bars));

  // The replica that has drawn it stops. The page goes on, with the picture from the shared files.
  const { code, left } = await theirs.stop();
  assert.deepEqual([code, left.length], [0, 1]);
  await page.reload();
  await reaches(card, "completed");
  const picture = card.locator("img");
  await picture.scrollIntoViewIfNeeded();
  await page.waitForFunction((img) => img.complete && img.naturalWidth > 0, await picture.elementHandle(), SLOW);
  assert.ok(await page.locator("#service").isHidden());
});

test("the page fits a phone", async (t) => {
  const service = await started(t);
  const page = await open(t, service, { width: 360, height: 740 });
  const card = await submit(page, "A title that is long enough to need more than one line of a phone", deck(2));
  await reaches(card, "completed");
  await card.locator("img").scrollIntoViewIfNeeded();
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.equal(wide, 360);
  for (const target of await page.locator("button:visible, a:visible").all()) {
    const { height } = await target.boundingBox();
    assert.ok(height >= 44, `${height} px are too few for a thumb`);
  }
  await shot(page, "phone");
});

test("text stays text, and refusals are shown", async (t) => {
  const service = await started(t);
  const page = await open(t, service);
  const title = `<img src=x onerror=alert(1)><script>alert(2)</script>"'`;
  const card = await submit(page, title, deck(1));
  await reaches(card, "completed");
  assert.equal(await card.locator("h3").textContent(), title);
  assert.equal(await card.locator("h3 *").count(), 0);
  await page.getByLabel("Title").fill("No slides");
  await page.getByLabel("Deck, in Markdown").fill("---");
  await page.getByRole("button", { name: "Submit" }).click();
  const refusal = page.locator("#refusal");
  await refusal.waitFor(SLOW);
  assert.match(await refusal.textContent(), /write Markdown/);
  assert.equal(await page.getByLabel("Title").inputValue(), "No slides");
});

test("a form being submitted accepts no input, and the focus stays where the user moves it", async (t) => {
  const service = await started(t);
  const page = await open(t, service);
  let answered;
  const held = new Promise((go) => (answered = go));
  await page.route("**/api/presentations", async (route) => {
    if (route.request().method() !== "POST") return route.continue();
    const response = await route.fetch();
    await held;
    await route.fulfill({ response });
  });
  const title = page.getByLabel("Title");
  await title.fill("Slowly answered");
  await page.getByLabel("Deck, in Markdown").fill(deck(60));
  await title.press("Enter");
  const card = page.locator(".card", { hasText: "Slowly answered" });
  await card.waitFor(SLOW);
  await page.keyboard.type("lost?");
  assert.equal(await title.inputValue(), "Slowly answered");
  const stop = card.getByRole("button", { name: "Stop" });
  await stop.focus();
  answered();
  await formIsOpen(page);
  assert.equal(await title.inputValue(), "");
  assert.ok(await stop.evaluate((button) => button === document.activeElement));

  await page.unroute("**/api/presentations");
  await title.fill("Refused");
  await page.getByLabel("Deck, in Markdown").fill("---");
  await title.press("Enter");
  await page.locator("#refusal").waitFor(SLOW);
  await formIsOpen(page);
  assert.ok(await title.evaluate((input) => input === document.activeElement));
  await page.getByLabel("Deck, in Markdown").fill("# One slide");
  await title.press("Enter");
  const next = page.locator(".card", { hasText: "Refused" });
  await next.waitFor(SLOW);
  await formIsOpen(page);
  assert.ok(await title.evaluate((input) => input === document.activeElement));
});

test("a form that reads a file accepts no input", async (t) => {
  const service = await started(t);
  const page = await open(t, service);
  await page.evaluate(() => {
    const read = File.prototype.text;
    const held = new Promise((go) => (window.goOn = go));
    File.prototype.text = async function () {
      await held;
      return read.call(this);
    };
  });
  const markdown = page.getByLabel("Deck, in Markdown");
  await markdown.focus();
  await page.getByLabel("or a file").setInputFiles({ name: "Read.md", mimeType: "text/markdown", buffer: Buffer.from("# Read") });
  await page.keyboard.type("lost?");
  assert.equal(await markdown.inputValue(), "");
  await page.evaluate(() => window.goOn());
  await formIsOpen(page);
  assert.equal(await markdown.inputValue(), "# Read");
  assert.equal(await page.getByLabel("Title").inputValue(), "Read");
});
