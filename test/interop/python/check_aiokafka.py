"""The interop cases (test/interop/cases.go) with aiokafka. Arguments: bootstrap address, prefix of names."""

import asyncio
import sys
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.structs import OffsetAndMetadata

from say import CODECS, FIRST_MS, LIMIT, RECORDS, Absent, Code, key, line, noise, report, value

BOOTSTRAP, PREFIX = sys.argv[1], sys.argv[2]
NONE = PREFIX + "-none"
P0 = TopicPartition(NONE, 0)


def code_of(error):
    return max(getattr(error, "errno", 0) or 0, 0)


async def case(name, body):
    try:
        line(name, f"ok {await body() or ''}")
    except Exception as e:
        report(name, e, code_of)


async def wait(holds):
    end = time.monotonic() + LIMIT
    while not holds() and time.monotonic() < end:
        await asyncio.sleep(0.02)


def checked(errors):
    """Raises the first error of a response's (name, code, ...) entries."""
    for entry in errors:
        if entry[1]:
            raise Code(entry[1])


class Check:
    def __init__(self, admin):
        self.admin = admin

    async def create(self, topic, partitions=1, **config):
        config = {k.replace("_", "."): v for k, v in config.items()}
        answer = await self.admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=config)])
        checked(answer.topic_errors)

    async def partitions(self, topic, expected):
        """How many partitions the topic has, once as many are seen as are expected: Kafka's broker learns of them after its controller."""
        end = time.monotonic() + LIMIT
        while True:
            found = len((await self.admin.describe_topics([topic]))[0]["partitions"])
            if found == expected or time.monotonic() > end:
                return f"partitions={found}"

    async def topics(self):
        basic = PREFIX + "-basic"

        async def created():
            await self.create(basic, 3, retention_ms="3600000")
            return await self.partitions(basic, 3)

        async def config():
            answers = await self.admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, basic)])
            entries = answers[0].resources[0][4]
            return "retention.ms=" + next(e[1] for e in entries if e[0] == "retention.ms")

        async def more():
            answer = await self.admin.create_partitions({basic: NewPartitions(5)})
            checked(answer.topic_errors)
            return await self.partitions(basic, 5)

        async def delete():
            answer = await self.admin.delete_topics([basic])
            checked(answer.topic_error_codes)
            return f"listed={basic in await self.admin.list_topics()}".lower()

        async def unknown():
            checked((await self.admin.delete_topics([PREFIX + "-unknown"])).topic_error_codes)

        await case("topic.create", created)
        await case("topic.config", config)
        await case("topic.partitions", more)
        await case("topic.exists", lambda: self.create(basic))
        await case("topic.bad-config", lambda: self.create(PREFIX + "-bad", retention_ms="oops"))
        await case("topic.bad-name", lambda: self.create("bad name!"))
        await case("topic.delete", delete)
        await case("topic.unknown", unknown)

    async def produce(self):
        for codec in CODECS:

            async def body():
                topic = PREFIX + "-" + codec
                await self.create(topic)
                async with AIOKafkaProducer(
                    bootstrap_servers=BOOTSTRAP, compression_type=None if codec == "none" else codec, linger_ms=50, enable_idempotence=True
                ) as p:
                    sent = [
                        await p.send(topic, value(codec, i), key(i), 0, FIRST_MS + i * 1000, [("h", b"%d" % i)]) for i in range(RECORDS)
                    ]
                    last = [(await f).offset for f in sent][-1]
                return f"records={RECORDS} last={last}"

            await case("produce." + codec, body)

        async def too_large():
            await self.create(PREFIX + "-small", max_message_bytes="1000")
            async with AIOKafkaProducer(bootstrap_servers=BOOTSTRAP) as p:
                await p.send_and_wait(PREFIX + "-small", noise(5000))

        await case("produce.too-large", too_large)

    async def consume(self):
        async def beginning():
            records = wrong = 0
            async with consumer() as c:
                parts = [TopicPartition(f"{PREFIX}-{codec}", 0) for codec in CODECS]
                c.assign(parts)
                await c.seek_to_beginning(*parts)
                end = time.monotonic() + LIMIT
                while records < RECORDS * len(CODECS) and time.monotonic() < end:
                    for batch in (await c.getmany(timeout_ms=500)).values():
                        for m in batch:
                            records += 1
                            codec = m.topic[len(PREFIX) + 1 :]
                            right = (key(m.offset), value(codec, m.offset), FIRST_MS + m.offset * 1000, [("h", b"%d" % m.offset)])
                            wrong += (m.key, m.value, m.timestamp, list(m.headers)) != right
            return f"records={records} wrong={wrong}"

        async def from_time():
            async with consumer() as c:
                return f"offset={(await c.offsets_for_times({P0: FIRST_MS + 24_500}))[P0].offset}"

        async def out_of_range():
            async with consumer(auto_offset_reset="none") as c:
                c.assign([P0])
                c.seek(P0, 1000)
                await asyncio.wait_for(c.getone(), LIMIT)

        async def ends():
            async with consumer() as c:
                return f"first={(await c.beginning_offsets([P0]))[P0]} next={(await c.end_offsets([P0]))[P0]}"

        await case("consume.beginning", beginning)
        await case("consume.from-time", from_time)
        await case("consume.out-of-range", out_of_range)
        await case("offsets.ends", ends)

    async def group(self):
        topic, name, seen = PREFIX + "-group", PREFIX + "-members", {}
        await self.create(topic, 4)
        one = await Member(name, topic, seen).join()

        async def joined():
            await wait(lambda: one.owned == 4)
            return f"partitions={one.owned}"

        await case("group.join", joined)
        two = await Member(name, topic, seen).join()

        async def shared():
            await wait(lambda: one.owned == 2 and two.owned == 2)
            return f"partitions={one.owned}+{two.owned}"

        async def records():
            async with AIOKafkaProducer(bootstrap_servers=BOOTSTRAP) as p:
                for i in range(40):
                    await p.send(topic, b"m-%d" % i, partition=i % 4)
                await p.flush()
            await wait(lambda: len(seen) == 40)
            return f"records={len(seen)} twice={sum(n > 1 for n in seen.values())}"

        await case("group.share", shared)
        await case("group.records", records)
        await two.leave()
        await case("group.leave", joined)
        await one.leave()

    async def offsets(self):
        name = PREFIX + "-offsets"

        async def commit(at):
            async with consumer(name) as c:
                c.assign([P0])
                await c.commit({P0: OffsetAndMetadata(at, "")})
                return f"offset={await c.committed(P0)}"

        async def reset():
            await commit(0)
            return await starts_at(name)

        async def absent():
            raise Absent("the client has no DeleteGroups")

        async def delete_records():
            await self.admin.delete_records({P0: RecordsToDelete(before_offset=10)})
            async with consumer() as c:
                return f"first={(await c.beginning_offsets([P0]))[P0]}"

        await case("offsets.commit", lambda: commit(7))
        await case("offsets.resume", lambda: starts_at(name))
        await case("offsets.reset", reset)
        await case("group.delete", absent)
        await case("group.unknown", absent)
        await case("records.delete", delete_records)


