// The service as a process, and a browser for it.
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const PROGRAM = process.env.SERVICE ?? new URL("../../../target/debug/presentation-service", import.meta.url).pathname;
const BROWSER = process.env.CHROMIUM ?? "/usr/bin/chromium";

/** A running service with its own directory for files. */
export class Service {
  static async start({ port = 0, retention = "5m", more = [] } = {}) {
    const service = new Service();
    service.files = mkdtempSync(join(tmpdir(), "page-tests-"));
    const args = ["serve", "--port", String(port), "--retention", retention, "--output", service.files, ...more];
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
    rmSync(this.files, { recursive: true });
    return { code, left };
  }
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
