// The interop cases (test/interop/cases.go) with @confluentinc/kafka-javascript, by its promise API. Arguments: bootstrap addresses, prefix.
'use strict';

const { Kafka, logLevel, ErrorCodes } = require('@confluentinc/kafka-javascript').KafkaJS;
const { Absent, CODECS, Code, FIRST_MS, RECORDS, key, noise, run, value, wait } = require('./say');

const [bootstrap, prefix] = process.argv.slice(2);
const none = `${prefix}-none`;
const kafka = new Kafka({ kafkaJS: { brokers: bootstrap.split(','), logLevel: logLevel.NOTHING } });
const admin = kafka.admin();

function codeOf(e) {
  for (let cause = e; cause; cause = cause.cause) {
    if (cause.groups?.length) return codeOf(cause.groups[0].error);
    if (cause.errors?.length) return codeOf(cause.errors[0]);
    if (typeof cause.code === 'number' && cause.code > 0) return cause.code;
  }
  return 0;
}

const step = (name, body) => run(name, codeOf, body);

const create = (topic, numPartitions = 1, config = {}) =>
  admin.createTopics({ topics: [{ topic, numPartitions, configEntries: Object.entries(config).map(([name, v]) => ({ name, value: v })) }] });

async function partitions(topic, expected) {
  let found = -1;
  await wait(async () => {
    const topics = await admin.fetchTopicMetadata({ topics: [topic] });
    found = topics[0].partitions.length;
    return found === expected;
  });
  return `partitions=${found}`;
}

async function topics() {
  const basic = `${prefix}-basic`;
  const no = (call) => async () => {
    throw new Absent(`the client has no ${call}`);
  };
  await step('topic.create', async () => {
    await create(basic, 3, { 'retention.ms': '3600000' });
    return partitions(basic, 3);
  });
  await step('topic.config', no('DescribeConfigs'));
  await step('topic.partitions', no('CreatePartitions'));
  await step('topic.exists', async () => {
    // The client reports an existing topic by answering false instead of by an error.
    if ((await create(basic)) === false) throw new Code(ErrorCodes.ERR_TOPIC_ALREADY_EXISTS);
  });
  await step('topic.bad-config', async () => void (await create(`${prefix}-bad`, 1, { 'retention.ms': 'oops' })));
  await step('topic.bad-name', async () => void (await create('bad name!')));
  await step('topic.delete', async () => {
    await admin.deleteTopics({ topics: [basic] });
    return `listed=${(await admin.listTopics()).includes(basic)}`;
  });
  await step('topic.unknown', () => admin.deleteTopics({ topics: [`${prefix}-unknown`] }));
}

async function send(config, topic, messages) {
  const producer = kafka.producer({ kafkaJS: { acks: -1, idempotent: true, ...config }, 'linger.ms': 50 });
  await producer.connect();
  try {
    return await producer.send({ topic, messages });
  } finally {
    await producer.disconnect();
  }
}

async function produce() {
  for (const codec of CODECS) {
    await step(`produce.${codec}`, async () => {
      const topic = `${prefix}-${codec}`;
      await create(topic);
      const messages = [];
      for (let i = 0; i < RECORDS; i++) {
        messages.push({ key: key(i), value: value(codec, i), partition: 0, timestamp: String(FIRST_MS + i * 1000), headers: { h: String(i) } });
      }
      const reports = await send({ compression: codec }, topic, messages);
      return `records=${RECORDS} last=${Number(reports[0].baseOffset) + RECORDS - 1}`;
    });
  }
  await step('produce.too-large', async () => {
    await create(`${prefix}-small`, 1, { 'max.message.bytes': '1000' });
    await send({}, `${prefix}-small`, [{ value: noise(5000) }]);
  });
}

const consumer = (groupId, more = {}) => kafka.consumer({ kafkaJS: { groupId, fromBeginning: true, autoCommit: false, ...more }, 'fetch.wait.max.ms': 200 });

/** Reads topics in a group of their own until enough() says so. */
async function read(groupId, names, each, enough) {
  const c = consumer(groupId);
  await c.connect();
  await c.subscribe({ topics: names });
  await c.run({ eachMessage: async ({ topic, message }) => each(topic, message) });
  await wait(enough);
  await c.disconnect();
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
    throw new Absent('the client resets by itself and does not say so');
  });
  await step('offsets.ends', async () => {
    const [{ low, high }] = await admin.fetchTopicOffsets(none);
    return `first=${low} next=${high}`;
  });
}

/** A group member. */
class Member {
  constructor(groupId, topic, seen) {
    this.topic = topic;
    this.seen = seen;
    this.consumer = consumer(groupId, { heartbeatInterval: 200, sessionTimeout: 6000, autoCommit: true, autoCommitInterval: 100 });
  }

  get owned() {
    return this.consumer.assignment().length;
  }

  async join() {
    await this.consumer.connect();
    await this.consumer.subscribe({ topics: [this.topic] });
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
  await create(topic, 4);
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
    await send({}, topic, messages);
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

/** Commits an offset as a member of the group that owns the partition. */
async function commit(groupId, offset) {
  const c = consumer(groupId);
  await c.connect();
  await c.subscribe({ topics: [none] });
  await c.run({ eachMessage: async () => {} });
  await wait(() => c.assignment().length === 1);
  await c.commitOffsets([{ topic: none, partition: 0, offset }]);
  await c.disconnect();
}

async function offsets() {
  const groupId = `${prefix}-offsets`;
  await step('offsets.commit', async () => {
    await commit(groupId, '7');
    const found = await admin.fetchOffsets({ groupId, topics: [none] });
    return `offset=${found[0].partitions[0].offset}`;
  });
  await step('offsets.resume', () => startsAt(groupId));
  await step('offsets.reset', async () => {
    await commit(groupId, '0');
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
