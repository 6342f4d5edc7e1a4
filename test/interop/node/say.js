// The lines that the interop test reads, and the records that every client writes (test/interop/cases.go).
'use strict';

const CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd'];
const RECORDS = 50;
const LIMIT = 30000;
const FIRST_MS = Math.floor(Date.now() / 1000) * 1000 - 600000;

/** The reason why a client does not take part in a case. */
class Absent extends Error {}

/** Kafka's error number. */
class Code extends Error {
  constructor(code) {
    super(`Kafka error ${code}`);
    this.kafka = code;
  }
}

/** Runs one case and prints its line; codeOf finds Kafka's number in the client's own errors. */
async function run(name, codeOf, body) {
  let result;
  try {
    result = `ok ${(await body()) ?? ''}`.trim();
  } catch (e) {
    const code = e instanceof Code ? e.kafka : codeOf(e);
    if (e instanceof Absent) result = `absent ${e.message}`;
    else if (code > 0) result = `error ${code}`;
    else result = `failed ${e.name} ${e.message}`.replaceAll('\n', ' ');
  }
  process.stdout.write(`${name}: ${result}\n`);
}

const key = (i) => `k-${i}`;
const value = (codec, i) => `v-${codec}-${i}-${'x'.repeat(300)}`;

/** n bytes that no codec makes smaller. */
function noise(n) {
  const out = Buffer.alloc(n);
  let x = 2463534242;
  for (let i = 0; i < n; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    out[i] = x & 0xff;
  }
  return out;
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Polls a condition until it holds or LIMIT is over. */
async function wait(holds) {
  for (const end = Date.now() + LIMIT; !(await holds()) && Date.now() < end; ) await pause(20);
}

module.exports = { Absent, CODECS, Code, FIRST_MS, LIMIT, RECORDS, key, noise, pause, run, value, wait };
