// The service as a process, and a browser for it.
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const PROGRAM = process.env.SERVICE ?? new URL("../../../target/debug/presentation-service", import.meta.url).pathname;
const BROWSER = process.env.CHROMIUM ?? "/usr/bin/chromium";

/** A running service with its own directory for files, or a replica on a store, with that of the store. */
export class Service {
  static async start({ port = 0, retention = "5m", store = null, more = [] } = {}) {
    const service = new Service();
    service.files = store?.files ?? mkdtempSync(join(tmpdir(), "page-tests-"));
    service.shares = store !== null;
    const place = store ? ["--store", store.url, "--files", store.files] : ["--output", service.files];
    const args = ["serve", "--port", String(port), "--retention", retention, ...place, ...more];
    service.process = spawn(PROGRAM, args, { stdio: ["ignore", "pipe", "inherit"] });
    service.ended = once(service.process, "exit");
    // A test that fails may not stop its service.
    process.once("exit", () => service.process.kill());
    for await (const line of createInterface({ input: service.process.stdout })) {
      const found = /^listening on (http:\/\/[^/]+:(\d+)\/)$/.exec(line);
      if (found) {
        [, service.url, service.port] = found;
        return service;
      }
    }
    throw new Error("the service does not listen");
  }

  /** Stops the service as a service manager does. Returns its exit code and the files that are left. */
  async stop() {
    this.process.stdout.resume();
    this.process.kill("SIGTERM");
    const [code] = await this.ended;
    const left = readdirSync(this.files);
    if (!this.shares) rmSync(this.files, { recursive: true });
    return { code, left };
  }
}

/** A Redis server with a directory for the files of replicas. */
export class Store {
  static async start() {
    const store = new Store();
    store.folder = mkdtempSync(join(tmpdir(), "page-tests-store-"));
    store.files = mkdtempSync(join(tmpdir(), "page-tests-"));
    const port = await freePort();
    const args = ["--bind", "127.0.0.1", "--port", String(port), "--appendonly", "yes", "--save", "", "--dir", store.folder];
    store.process = spawn("redis-server", args, { stdio: "ignore" });
    store.ended = once(store.process, "exit");
    process.once("exit", () => store.process.kill());
    store.url = `redis://127.0.0.1:${port}/`;
    for (let tries = 0; !(await accepts(port)); tries += 1) {
      if (tries > 1000 || store.process.exitCode !== null) throw new Error("the Redis server does not start");
      await new Promise((go) => setTimeout(go, 20));
    }
    return store;
  }

  async stop() {
    this.process.kill("SIGKILL");
    await this.ended;
    for (const folder of [this.folder, this.files]) rmSync(folder, { recursive: true });
  }
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  return port;
}

/** Whether something listens on a port. */
function accepts(port) {
  return new Promise((answer) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => answer(true)).once("error", () => answer(false));
    socket.once("connect", () => socket.end());
  });
}

export const browser = () =>
  chromium.launch({
    executablePath: BROWSER,
    // Chromium refuses its sandbox to root.
    args: process.getuid?.() === 0 ? ["--no-sandbox"] : [],
  });

/** Returns a deck of so many slides, in Markdown. */
export const deck = (slides) =>
  Array.from({ length: slides }, (_, i) => `# Slide ${i + 1}\n\n- one\n- two\n\nSome *text*, and \`code\`.`).join("\n\n---\n\n");
