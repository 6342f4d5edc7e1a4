"""The interop cases (test/interop/cases.go) with confluent-kafka. Arguments: bootstrap address, prefix of names."""

import sys
import threading
import time

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic, OffsetSpec, ResourceType

from say import CODECS, FIRST_MS, LIMIT, RECORDS, Code, key, line, noise, report, value, wait

BOOTSTRAP, PREFIX = sys.argv[1], sys.argv[2]
NONE = PREFIX + "-none"
admin = AdminClient({"bootstrap.servers": BOOTSTRAP})


def code_of(error):
    if isinstance(error, KafkaException) and isinstance(error.args[0], KafkaError):
        return max(error.args[0].code(), 0)
    return 0


def case(name):
    def run(body):
        try:
            line(name, f"ok {body() or ''}")
        except Exception as e:
            report(name, e, code_of)

    return run


def only(futures):
    """The result of a call that asked for one thing."""
    return next(iter(futures.values())).result(LIMIT)


def create(topic, partitions=1, **config):
    config = {k.replace("_", "."): v for k, v in config.items()}
    only(admin.create_topics([NewTopic(topic, num_partitions=partitions, config=config)], request_timeout=LIMIT))


def partitions(topic, expected):
    """How many partitions the topic has, once as many are seen as are expected: Kafka's broker learns of them after its controller."""
    found = []
    wait(lambda: found.append(len(admin.list_topics(topic, timeout=LIMIT).topics[topic].partitions)) or found[-1] == expected)
    return f"partitions={found[-1]}"


def topics():
    basic = PREFIX + "-basic"

    @case("topic.create")
    def _():
        create(basic, 3, retention_ms="3600000")
        return partitions(basic, 3)

    @case("topic.config")
    def _():
        config = only(admin.describe_configs([ConfigResource(ResourceType.TOPIC, basic)]))
        return f"retention.ms={config['retention.ms'].value}"

    @case("topic.partitions")
    def _():
        only(admin.create_partitions([NewPartitions(basic, 5)]))
        return partitions(basic, 5)

    case("topic.exists")(lambda: create(basic))
    case("topic.bad-config")(lambda: create(PREFIX + "-bad", retention_ms="oops"))
    case("topic.bad-name")(lambda: create("bad name!"))

    @case("topic.delete")
    def _():
        only(admin.delete_topics([basic]))
        return f"listed={basic in admin.list_topics(timeout=LIMIT).topics}".lower()

    case("topic.unknown")(lambda: only(admin.delete_topics([PREFIX + "-unknown"])) and None)


def send(producer, topic, records):
    """Produces (partition, timestamp, key, value, headers) and returns the last offset."""
    offsets, errors = [], []

    def delivered(error, message):
        errors.append(error) if error else offsets.append(message.offset())

    for partition, timestamp, k, v, headers in records:
        more = {"timestamp": timestamp} if timestamp else {}
        producer.produce(topic, partition=partition, key=k, value=v, headers=headers, on_delivery=delivered, **more)
    producer.flush(LIMIT)
    if errors:
        raise Code(errors[0].code()) if errors[0].code() > 0 else KafkaException(errors[0])
    return max(offsets)


def produce():
    for codec in CODECS:

        @case("produce." + codec)
        def _():
            topic = PREFIX + "-" + codec
            create(topic)
            p = Producer({"bootstrap.servers": BOOTSTRAP, "compression.type": codec, "linger.ms": 50})
            last = send(p, topic, [(0, FIRST_MS + i * 1000, key(i), value(codec, i), [("h", str(i))]) for i in range(RECORDS)])
            return f"records={RECORDS} last={last}"

    @case("produce.too-large")
    def _():
        create(PREFIX + "-small", max_message_bytes="1000")
        send(Producer({"bootstrap.servers": BOOTSTRAP}), PREFIX + "-small", [(0, None, None, noise(5000), [])])


def consumer(group, **more):
    config = {"bootstrap.servers": BOOTSTRAP, "group.id": group or PREFIX + "-reader", "auto.offset.reset": "earliest", "enable.auto.commit": False}
    config.update({k.replace("_", "."): v for k, v in more.items()})
    return Consumer(config)


