// The interop cases (test/interop/cases.go) with kafkajs. Arguments: bootstrap addresses, prefix of names.
'use strict';

const { Kafka, CompressionTypes, CompressionCodecs, ConfigResourceTypes, logLevel } = require('kafkajs');
const { createErrorFromCode } = require('kafkajs/src/protocol/error');
const snappy = require('kafkajs-snappy');
const lz4 = require('lz4-napi');
const { ZstdCodec } = require('zstd-codec');
const { CODECS, FIRST_MS, RECORDS, key, noise, run, value, wait } = require('./say');

const [bootstrap, prefix] = process.argv.slice(2);
const none = `${prefix}-none`;
const kafka = new Kafka({ clientId: 'kafkajs', brokers: bootstrap.split(','), logLevel: logLevel.NOTHING, retry: { retries: 3 } });
const admin = kafka.admin();

// kafkajs has gzip built in; the others are plugged in as its documentation shows.
const codecs = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy, lz4: CompressionTypes.LZ4, zstd: CompressionTypes.ZSTD };
CompressionCodecs[CompressionTypes.Snappy] = snappy;
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async (encoder) => lz4.compressFrame(encoder.buffer),
  decompress: async (buffer) => lz4.decompressFrame(buffer),
});

function plugZstd() {
  return new Promise((resolve) =>
    ZstdCodec.run((zstd) => {
      const codec = new zstd.Simple();
      CompressionCodecs[CompressionTypes.ZSTD] = () => ({
        compress: async (encoder) => Buffer.from(codec.compress(encoder.buffer)),
        decompress: async (buffer) => Buffer.from(codec.decompress(buffer)),
      });
      resolve();
    }),
  );
}

/** Kafka's number of an error, which kafkajs wraps in several ways. */
function codeOf(e) {
  for (let cause = e; cause; cause = cause.cause ?? cause.originalError) {
    if (cause.errors?.length) return codeOf(cause.errors[0]);
    if (cause.groups?.length) return cause.groups[0].errorCode;
    if (typeof cause.code === 'number' && cause.code > 0) return cause.code;
  }
  return 0;
}

const step = (name, body) => run(name, codeOf, body);

const create = (topic, numPartitions = 1, config = {}) =>
  admin.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions, configEntries: Object.entries(config).map(([name, v]) => ({ name, value: v })) }] });

async function partitions(topic, expected) {
  let found = -1;
  await wait(async () => {
    try {
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
      found = topics[0].partitions.length;
    } catch (e) {
      if (codeOf(e) !== 3) throw e;
    }
    return found === expected;
  });
  return `partitions=${found}`;
}

/** Creates a topic and waits until it shows: Kafka's broker learns of it after its controller. */
async function make(topic, numPartitions = 1, config = {}) {
  await create(topic, numPartitions, config);
  await partitions(topic, numPartitions);
}

async function topics() {
  const basic = `${prefix}-basic`;
  await step('topic.create', async () => {
    await create(basic, 3, { 'retention.ms': '3600000' });
    return partitions(basic, 3);
  });
  await step('topic.config', async () => {
    const { resources } = await admin.describeConfigs({ includeSynonyms: false, resources: [{ type: ConfigResourceTypes.TOPIC, name: basic }] });
    return `retention.ms=${resources[0].configEntries.find((c) => c.configName === 'retention.ms').configValue}`;
  });
  await step('topic.partitions', async () => {
    await admin.createPartitions({ topicPartitions: [{ topic: basic, count: 5 }] });
    return partitions(basic, 5);
  });
  await step('topic.exists', async () => {
    // kafkajs reports an existing topic by answering false instead of by an error.
    if ((await create(basic)) === false) throw createErrorFromCode(36);
  });
  await step('topic.bad-config', async () => void (await create(`${prefix}-bad`, 1, { 'retention.ms': 'oops' })));
  await step('topic.bad-name', async () => void (await create('bad name!')));
  await step('topic.delete', async () => {
    await admin.deleteTopics({ topics: [basic] });
    return `listed=${(await admin.listTopics()).includes(basic)}`;
  });
  await step('topic.unknown', () => admin.deleteTopics({ topics: [`${prefix}-unknown`] }));
}

async function send(messages) {
  const producer = kafka.producer({ idempotent: messages.idempotent ?? false, maxInFlightRequests: 1 });
  await producer.connect();
  try {
    return await producer.send({ acks: -1, ...messages });
  } finally {
    await producer.disconnect();
  }
}

async function produce() {
  for (const codec of CODECS) {
    await step(`produce.${codec}`, async () => {
      const topic = `${prefix}-${codec}`;
      await make(topic);
      const messages = [];
      for (let i = 0; i < RECORDS; i++) {
        messages.push({ key: key(i), value: value(codec, i), partition: 0, timestamp: String(FIRST_MS + i * 1000), headers: { h: String(i) } });
      }
      const [{ baseOffset }] = await send({ topic, compression: codecs[codec], messages });
      return `records=${RECORDS} last=${Number(baseOffset) + RECORDS - 1}`;
    });
  }
  await step('produce.too-large', async () => {
    await make(`${prefix}-small`, 1, { 'max.message.bytes': '1000' });
    await send({ topic: `${prefix}-small`, messages: [{ value: noise(5000) }] });
  });
}

/** Reads topics in a group of their own until enough() says so. */
async function read(groupId, names, each, enough) {
  const consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 200 });
  await consumer.connect();
  await consumer.subscribe({ topics: names, fromBeginning: true });
  await consumer.run({ autoCommit: false, eachMessage: async ({ topic, message }) => each(topic, message) });
  await wait(enough);
  await consumer.disconnect();
}

