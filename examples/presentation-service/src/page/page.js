"use strict";
// The page polls the list once a second, and opens a stream for each of a few live presentations.
// (A browser opens at most six connections to a service, and requests need some of them.)
const POLL = 1000;
const STREAMS = 3;

const list = document.getElementById("list");
const cards = new Map();
let since = null;
/** Offset of the service's clock to this machine's, in milliseconds. */
let ahead = 0;

const isLive = (status) => ["pending", "running", "stopping"].includes(status);
const now = () => Date.now() + ahead;

/** Formats milliseconds as words. */
function words(time) {
  const seconds = Math.max(0, Math.round(time / 1000));
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

function show(element, text) {
  element.textContent = text ?? "";
  element.hidden = !text;
}

async function call(path, options) {
  const response = await fetch(path, { cache: "no-store", ...options });
  if (response.ok) return response.json();
  const problem = await response.json().catch(() => ({ detail: `status ${response.status}`, remedy: "try again" }));
  const error = new Error(problem.remedy ? `${problem.detail}: ${problem.remedy}` : problem.detail);
  error.status = response.status;
  throw error;
}

/** The two numbers of a version. A later version has a larger first or second number. */
const numbers = (version) => version.split("-").map((number) => parseInt(number, 16));

/** Whether version `a` is later than `b`. Every version is later than none. */
function later(a, b) {
  if (b === null) return true;
  const [[step, revision], [other, earlier]] = [numbers(a), numbers(b)];
  return step > other || (step === other && revision > earlier);
}

class Card {
  constructor(id) {
    this.id = id;
    this.path = `/api/presentations/${id}`;
    this.version = null;
    /** The latest version of which every field is known, not only those of the list. */
    this.whole = null;
    this.view = null;
    this.stream = null;
    this.element = document.getElementById("card").content.firstElementChild.cloneNode(true);
    this.element.dataset.id = id;
    this.part = (name) => this.element.querySelector(name);
    this.part(".stop").addEventListener("click", () => this.act("DELETE", this.path));
    this.part(".cancel").addEventListener("click", () => this.act("DELETE", `${this.path}?force`));
    this.part(".retry").addEventListener("click", () => this.act("POST", `${this.path}/retry`));
    list.prepend(this.element);
  }

  async act(method, path) {
    const focused = this.element.contains(document.activeElement);
    show(this.part(".refusal"), null);
    try {
      this.update(await call(path, { method }));
    } catch (error) {
      show(this.part(".refusal"), error.message);
    }
    // The button may be hidden now: the focus moves to the card.
    if (focused && !this.element.contains(document.activeElement)) this.element.focus();
    poll();
  }

  /** Applies a newer version only, because an answer may arrive after a later event. */
  update(view) {
    if (this.version !== null && later(this.version, view.version)) return;
    this.version = view.version;
    if (view.payload !== undefined) this.whole = view.version;
    this.view = { ...this.view, ...view };
    this.draw();
  }

  heard(at) {
    if (this.view && at > this.view.last_heartbeat) {
      this.view.last_heartbeat = at;
      this.tick();
    }
  }

  draw() {
    const { status, progress, attempt, note, reason } = this.view;
    const { title, file, warnings = [] } = this.view.payload ?? {};
    this.element.dataset.status = status;
    this.part("h3").textContent = title ?? this.id;
    this.part(".status").textContent = status;
    this.part(".percent").textContent = `${progress.toFixed(1)} %`;
    this.part(".attempt").textContent = `attempt ${attempt}`;
    show(this.part(".note"), isLive(status) ? note : null);
    const bar = this.part("progress");
    bar.value = progress;
    bar.setAttribute("aria-label", `Progress of ${title ?? this.id}`);
    show(this.part(".reason"), reason);
    this.warn(warnings);
    this.part(".stop").hidden = status !== "pending" && status !== "running";
    this.part(".cancel").hidden = status !== "stopping";
    this.part(".retry").hidden = status !== "failed" && status !== "cancelled";
    const download = this.part(".download");
    const picture = this.part(".picture");
    download.hidden = picture.hidden = !file;
    if (file && download.getAttribute("href") !== file) {
      download.href = file;
      download.download = `${this.id}.gif`;
      picture.alt = `The slides of ${title ?? this.id}, one after the other`;
      picture.src = file;
    }
    if (!isLive(status)) this.close();
    this.tick();
  }

  /** Lists what the slides lack. */
  warn(warnings) {
    const list = this.part(".warnings");
    list.hidden = warnings.length === 0;
    list.replaceChildren(...warnings.map((warning) => {
      const item = document.createElement("li");
      item.textContent = warning;
      return item;
    }));
  }

  /** Updates the texts that change with time alone. */
  tick() {
    if (!this.view) return;
    const { last_heartbeat, removal_at } = this.view;
    this.part(".heartbeat").textContent = `${words(now() - Date.parse(last_heartbeat))} ago`;
    const live = isLive(this.view.status) ? "after its end" : "";
    this.part(".removal").textContent = removal_at ? `in ${words(Date.parse(removal_at) - now())}` : live;
  }

  async details() {
    try {
      this.update(await call(this.path));
    } catch (error) {
      // The presentation was removed meanwhile: the next list does not contain it.
      if (error.status === undefined) throw error;
    }
  }

  follow() {
    const stream = new EventSource(`${this.path}/events`);
    this.stream = stream;
    stream.addEventListener("state", (event) => this.update(JSON.parse(event.data)));
    stream.addEventListener("removed", (event) => this.update(JSON.parse(event.data)));
    stream.addEventListener("heartbeat", (event) => this.heard(JSON.parse(event.data).last_heartbeat));
    stream.addEventListener("error", () => {
      // Otherwise the browser reconnects, with the last event id.
      if (stream.readyState === EventSource.CLOSED) this.close();
    });
  }

  close() {
    this.stream?.close();
    this.stream = null;
  }

  remove() {
    this.close();
    this.element.remove();
    cards.delete(this.id);
  }
}

function forgetAll() {
  for (const card of [...cards.values()]) card.remove();
}

/** Reads the list of all presentations, in parts. */
async function listAll(signal) {
  const jobs = [];
  let cursor = "";
  let part;
  do {
    part = await call(`/api/presentations?limit=1000&cursor=${cursor}`, { signal });
    jobs.push(...part.jobs);
    cursor = part.next;
  } while (cursor);
  return { jobs, counts: part.counts, now: part.now };
}

/** Reads the service's own state, and all presentations. */
async function ask(signal) {
  const [about, listing] = await Promise.all([call("/api/service", { signal }), listAll(signal)]);
  return { ...about, ...listing };
}

async function take(listing) {
  ahead = Date.parse(listing.now) - Date.now();
  if (since !== null && since !== listing.since) {
    forgetAll();
    const at = new Date(listing.since).toLocaleTimeString();
    show(service, `The service was restarted at ${at}. Earlier presentations are gone.`);
  } else if (!listing.open) {
    show(service, "The service is shutting down. It accepts no more decks.");
  } else if (since === null || service.dataset.silent) {
    show(service, null);
  }
  delete service.dataset.silent;
  since = listing.since;
  const counts = Object.entries(listing.counts).filter(([, count]) => count > 0);
  const parts = counts.map(([status, count]) => `${count} ${status}`);
  document.getElementById("counts").textContent =
    `${listing.jobs.length} of at most ${listing.capacity}${parts.length ? `: ${parts.join(", ")}` : ""}`;

  const present = new Set(listing.jobs.map((line) => line.id));
  for (const card of [...cards.values()]) if (!present.has(card.id)) card.remove();
  document.getElementById("none").hidden = present.size > 0;
  const asked = [];
  for (const line of listing.jobs) {
    const card = cards.get(line.id) ?? new Card(line.id);
    cards.set(line.id, card);
    if (card.view && later(line.version, card.version)) card.update(line);
    // The list lacks the title, note, reason, times and file.
    if (card.whole === null || (later(line.version, card.whole) && !isLive(line.status))) asked.push(card.details());
    card.heard(line.last_heartbeat);
  }
  await Promise.all(asked);
  let streams = [...cards.values()].filter((card) => card.stream).length;
  for (const card of cards.values()) {
    if (streams < STREAMS && !card.stream && card.view && isLive(card.view.status)) {
      card.follow();
      streams += 1;
    }
  }
}

const service = document.getElementById("service");
let polling = null;

/** Runs one poll at a time; a call during a poll starts another right after it. */
function poll() {
  clearTimeout(poll.timer);
  if (polling) {
    poll.again = true;
    return;
  }
  poll.again = false;
  const answer = AbortSignal.timeout(10_000);
  polling = ask(answer)
    .then(take)
    .catch(() => {
      service.dataset.silent = "yes";
      show(service, "The service does not answer. This page keeps trying; its contents may be outdated.");
    })
    .finally(() => {
      polling = null;
      poll.timer = setTimeout(poll, poll.again ? 0 : POLL);
    });
}

setInterval(() => {
  for (const card of cards.values()) card.tick();
}, 500);

const form = document.getElementById("submit");
const fields = document.getElementById("fields");
const deck = document.getElementById("deck");
const title = document.getElementById("title");
const refusal = document.getElementById("refusal");

/**
 * Disables the form while `work` is under way, because the end of a submission clears the form, and a file replaces its
 * content. The focus then returns to the element that `work` returns, or to the previous one, unless it has moved.
 */
async function whileClosed(work) {
  const before = document.activeElement;
  fields.disabled = true;
  let next;
  try {
    next = await work();
  } finally {
    fields.disabled = false;
    // Chromium keeps a disabled element as the active one until it next renders.
    if ([document.body, before].includes(document.activeElement)) (next ?? before).focus();
  }
}

document.getElementById("file").addEventListener("change", (event) => {
  const [file] = event.target.files;
  if (!file) return;
  whileClosed(async () => {
    try {
      deck.value = await file.text();
    } catch {
      show(refusal, "The file cannot be read.");
      return;
    }
    title.value ||= file.name.replace(/\.[^.]*$/, "");
  });
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  show(refusal, null);
  whileClosed(async () => {
    try {
      await call("/api/presentations", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ title: title.value, deck: deck.value }),
      });
    } catch (error) {
      show(refusal, error.status === undefined ? "The service does not answer." : error.message);
      return;
    }
    form.reset();
    poll();
    return title;
  });
});

poll();
