"""A producer and two members of a group with confluent-kafka (librdkafka) that run while brokers are stopped and killed: ride/Ride.java in another
language, with the same arguments, commands, answers and files. The producer is idempotent and has librdkafka's defaults beside that."""

import sys
import threading
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

BOOTSTRAP, TOPIC, PARTITIONS, GROUP, DIR = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5]
CONFIG = {"bootstrap.servers": BOOTSTRAP, **dict(a.split("=", 1) for a in sys.argv[6:])}
EVERY = 0.002
lock = threading.Lock()


class Writer(threading.Thread):
    """Sends numbered records to all partitions in turn, and keeps what was acknowledged."""

    def __init__(self):
        super().__init__(daemon=True)
        self.producer = Producer({"enable.idempotence": True, **CONFIG})
        self.over = False
        self.acked, self.ends, self.last = [], [0] * PARTITIONS, [0.0] * PARTITIONS
        self.since, self.pause, self.slowest, self.errors, self.first_error = [0] * PARTITIONS, 0.0, 0.0, 0, ""

    def run(self):
        number, then = 0, time.monotonic()
        while not self.over:
            for p in range(PARTITIONS):
                self.send(p, number)
                number += 1
            self.producer.poll(0)
            then = max(then + EVERY, time.monotonic() - 10 * EVERY)
            time.sleep(max(0.0, then - time.monotonic()))
        self.producer.flush()

    def send(self, partition, number):
        begun = time.monotonic()
        value = number.to_bytes(8, "big") + bytes(92)
        while True:
            try:
                return self.producer.produce(TOPIC, value, partition=partition, on_delivery=lambda e, m: self.answered(partition, number, begun, e, m))
            except BufferError:
                self.producer.poll(0.1)

    def answered(self, partition, number, begun, error, message):
        now = time.monotonic()
        with lock:
            if error is not None:
                self.errors += 1
                self.first_error = self.first_error or str(error).replace(" ", "_")
                return
            if self.last[partition]:
                self.pause = max(self.pause, now - self.last[partition])
            self.slowest = max(self.slowest, now - begun)
            self.last[partition] = now
            self.ends[partition] = max(self.ends[partition], message.offset() + 1)
            self.acked.append(f"{partition} {message.offset()} {number}")
            self.since[partition] += 1

    def mark(self):
        now = time.monotonic()
        with lock:
            self.pause = max([self.pause] + [now - last for last in self.last if last])
            said = f"acked={sum(self.since)} errors={self.errors} pause={int(self.pause * 1000)} slowest={int(self.slowest * 1000)}"
            self.since, self.pause, self.slowest = [0] * PARTITIONS, 0.0, 0.0
            return said + (f" error={self.first_error}" if self.first_error else "")


class Member(threading.Thread):
    """A member of a classic group, which commits what it has read."""

    def __init__(self):
        super().__init__(daemon=True)
        self.consumer = Consumer({"group.id": GROUP, "auto.offset.reset": "earliest", "enable.auto.commit": False, **CONFIG})
        self.read, self.rebalances, self.lost, self.goal = [], 0, 0, None

    def run(self):
        self.consumer.subscribe([TOPIC], on_revoke=self.revoked, on_lost=self.gone)
        while not self.arrived():
            next_offsets = {}
            for m in self.consumer.consume(num_messages=500, timeout=0.1):
                if m.error() is None:
                    with lock:
                        self.read.append(f"{m.partition()} {m.offset()} {int.from_bytes(m.value()[:8], 'big')}")
                    next_offsets[m.partition()] = m.offset() + 1
            if next_offsets:
                self.commit([TopicPartition(TOPIC, p, o) for p, o in next_offsets.items()])
        self.consumer.close()

    def commit(self, offsets):
        """Again until it is done: librdkafka gives up when a coordinator is lost, where Java's commitSync goes on."""
        for attempt in range(100):
            try:
                return self.consumer.commit(offsets=offsets, asynchronous=False)
            except KafkaException as e:
                print("commit:", e, file=sys.stderr, flush=True)
                time.sleep(0.1)

    def arrived(self):
        if self.goal is None:
            return False
        committed = self.consumer.committed([TopicPartition(TOPIC, p) for p in range(PARTITIONS)], timeout=30)
        return all(c.offset >= self.goal[c.partition] for c in committed)

    def revoked(self, *_):
        self.rebalances += 1

    def gone(self, *_):
        self.lost += 1


def generations(members):
    """librdkafka does not show the generation; that nothing was revoked says as much."""
    return ",".join(str(m.rebalances) for m in members)


def main():
    writer, members = Writer(), [Member(), Member()]
    for thread in [*members, writer]:
        thread.start()
    for command in sys.stdin:
        command = command.strip()
        if command == "stop":
            break
        with lock:
            read = sum(len(m.read) for m in members)
            least = min(writer.since)
        if command == "count":
            print(f"count {least} {read}", flush=True)
            continue
        print(command, writer.mark(), f"read={read} rebalances={sum(m.rebalances for m in members)} lost={sum(m.lost for m in members)} generations={generations(members)}", flush=True)
    writer.over = True
    writer.join()
    for m in members:
        m.goal = writer.ends
        m.join()
    with open(DIR + "/acked", "w") as f:
        f.writelines(line + "\n" for line in writer.acked)
    with open(DIR + "/read", "w") as f:
        f.writelines(f"{i} {line}\n" for i, m in enumerate(members) for line in m.read)
    print("done", flush=True)


main()