def consume():
    @case("consume.beginning")
    def _():
        c = consumer(None)
        c.assign([TopicPartition(f"{PREFIX}-{codec}", 0, 0) for codec in CODECS])
        records = wrong = 0
        end = time.monotonic() + LIMIT
        while records < RECORDS * len(CODECS) and time.monotonic() < end:
            for m in c.consume(100, 0.5):
                if m.error():
                    raise KafkaException(m.error())
                records += 1
                i, codec = m.offset(), m.topic()[len(PREFIX) + 1 :]
                right = (key(i), value(codec, i), FIRST_MS + i * 1000, [("h", str(i).encode())])
                wrong += (m.key(), m.value(), m.timestamp()[1], m.headers()) != right
        c.close()
        return f"records={records} wrong={wrong}"

    @case("consume.from-time")
    def _():
        c = consumer(None)
        found = c.offsets_for_times([TopicPartition(NONE, 0, FIRST_MS + 24_500)], timeout=LIMIT)
        c.close()
        return f"offset={found[0].offset}"

    @case("consume.out-of-range")
    def _():
        c = consumer(None, auto_offset_reset="error")
        c.assign([TopicPartition(NONE, 0, 1000)])
        m = c.poll(LIMIT)
        c.close()
        # With auto.offset.reset=error librdkafka wraps the broker's answer in an error of its own.
        if m is not None and m.error().code() == KafkaError._AUTO_OFFSET_RESET and "out of range" in m.error().str():
            raise Code(KafkaError.OFFSET_OUT_OF_RANGE)
        raise KafkaException(m.error()) if m is not None else TimeoutError()

    @case("offsets.ends")
    def _():
        c = consumer(None)
        first, following = c.get_watermark_offsets(TopicPartition(NONE, 0), timeout=LIMIT)
        c.close()
        return f"first={first} next={following}"


class Member:
    """A group member with its own thread."""

    def __init__(self, group, topic, seen):
        self.owned, self.stop, self.seen = 0, threading.Event(), seen
        self.consumer = consumer(group, heartbeat_interval_ms=200, session_timeout_ms=6000)
        self.consumer.subscribe([topic], on_assign=self.assigned, on_revoke=self.revoked)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def assigned(self, _, parts):
        self.owned += len(parts)

    def revoked(self, c, parts):
        self.owned -= len(parts)
        try:
            c.commit(asynchronous=False)
        except KafkaException as e:
            if e.args[0].code() != KafkaError._NO_OFFSET:
                raise

    def run(self):
        while not self.stop.is_set():
            m = self.consumer.poll(0.1)
            if m is not None and not m.error():
                self.seen[m.value()] = self.seen.get(m.value(), 0) + 1
        self.consumer.close()

    def leave(self):
        self.stop.set()
        self.thread.join()


def group():
    topic, name, seen = PREFIX + "-group", PREFIX + "-members", {}
    create(topic, 4)
    one = Member(name, topic, seen)

    @case("group.join")
    def _():
        wait(lambda: one.owned == 4)
        return f"partitions={one.owned}"

    two = Member(name, topic, seen)

    @case("group.share")
    def _():
        wait(lambda: one.owned == 2 and two.owned == 2)
        return f"partitions={one.owned}+{two.owned}"

    @case("group.records")
    def _():
        send(Producer({"bootstrap.servers": BOOTSTRAP}), topic, [(i % 4, None, None, b"m-%d" % i, []) for i in range(40)])
        wait(lambda: len(seen) == 40)
        return f"records={len(seen)} twice={sum(n > 1 for n in seen.values())}"

    two.leave()

    @case("group.leave")
    def _():
        wait(lambda: one.owned == 4)
        return f"partitions={one.owned}"

    one.leave()


def starts_at(name):
    """The offset that a new member of the group reads first."""
    c = consumer(name)
    c.subscribe([NONE])
    m = c.poll(LIMIT)
    c.close()
    if m is None or m.error():
        raise KafkaException(m.error()) if m else TimeoutError()
    return f"offset={m.offset()}"


def offsets():
    name = PREFIX + "-offsets"

    @case("offsets.commit")
    def _():
        c = consumer(name)
        c.assign([TopicPartition(NONE, 0)])
        c.commit(offsets=[TopicPartition(NONE, 0, 7)], asynchronous=False)
        found = c.committed([TopicPartition(NONE, 0)], timeout=LIMIT)
        c.close()
        return f"offset={found[0].offset}"

    case("offsets.resume")(lambda: starts_at(name))

    @case("offsets.reset")
    def _():
        only(admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(name, [TopicPartition(NONE, 0, 0)])]))
        return starts_at(name)

    case("group.delete")(lambda: only(admin.delete_consumer_groups([name])) and None)
    case("group.unknown")(lambda: only(admin.delete_consumer_groups([PREFIX + "-nobody"])) and None)

    @case("records.delete")
    def _():
        only(admin.delete_records([TopicPartition(NONE, 0, 10)]))
        first = only(admin.list_offsets({TopicPartition(NONE, 0): OffsetSpec.earliest()}))
        return f"first={first.offset}"


topics()
produce()
consume()
group()
offsets()
