// Calls of BullMQ for the benchmark of the registry on Redis. The argument is the port of the server.
//
// Each line of the input is a call, a number of jobs and a number of calls in flight. The answer is the
// time that the calls took, in microseconds.
import { Queue, Worker } from 'bullmq';
import { createInterface } from 'node:readline';

const connection = { host: '127.0.0.1', port: Number(process.argv[2]), maxRetriesPerRequest: null };
const token = 'benchmark-token';
const name = 'decks';
const queue = new Queue(name, { connection });
// Without a processor, its jobs are taken one by one.
const hand = new Worker(name, null, { connection });
await Promise.all([queue.waitUntilReady(), hand.waitUntilReady()]);
let jobs = [];

// Makes a call for each of many jobs, with some in flight.
async function each(count, inFlight, call) {
  let next = 0;
  const lane = async () => {
    while (next < count) await call(next++);
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
}

const calls = {
  async add(count, inFlight) {
    jobs = [];
    await each(count, inFlight, async (i) => {
      jobs[i] = await queue.add('deck', '16 bytes, JSON');
    });
  },
  async progress(count, inFlight) {
    await each(count, inFlight, (i) => jobs[i].updateProgress(50));
  },
  // Moves each job to the active ones and completes it.
  async finish(count, inFlight) {
    await each(count, inFlight, async () => {
      const job = await hand.getNextJob(token, { block: false });
      await job.moveToCompleted('done', token, false);
    });
  },
  // As `finish`, by a worker that does nothing. It takes the next job as it completes the one before.
  async work(count, inFlight) {
    const worker = new Worker(name, async () => 'done', { connection, concurrency: inFlight, autorun: false });
    await worker.waitUntilReady();
    const begun = process.hrtime.bigint();
    await new Promise((resolve) => {
      let completed = 0;
      worker.on('completed', () => {
        completed += 1;
        if (completed === count) resolve();
      });
      worker.run();
    });
    const ended = process.hrtime.bigint();
    await worker.close();
    return ended - begun;
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const [call, count, inFlight] = line.split(' ');
  const begun = process.hrtime.bigint();
  const own = await calls[call](Number(count), Number(inFlight));
  console.log(String((own ?? process.hrtime.bigint() - begun) / 1000n));
}
await Promise.all([queue.close(), hand.close()]);