async function consume() {
  await step('consume.beginning', async () => {
    let records = 0;
    let wrong = 0;
    const each = (topic, m) => {
      records++;
      const i = Number(m.offset);
      const codec = topic.slice(prefix.length + 1);
      const right = m.key.toString() === key(i) && m.value.toString() === value(codec, i) && Number(m.timestamp) === FIRST_MS + i * 1000 && m.headers.h.toString() === String(i);
      if (!right) wrong++;
    };
    await read(`${prefix}-reader`, CODECS.map((c) => `${prefix}-${c}`), each, () => records >= RECORDS * CODECS.length);
    return `records=${records} wrong=${wrong}`;
  });
  await step('consume.from-time', async () => {
    const [{ offset }] = await admin.fetchTopicOffsetsByTimestamp(none, FIRST_MS + 24500);
    return `offset=${offset}`;
  });
  await step('consume.out-of-range', async () => {
    // The client recovers by itself, from the offset it may reset to; what the broker said shows in the event it logs.
    let said = 0;
    const loud = new Kafka({
      brokers: bootstrap.split(','),
      logLevel: logLevel.DEBUG,
      logCreator: () => ({ log }) => {
        if (/out of range/i.test(JSON.stringify(log))) said = 1;
      },
    });
    const consumer = loud.consumer({ groupId: `${prefix}-range`, maxWaitTimeInMs: 200 });
    await consumer.connect();
    await consumer.subscribe({ topics: [none], fromBeginning: true });
    await consumer.run({ autoCommit: false, eachMessage: async () => {} });
    consumer.seek({ topic: none, partition: 0, offset: '1000' });
    await wait(() => said !== 0);
    await consumer.disconnect();
    if (said) throw createErrorFromCode(said);
  });
  await step('offsets.ends', async () => {
    const [{ low, high }] = await admin.fetchTopicOffsets(none);
    return `first=${low} next=${high}`;
  });
}

/** A group member. */
class Member {
  constructor(groupId, topic, seen) {
    this.owned = 0;
    this.topic = topic;
    this.seen = seen;
    this.consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 200, heartbeatInterval: 200, sessionTimeout: 6000, rebalanceTimeout: 6000 });
    this.consumer.on(this.consumer.events.GROUP_JOIN, ({ payload }) => {
      this.owned = (payload.memberAssignment[topic] ?? []).length;
    });
  }

  async join() {
    await this.consumer.connect();
    await this.consumer.subscribe({ topics: [this.topic], fromBeginning: true });
    await this.consumer.run({
      eachMessage: async ({ message }) => {
        const v = message.value.toString();
        this.seen.set(v, (this.seen.get(v) ?? 0) + 1);
      },
    });
    return this;
  }

  leave() {
    return this.consumer.disconnect();
  }
}

async function group() {
  const topic = `${prefix}-group`;
  const seen = new Map();
  await make(topic, 4);
  const one = await new Member(`${prefix}-members`, topic, seen).join();
  await step('group.join', async () => {
    await wait(() => one.owned === 4);
    return `partitions=${one.owned}`;
  });
  const two = await new Member(`${prefix}-members`, topic, seen).join();
  await step('group.share', async () => {
    await wait(() => one.owned === 2 && two.owned === 2);
    return `partitions=${one.owned}+${two.owned}`;
  });
  await step('group.records', async () => {
    const messages = [];
    for (let i = 0; i < 40; i++) messages.push({ value: `m-${i}`, partition: i % 4 });
    await send({ topic, messages, idempotent: true });
    await wait(() => seen.size === 40);
    return `records=${seen.size} twice=${[...seen.values()].filter((n) => n > 1).length}`;
  });
  await two.leave();
  await step('group.leave', async () => {
    await wait(() => one.owned === 4);
    return `partitions=${one.owned}`;
  });
  await one.leave();
}

/** The offset that a new member of the group reads first. */
async function startsAt(groupId) {
  let first = null;
  await read(groupId, [none], (_, m) => (first ??= m.offset), () => first !== null);
  return `offset=${first}`;
}

async function offsets() {
  const groupId = `${prefix}-offsets`;
  const set = (offset) => admin.setOffsets({ groupId, topic: none, partitions: [{ partition: 0, offset }] });
  await step('offsets.commit', async () => {
    await set('7');
    const found = await admin.fetchOffsets({ groupId, topics: [none] });
    return `offset=${found[0].partitions[0].offset}`;
  });
  await step('offsets.resume', () => startsAt(groupId));
  await step('offsets.reset', async () => {
    await set('0');
    return startsAt(groupId);
  });
  await step('group.delete', async () => void (await admin.deleteGroups([groupId])));
  await step('group.unknown', async () => void (await admin.deleteGroups([`${prefix}-nobody`])));
  await step('records.delete', async () => {
    await admin.deleteTopicRecords({ topic: none, partitions: [{ partition: 0, offset: '10' }] });
    return `first=${(await admin.fetchTopicOffsets(none))[0].low}`;
  });
}

async function main() {
  await plugZstd();
  await admin.connect();
  await topics();
  await produce();
  await consume();
  await group();
  await offsets();
  await admin.disconnect();
}

main().then(
  () => process.exit(0),
  (e) => {
    process.stderr.write(`${e.stack}\n`);
    process.exit(1);
  },
);