def consumer(group=None, *topics, **more):
    config = {"bootstrap_servers": BOOTSTRAP, "auto_offset_reset": "earliest", "enable_auto_commit": False, "group_id": group}
    config.update(more)
    return AIOKafkaConsumer(*topics, **config)


async def starts_at(name):
    """The offset that a new member of the group reads first."""
    async with consumer(name, NONE) as c:
        return f"offset={(await asyncio.wait_for(c.getone(), LIMIT)).offset}"


class Member(ConsumerRebalanceListener):
    """A group member with its own task."""

    def __init__(self, group, topic, seen):
        self.owned, self.seen, self.topic = 0, seen, topic
        self.consumer = consumer(group, heartbeat_interval_ms=200, session_timeout_ms=6000)

    async def join(self):
        await self.consumer.start()
        self.consumer.subscribe([self.topic], listener=self)
        self.task = asyncio.create_task(self.run())
        return self

    async def on_partitions_assigned(self, assigned):
        self.owned = len(assigned)

    async def on_partitions_revoked(self, revoked):
        if self.owned:
            await self.consumer.commit()
        self.owned = 0

    async def run(self):
        async for m in self.consumer:
            self.seen[m.value] = self.seen.get(m.value, 0) + 1

    async def leave(self):
        self.task.cancel()
        await self.consumer.stop()


async def main():
    admin = AIOKafkaAdminClient(bootstrap_servers=BOOTSTRAP)
    await admin.start()
    check = Check(admin)
    await check.topics()
    await check.produce()
    await check.consume()
    await check.group()
    await check.offsets()
    await admin.close()


asyncio.run(main())
