"""The interop cases (test/interop/cases.go) with kafka-python. Arguments: bootstrap address, prefix of names."""

import sys
import threading
import time

from kafka import KafkaConsumer, KafkaProducer, TopicPartition, errors
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.structs import OffsetAndMetadata

from say import CODECS, FIRST_MS, LIMIT, RECORDS, Code, key, line, noise, report, value, wait

BOOTSTRAP, PREFIX = sys.argv[1], sys.argv[2]
NONE = PREFIX + "-none"
P0 = TopicPartition(NONE, 0)
admin = KafkaAdminClient(bootstrap_servers=BOOTSTRAP)


def code_of(error):
    return getattr(error, "errno", 0) or 0


def case(name):
    def run(body):
        try:
            line(name, f"ok {body() or ''}")
        except Exception as e:
            report(name, e, code_of)

    return run


def raised(error):
    """Raises what the admin client hands back: an error's class, or the name of one."""
    code = code_of(getattr(errors, error, None) if isinstance(error, str) else error)
    if code:
        raise Code(code)


def create(topic, partitions=1, **config):
    config = {k.replace("_", "."): v for k, v in config.items()}
    admin.create_topics({topic: {"num_partitions": partitions, "configs": config}})


def partitions(topic, expected):
    """How many partitions the topic has, once as many are seen as are expected: Kafka's broker learns of them after its controller."""
    found = []
    wait(lambda: found.append(len(admin.describe_topics([topic])[0]["partitions"])) or found[-1] == expected)
    return f"partitions={found[-1]}"


def topics():
    basic = PREFIX + "-basic"

    @case("topic.create")
    def _():
        create(basic, 3, retention_ms="3600000")
        return partitions(basic, 3)

    @case("topic.config")
    def _():
        found = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, basic)])
        return f"retention.ms={found['topic'][basic]['retention.ms']['value']}"

    @case("topic.partitions")
    def _():
        admin.create_partitions({basic: 5})
        return partitions(basic, 5)

    case("topic.exists")(lambda: create(basic))
    case("topic.bad-config")(lambda: create(PREFIX + "-bad", retention_ms="oops"))
    case("topic.bad-name")(lambda: create("bad name!"))

    @case("topic.delete")
    def _():
        admin.delete_topics([basic])
        return f"listed={basic in admin.list_topics()}".lower()

    case("topic.unknown")(lambda: admin.delete_topics([PREFIX + "-unknown"]) and None)


def produce():
    for codec in CODECS:

        @case("produce." + codec)
        def _():
            topic = PREFIX + "-" + codec
            create(topic)
            p = KafkaProducer(bootstrap_servers=BOOTSTRAP, compression_type=None if codec == "none" else codec, linger_ms=50)
            sent = [
                p.send(topic, value(codec, i), key(i), headers=[("h", b"%d" % i)], partition=0, timestamp_ms=FIRST_MS + i * 1000)
                for i in range(RECORDS)
            ]
            last = [f.get(LIMIT).offset for f in sent][-1]
            p.close()
            return f"records={RECORDS} last={last}"

    @case("produce.too-large")
    def _():
        create(PREFIX + "-small", max_message_bytes="1000")
        p = KafkaProducer(bootstrap_servers=BOOTSTRAP)
        try:
            p.send(PREFIX + "-small", noise(5000)).get(LIMIT)
        finally:
            p.close()


def consumer(group=None, **more):
    config = {"bootstrap_servers": BOOTSTRAP, "auto_offset_reset": "earliest", "enable_auto_commit": False, "group_id": group}
    config.update(more)
    return KafkaConsumer(**config)


def consume():
    @case("consume.beginning")
    def _():
        c = consumer()
        parts = [TopicPartition(f"{PREFIX}-{codec}", 0) for codec in CODECS]
        c.assign(parts)
        c.seek_to_beginning(*parts)
        records = wrong = 0
        end = time.monotonic() + LIMIT
        while records < RECORDS * len(CODECS) and time.monotonic() < end:
            for batch in c.poll(500).values():
                for m in batch:
                    records += 1
                    codec = m.topic[len(PREFIX) + 1 :]
                    right = (key(m.offset), value(codec, m.offset), FIRST_MS + m.offset * 1000, [("h", b"%d" % m.offset)])
                    wrong += (m.key, m.value, m.timestamp, list(m.headers)) != right
        c.close()
        return f"records={records} wrong={wrong}"

    @case("consume.from-time")
    def _():
        c = consumer()
        found = c.offsets_for_times({P0: FIRST_MS + 24_500})
        c.close()
        return f"offset={found[P0].offset}"

    @case("consume.out-of-range")
    def _():
        c = consumer(auto_offset_reset="none")
        c.assign([P0])
        c.seek(P0, 1000)
        try:
            end = time.monotonic() + LIMIT
            while time.monotonic() < end:
                c.poll(500)
        finally:
            c.close()

    @case("offsets.ends")
    def _():
        c = consumer()
        first, following = c.beginning_offsets([P0])[P0], c.end_offsets([P0])[P0]
        c.close()
        return f"first={first} next={following}"


class Member(ConsumerRebalanceListener):
    """A group member with its own thread."""

    def __init__(self, group, topic, seen):
        self.owned, self.stop, self.seen = 0, threading.Event(), seen
        self.consumer = consumer(group, heartbeat_interval_ms=200, session_timeout_ms=6000)
        self.consumer.subscribe([topic], listener=self)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def on_partitions_assigned(self, assigned):
        self.owned = len(assigned)

    def on_partitions_revoked(self, revoked):
        self.owned = 0

    def run(self):
        while not self.stop.is_set():
            # The client forbids blocking calls in its rebalance callbacks, so each poll's records are committed at once.
            for batch in self.consumer.poll(100).values():
                for m in batch:
                    self.seen[m.value] = self.seen.get(m.value, 0) + 1
                self.consumer.commit()
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
        p = KafkaProducer(bootstrap_servers=BOOTSTRAP)
        for i in range(40):
            p.send(topic, b"m-%d" % i, partition=i % 4)
        p.flush()
        p.close()
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
    end = time.monotonic() + LIMIT
    try:
        while time.monotonic() < end:
            for batch in c.poll(500, max_records=1).values():
                return f"offset={batch[0].offset}"
    finally:
        c.close()
    raise TimeoutError()


def offsets():
    name = PREFIX + "-offsets"

    @case("offsets.commit")
    def _():
        c = consumer(name)
        c.assign([P0])
        c.commit({P0: OffsetAndMetadata(7, "", -1)})
        found = c.committed(P0)
        c.close()
        return f"offset={found}"

    case("offsets.resume")(lambda: starts_at(name))

    @case("offsets.reset")
    def _():
        raised(admin.alter_group_offsets(name, {P0: OffsetAndMetadata(0, "", -1)})[P0])
        return starts_at(name)

    def drop(group):
        raised(admin.delete_groups([group])[group])

    case("group.delete")(lambda: drop(name))
    case("group.unknown")(lambda: drop(PREFIX + "-nobody"))

    @case("records.delete")
    def _():
        admin.delete_records({P0: 10})
        c = consumer()
        first = c.beginning_offsets([P0])[P0]
        c.close()
        return f"first={first}"


topics()
produce()
consume()
group()
offsets()
admin.close()
